"""A job's budget in money, and the hold that stops a job which has spent it.

``budget.json`` says what the job may cost and what an hour of a node is reckoned at; it is rewritten by whoever raises
it. Whoever finds that the job has cost as much writes ``held.json``, once. A hold names the budget that it is about: as
soon as the budget is larger it means nothing, so raising a budget is one write, whatever else goes on.

What counts is machine time (with disks), attempt by attempt, up to now: storage and requests are known only afterwards
and are a small part. Workers look for the hold at each heartbeat and before each task, as they do for a cancellation.
Adding up is left to some of them (see `counts`): a job of thousands of nodes would otherwise spend its budget on
reading its records. So a job overshoots by what its nodes cost in about a minute, and by the frames in hand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from jit_render.cost.bill import Terms, boots, usd
from jit_render.cost.prices import Prices
from jit_render.cost.usage import occupied_seconds
from jit_render.farm.records import JobReader, concurrently, encode, read_record
from jit_render.model.clock import Clock
from jit_render.model.errors import JitRenderError, JobConflict, ObjectNotFound, PreconditionFailed
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord, BudgetRecord, HoldRecord, JobPaths
from jit_render.store import ABSENT, Store

COUNTERS = 64  # of a job's tasks, whose workers add up
COUNT_SECONDS = 60.0
_RACES = 5


def set_budget(store: Store, home: ObjectUrl, usd: float, *, prices: Prices, terms: Terms) -> BudgetRecord:
    """Let the job cost so much from now on; a hold for less is over. Raises ConfigError, JobConflict."""
    record = BudgetRecord(
        usd=usd,
        machine=terms.machine,
        provisioning=terms.provisioning,
        spot_hour=terms.hour(prices, provisioning="spot"),
        standard_hour=terms.hour(prices, provisioning="standard"),
    )
    url = JobPaths(home).budget
    for _ in range(_RACES):
        try:
            generation = store.stat(url).id.generation
        except ObjectNotFound:
            generation = ABSENT
        with contextlib.suppress(PreconditionFailed, ObjectNotFound):
            store.write(url, encode(record), if_generation=generation)
            return record
    raise JobConflict(f"{home.name}: others keep changing its budget; try again.")


def budget_of(store: Store, home: ObjectUrl) -> float:
    """What the job may cost; 0 where nobody has set a limit."""
    budget = read_record(store, JobPaths(home).budget, BudgetRecord)
    return budget.usd if budget is not None else 0.0


def hold_of(store: Store, home: ObjectUrl) -> HoldRecord | None:
    """The hold, while it holds: one look for a job that never had any."""
    paths = JobPaths(home)
    hold = read_record(store, paths.held, HoldRecord)
    if hold is None:
        return None
    budget = read_record(store, paths.budget, BudgetRecord)
    return hold if budget is None or budget.usd <= hold.budget_usd else None


def told(job: str, hold: HoldRecord) -> str:
    """What people read, with the way out."""
    return (
        f"job {job} is held: it has cost {usd(hold.spent_usd)} of its budget of {usd(hold.budget_usd)}; "
        f"`jit-render resume {job} --budget USD` goes on with more."
    )


def counts(task: int, tasks: int) -> bool:
    """Whether the worker of `task` adds up what the job has cost."""
    return task % max(1, -(-tasks // COUNTERS)) == 0


def spent_usd(attempts: Iterable[AttemptRecord], budget: BudgetRecord, now: float) -> float:
    """What the attempts' machines cost so far, at the budget's hour."""
    known = list(attempts)
    booting = boots(known)
    total = 0.0
    for one in known:
        how = one.provisioning or budget.provisioning
        hour = budget.spot_hour if how == "spot" else budget.standard_hour
        total += (occupied_seconds(one, now) + booting.get((one.task, one.attempt), 0.0)) * hour / 3600
    return total


@dataclass
class BudgetWatch:
    """Looks at one job's money again and again, reading only the attempts that changed."""

    reader: JobReader
    clock: Clock
    every_seconds: float = COUNT_SECONDS
    adds_up: bool = True
    _next: float = field(default=float("-inf"))
    _known: dict[tuple[int, int], tuple[str, AttemptRecord]] = field(default_factory=dict)

    def look(self) -> HoldRecord | None:
        """The hold; written here first, where the budget is found to be spent. Raises StoreError."""
        store, paths = self.reader.store, self.reader.paths
        hold = hold_of(store, paths.home)
        if hold is not None or not self.adds_up or self.clock.monotonic() < self._next:
            return hold
        self._next = self.clock.monotonic() + self.every_seconds
        budget = read_record(store, paths.budget, BudgetRecord)
        if budget is None:
            return None
        self._read()
        spent = spent_usd((record for _, record in self._known.values()), budget, self.clock.wall())
        return self._hold(budget, spent) if spent >= budget.usd else None

    def _read(self) -> None:
        infos = self.reader.attempt_infos()
        new = [key for key, info in infos.items() if self._known.get(key, ("",))[0] != info.id.generation]
        records = concurrently(lambda key: read_record(self.reader.store, infos[key].url, AttemptRecord), new)
        for key, record in zip(new, records, strict=True):
            if record is not None:
                self._known[key] = infos[key].id.generation, record

    def _hold(self, budget: BudgetRecord, spent: float) -> HoldRecord | None:
        """Write the hold, over one for a smaller budget; whoever was first, the hold stands."""
        store, paths = self.reader.store, self.reader.paths
        hold = HoldRecord(budget_usd=budget.usd, spent_usd=spent, at=self.clock.wall())
        try:
            generation = store.stat(paths.held).id.generation
        except ObjectNotFound:
            generation = ABSENT
        with contextlib.suppress(PreconditionFailed):
            store.write(paths.held, encode(hold), if_generation=generation)
        return hold_of(store, paths.home)


def refuse_held(store: Store, home: ObjectUrl) -> None:
    """Raises JobConflict for a job that is held, with the way out."""
    hold = hold_of(store, home)
    if hold is not None:
        raise JobConflict(told(home.name, hold))


def is_held(watch: BudgetWatch) -> bool:
    """Whether the job is to stand still; a store that cannot be asked is no reason to stop."""
    try:
        return watch.look() is not None
    except JitRenderError:
        return False
