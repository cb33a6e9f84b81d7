"""Rounds on Google Batch: written down, then asked for, so that a kill between the two loses nothing.

A round's record holds the whole request under an id and a request id that follow from the job's folder and the round's
number. Whoever submits, after whatever kill, finds the record and asks for the same thing: the service knows the id
already and answers with the job it has, or it does not and makes it. There is never a second job for one round.
"""

from __future__ import annotations

from dataclasses import dataclass

from gcp_deploy.batch.request import RoundPlan, batch_id, batch_request, parent_of, request_id
from gcp_deploy.batch.service import BatchService, ServiceJob, agrees, as_proto, as_request
from jit_render.farm.records import JobReader, task_of
from jit_render.farm.round_work import bury
from jit_render.farm.rounds import Rounds
from jit_render.model.clock import Clock
from jit_render.model.errors import CloudConflict
from jit_render.model.frames import spell
from jit_render.model.identity import ObjectUrl
from jit_render.model.rounds import RoundRecord
from jit_render.model.settings import Settings
from jit_render.store import Store

CHOSEN = ("machine", "local_ssds", "provisioning", "fallback", "nodes", "budget")
"""What `jit-submit` may choose for one job; its next rounds keep it."""


@dataclass(frozen=True, slots=True)
class BatchRounds:
    """The rounds of one job."""

    store: Store
    clock: Clock
    service: BatchService
    home: ObjectUrl

    def last(self) -> RoundRecord | None:
        """The newest round that this engine made."""
        return Rounds(self.store, self.home).last()

    def job(self, record: RoundRecord) -> ServiceJob | None:
        return self.service.get(record.name)

    def open(self, settings: Settings, tasks: list[int], number: int) -> ServiceJob:
        """Write round `number` down for those tasks, or take the one that stands there, and have it run."""
        reader = JobReader(self.store, self.home)
        plan = RoundPlan(self.home, reader.spec(), number, len(tasks))
        job_id = batch_id(reader.paths.job_id, self.home, number)
        record = RoundRecord(
            number=number,
            engine="batch",
            tasks=spell(tasks),
            created=self.clock.wall(),
            earlier=_earlier(reader, set(tasks)),
            preemptible=settings.gcp.provisioning == "spot",
            choices=tuple(f"gcp.{name}={getattr(settings.gcp, name)}" for name in CHOSEN),
            name=f"{parent_of(settings.gcp)}/jobs/{job_id}",
            request_id=request_id(self.home, number),
            request=as_request(as_proto(batch_request(settings, plan))),
        )
        return self.ask(Rounds(self.store, self.home).add(record))

    def bury(self, record: RoundRecord, job: ServiceJob | None) -> None:
        """End the attempts of a round that no node works on any more: nobody is to wait for them."""
        was_cancelled = job is not None and job.state.startswith("CANCEL")
        bury(self.store, self.clock, self.home, None, record, was_cancelled=was_cancelled)

    def ask(self, record: RoundRecord) -> ServiceJob:
        """Have the service run that round; it may have been asked before. Raises CloudConflict for a foreign job."""
        parent, _, job_id = record.name.rpartition("/jobs/")
        try:
            made = self.service.create(parent, job_id, record.request, record.request_id)
        except CloudConflict:
            there = self.service.get(record.name)
            if there is None or not agrees(record.request, there.request):
                raise CloudConflict(
                    f"{record.name} is there already and is another job; delete it at Google Batch and submit again."
                ) from None
            made = there
        if made.uid != record.accepted:
            Rounds(self.store, self.home).accept(record, made.uid)
        return made


def unfinished_tasks(reader: JobReader) -> list[int]:
    """Tasks that lack a frame, in order."""
    tasks = task_of(reader.spec())
    return sorted({tasks[frame] for frame in reader.missing()})


def _earlier(reader: JobReader, tasks: set[int]) -> dict[int, int]:
    last: dict[int, int] = {}
    for task, number in reader.attempt_infos():
        if task in tasks:
            last[task] = max(number, last.get(task, 0))
    return last
