"""Reading and writing a job's rounds (see `model.rounds`)."""

from __future__ import annotations

from dataclasses import dataclass

from jit_render.farm.records import encode, read_record
from jit_render.model.errors import JobError, ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobPaths
from jit_render.model.rounds import RoundRecord
from jit_render.store import ABSENT, Store


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of the job at `home`."""

    store: Store
    home: ObjectUrl

    def last(self) -> RoundRecord | None:
        """The newest; None for a job that no service was given."""
        names = [info.url.name.removesuffix(".json") for info in self.store.list(JobPaths(self.home).rounds)]
        number = max((int(name) for name in names if name.isdigit()), default=0)
        return self.get(number) if number else None

    def get(self, number: int) -> RoundRecord:
        """Raises JobError for one that is not there or that another release wrote."""
        url = JobPaths(self.home).round(number)
        record = read_record(self.store, url, RoundRecord)
        if record is None:
            raise JobError(f"{url} is no round of this job, or one that another release of jit-render wrote.")
        return record

    def add(self, record: RoundRecord) -> RoundRecord:
        """Create it; somebody else's, where they took the number first."""
        try:
            self.store.write(JobPaths(self.home).round(record.number), encode(record), if_generation=ABSENT)
        except PreconditionFailed:
            return self.get(record.number)
        return record

    def accept(self, record: RoundRecord, accepted: str) -> RoundRecord:
        """Write down that the service has it, under that id."""
        known = record.model_copy(update={"accepted": accepted})
        url = JobPaths(self.home).round(record.number)
        try:
            info = self.store.stat(url)
            self.store.write(url, encode(known), if_generation=info.id.generation)
        except (PreconditionFailed, ObjectNotFound):
            return self.get(record.number)
        return known
