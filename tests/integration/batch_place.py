"""A job and a Batch service that only queues it: for tests of what the engine asks, without any node."""

from __future__ import annotations

from dataclasses import dataclass

from batch_kit import GCP
from studio import Studio

from gcp_deploy.engine import BatchEngine, open_engine
from jit_render.farm.attempts import Attempt
from jit_render.farm.records import JobReader, encode
from jit_render.farm.rounds import Rounds
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import FailureClass, HoldRecord
from jit_render.model.rounds import RoundRecord
from jit_render.model.settings import GcpSettings, Settings
from jit_render.store import ABSENT
from jit_render.testing.fake_batch import FakeBatch, JobState


@dataclass
class Place:
    """A job of four tasks, and a service that queues what it is given."""

    studio: Studio
    server: FakeBatch
    home: ObjectUrl

    def settings(self, **gcp: object) -> Settings:
        section = GcpSettings.model_validate({**GCP, "endpoint": self.server.endpoint, **gcp})
        return self.studio.settings.model_copy(update={"gcp": section})

    def engine(self, **gcp: object) -> BatchEngine:
        return open_engine(self.settings(**gcp), self.studio.store, self.studio.clock)

    def last(self) -> RoundRecord:
        record = Rounds(self.studio.store, self.home).last()
        assert record is not None
        return record

    def attempt(self, task: int, failure: FailureClass | None, exit_code: int = 75) -> None:
        reader = JobReader(self.studio.store, self.home)
        made = Attempt.claim(self.studio.store, self.studio.clock, reader.paths, task=task, frames_asked="1")
        if failure is not None:
            made.end(failure, "as the test says", exit_code)

    def over(self, state: int = JobState.FAILED, exit_code: int = 1) -> None:
        self.server.end(self.last().name, state, exit_code)

    def hold(self, usd: float) -> None:
        """Have a worker find that a budget of so much is spent."""
        held = HoldRecord(budget_usd=usd, spent_usd=usd, at=0)
        url = JobReader(self.studio.store, self.home).paths.held
        self.studio.store.write(url, encode(held), if_generation=ABSENT)
