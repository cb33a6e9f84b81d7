"""How a job on Google Batch stands: the records' word, corrected by the service's where it knows better."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass

from gcp_deploy.batch.rounds import BatchRounds
from gcp_deploy.batch.service import ServiceJob
from jit_render.farm.status import JobStatus, State, StatusFollower
from jit_render.model.errors import CloudError, CloudUnavailable, StoreError
from jit_render.model.rounds import RoundRecord

MOST_TOLD = 3  # failures of tasks that left no record
STATE_EVENT = "Job state is set"
"""How an event begins that says no more than the state does."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One job's rounds, looked at."""

    rounds: BatchRounds
    follower: StatusFollower

    def look(self) -> JobStatus:
        """The status. A service that cannot be asked is a note, not a failure: the records are there."""
        status = self.follower.refresh()
        if status.state == "done":
            return status
        record = self.rounds.last()
        if record is None:
            return status
        try:
            job = self.rounds.job(record)
        except CloudError as error:
            return self._unasked(status, error)
        if job is not None and not job.is_over:
            return self._active(status, record, job)
        if job is None and not record.accepted:
            note = f"round {record.number} was not handed to Google Batch; submit again, or 'jit-render retry'."
            return dataclasses.replace(status, notes=(note,))
        return self._over(record, job)

    @staticmethod
    def _unasked(status: JobStatus, error: CloudError) -> JobStatus:
        """What failed by the records may be tried again by a service that is only out of reach for a while."""
        is_open = status.state == "failed" and isinstance(error, CloudUnavailable)
        return dataclasses.replace(status, state="waiting" if is_open else status.state, notes=(str(error),))

    @staticmethod
    def _active(status: JobStatus, record: RoundRecord, job: ServiceJob) -> JobStatus:
        """The service tries again on its own, so nothing is over, whatever the last attempts say."""
        counts = ", ".join(f"{count} {state.lower()}" for state, count in sorted(job.counts.items()))
        notes = [f"Google Batch: {job.state.lower()}, round {record.number}; tasks: {counts}."]
        if job.counts.get("PENDING"):  # why they do not begin: a quota, no machine to be had
            notes += [event for event in job.events if not event.startswith(STATE_EVENT)][-1:]
        state: State = "waiting" if status.state == "failed" else status.state
        return dataclasses.replace(status, state=state, notes=tuple(notes))

    def _over(self, record: RoundRecord, job: ServiceJob | None) -> JobStatus:
        """No node works on it any more: attempts without an end are ended, and what is missing has failed."""
        with contextlib.suppress(StoreError):  # somebody who may only read looks on
            self.rounds.bury(record, job)
        status = self.follower.refresh()
        if status.state == "done":
            return status
        state: State = status.state if status.state in {"cancelled", "held"} else "failed"
        return dataclasses.replace(status, state=state, notes=self._why(record, job))

    def _why(self, record: RoundRecord, job: ServiceJob | None) -> tuple[str, ...]:
        if job is None:
            return (f"Google Batch has no job {record.name} any more; 'jit-render retry' makes another.",)
        notes = [f"Google Batch: round {record.number} {job.state.lower()}."]
        tasks = record.task_numbers()
        failures = self.rounds.service.failures(job.name) if job.state == "FAILED" else []
        notes += [f"task {tasks[one.index]}: {one.message}" for one in failures[:MOST_TOLD] if one.index < len(tasks)]
        if len(failures) > MOST_TOLD:
            notes.append(f"... and {len(failures) - MOST_TOLD} tasks more")
        if not failures and job.state == "FAILED" and job.events:
            notes.append(job.events[-1])
        return tuple(notes)
