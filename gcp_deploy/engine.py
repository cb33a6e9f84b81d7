"""The engine of Google Batch: what `jit-submit --engine batch` and the commands that look after a job talk to.

The records in the bucket are the truth about frames and attempts, as under every engine. The service is asked for what
they cannot know: whether anything still runs. So a job is over when the service's job is, not when no heartbeat comes
for a while; and one that failed, was deleted or never ran any task is seen although no record says so.

Retries have three floors. The service tries a task again by exit code, `gcp.retries` times. `go_on` opens another round
with the frames that are missing, once the service's job is over and what failed was the machines' fault: on demand if
machines were taken away and the job was submitted with ``--fallback on-demand``, else on the same kind, as long as the
job's own budgets last. Everything else is for a person and `jit-render retry`.

A job that has spent its budget in money stands still: its workers end by themselves, and `go_on` takes from the service
what has not begun, so that no machine is started only to learn it.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator

from gcp_deploy.batch.request import RoundPlan, batch_request, parent_of
from gcp_deploy.batch.rounds import BatchRounds, unfinished_tasks
from gcp_deploy.batch.service import BatchService, ServiceJob, as_proto
from gcp_deploy.batch.standing import Standing
from gcp_deploy.batch.verdict import next_round, was_stopped
from jit_render.farm import control
from jit_render.farm.billing import prices_of, terms_of
from jit_render.farm.engines import give_to
from jit_render.farm.holding import budget_of, hold_of, refuse_held, set_budget
from jit_render.farm.records import JobReader
from jit_render.farm.status import JobStatus, StatusFollower
from jit_render.model.clock import Clock
from jit_render.model.errors import ConfigError
from jit_render.model.frames import spell
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import JobSpec
from jit_render.model.rounds import RoundRecord
from jit_render.model.settings import Settings
from jit_render.store import Store

_OF_ONE_MACHINE = ("file://", "memory://")


def open_engine(settings: Settings, store: Store, clock: Clock) -> BatchEngine:
    """The entry point."""
    return BatchEngine(settings, store, clock)


class BatchEngine:
    """See `jit_render.farm.engine.Engine`. Raises CloudError and its kin where the service refuses."""

    name = "batch"

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._service = BatchService(settings.gcp, clock)
        self._followers: dict[ObjectUrl, StatusFollower] = {}

    def check(self, spec: JobSpec) -> None:
        parent_of(self._settings.gcp)
        places = [self._settings.job.state, *(str(rule.target) for rule in spec.path_map.rules)]
        here = next((place for place in places if place.startswith(_OF_ONE_MACHINE)), "")
        if here and not self._settings.gcp.endpoint:  # another service than Google's has nodes that may see it
            raise ConfigError(f"{here} is on this machine, where no node can read it; use a gs:// bucket.")
        home = ObjectUrl.parse("gs://none/none")
        as_proto(batch_request(self._settings, RoundPlan(home, spec, 1, len(spec.tasks()))))

    def submit(self, home: ObjectUrl) -> None:
        """Have the unfinished tasks run; returns once the service has them. A round that runs already is left alone."""
        tasks = unfinished_tasks(JobReader(self._store, home))
        if not tasks:
            return
        give_to(self._store, home, self.name)
        rounds = self._rounds(home)
        last = rounds.last()
        self._bound(home)
        if last is None:
            self._open(rounds, self._settings, tasks, 1)
            return
        job = rounds.job(last) if last.accepted else rounds.ask(last)  # written down, then something came between
        if job is not None and job.is_active and was_stopped(JobReader(self._store, home), last):
            self._service.cancel(last.name)  # what it gave up it would not begin again
            job = rounds.job(last)
        if job is None or not job.is_active:
            rounds.bury(last, job)
            self._open(rounds, self._settings, unfinished_tasks(JobReader(self._store, home)), last.number + 1)

    def _open(self, rounds: BatchRounds, settings: Settings, tasks: list[int], number: int) -> None:
        """Open a round; not for a job that was cancelled just then, by somebody who did not see the round yet."""
        job = rounds.open(settings, tasks, number)
        if JobReader(self._store, rounds.home).is_cancelled():
            self._service.cancel(job.name)

    def _bound(self, home: ObjectUrl) -> None:
        """What the job may cost, where that is new or more. Raises JobConflict while it is held."""
        budget = self._settings.gcp.budget
        if budget > budget_of(self._store, home):
            on = prices_of(self._settings)
            set_budget(self._store, home, budget, prices=on, terms=terms_of(self._settings))
        refuse_held(self._store, home)

    def status(self, home: ObjectUrl) -> JobStatus:
        """By the records, and by the service where they do not tell."""
        follower = self._followers.setdefault(home, StatusFollower(self._store, home, self._clock))
        return Standing(self._rounds(home), follower).look()

    def go_on(self, home: ObjectUrl) -> str | None:
        """Another round for what the machines failed; what was done, in a line. None: nothing."""
        rounds = self._rounds(home)
        last = rounds.last()
        if last is None:
            return None
        job = rounds.job(last)
        if hold_of(self._store, home):
            return self._stand_still(home, last, job)
        if job is None and not last.accepted:
            return self._hand_over(home, rounds, last)
        if job is None or job.state not in {"SUCCEEDED", "FAILED"}:
            return None  # it runs; or somebody has cancelled or deleted it, and has it begin again with a retry
        rounds.bury(last, job)
        return self._next(home, rounds, last)

    def _stand_still(self, home: ObjectUrl, last: RoundRecord, job: ServiceJob | None) -> str | None:
        """Have nothing more begun for a held job. What still renders ends by itself, with the frame in hand."""
        if job is None or not job.is_active or self.status(home).state == "running":
            return None
        self._service.cancel(last.name)
        return f"{home.name}: round {last.number} at Google Batch is cancelled: the job is held."

    def _hand_over(self, home: ObjectUrl, rounds: BatchRounds, last: RoundRecord) -> str | None:
        """A round that somebody wrote down and who was killed before asking for it."""
        if JobReader(self._store, home).is_cancelled():
            return None
        rounds.ask(last)
        return f"{home.name}: round {last.number} was not handed over yet; Google Batch has it now."

    def _next(self, home: ObjectUrl, rounds: BatchRounds, last: RoundRecord) -> str | None:
        gcp = self._settings.gcp
        has_fallback = gcp.fallback == "on-demand"
        following = next_round(
            JobReader(self._store, home), last, lambda: self._service.exit_codes(last.name) if has_fallback else ()
        )
        if not following.tasks:
            return None
        if has_fallback and following.helps_on_demand:
            gcp = gcp.model_copy(update={"provisioning": "standard"})
        self._open(rounds, self._settings.model_copy(update={"gcp": gcp}), list(following.tasks), last.number + 1)
        kind = "Spot" if gcp.provisioning == "spot" else "on-demand"
        return f"{home.name}: round {last.number + 1}: tasks {spell(following.tasks)} on {kind} machines."

    def cancel(self, home: ObjectUrl) -> None:
        """Stop at the next frame of each task, and have the service start nothing more."""
        control.cancel(self._store, home, self._clock, f"{getpass.getuser()}@{socket.gethostname()}")
        last = self._rounds(home).last()
        if last is not None:
            self._service.cancel(last.name)

    def logs(self, home: ObjectUrl, task: int | None = None, attempt: int | None = None) -> Iterator[control.Log]:
        return control.read_logs(self._store, home, task, attempt)

    def close(self) -> None:
        self._service.close()

    def _rounds(self, home: ObjectUrl) -> BatchRounds:
        return BatchRounds(self._store, self._clock, self._service, home)
