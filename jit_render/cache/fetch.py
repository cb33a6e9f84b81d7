"""One fetch per identity, however many ask; who goes first.

A *flight* is the fetch of one object. Whoever asks for an object that is not here joins its flight or starts it;
starting makes one the *leader*, which means only that a passing failure is the leader's to report: followers look
again and elect a new leader among themselves. The flight is nobody's child: a caller that goes away leaves, and a
flight that runs goes on without it (its bytes are useful), while one that still queues is dropped when nobody is
left.

Queued flights take off in order, demands before prefetches, as slots come free. What only waits for its server, and
for no thread, takes a share of a slot: a bucket answers after tens of milliseconds, and a small object itself takes
half of one. At take-off the flight is *admitted*, which books its space. Where there is no room now but there may be,
it is parked and holds no slot, so that it cannot stand in the way of the very fetch that its room depends on.

INVARIANT: a flight is in `flights` from its first waiter until it ended, and is queued, parked or running, one of them.
INVARIANT: the flights that run take at most `width` slots.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from jit_render.cache.values import Priority
from jit_render.model.errors import CacheError, CacheTooSmall, JitRenderError
from jit_render.model.identity import ObjectInfo

LONGEST_PARKING_SECONDS = 600.0
"""How long a fetch waits for others to let go of their leases: about as long as a heavy frame renders."""
SHARES = 8
"""What a slot is divided into."""
_NOT_QUEUED = object()


@dataclass(frozen=True, slots=True)
class Landing:
    """How a flight ended well."""

    place: str
    hit: bool
    fetched_bytes: int


@dataclass(eq=False, slots=True)
class Waiter:
    """One caller that waits for a flight."""

    holder: str
    priority: Priority
    future: asyncio.Future[Landing]


@dataclass(eq=False, slots=True)
class Flight:
    """The fetch of one object."""

    info: ObjectInfo
    digest: str
    priority: Priority
    waiters: list[Waiter] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    shares: int = SHARES
    """Of a slot, once it runs."""
    written: Callable[[], int] = int
    """Bytes that are on disk already."""

    @property
    def holders(self) -> set[str]:
        """Who waits and will hold the object."""
        return {waiter.holder for waiter in self.waiters if waiter.holder and not waiter.future.done()}


class Fetches:
    """All flights. Used from one thread."""

    def __init__(
        self,
        width: int,
        admit: Callable[[Flight], bool],
        carry: Callable[[Flight], Awaitable[Landing]],
        land: Callable[[Flight], None],
        shares: Callable[[ObjectInfo], int],
    ) -> None:
        self._width = width * SHARES
        self._shares = shares
        self._taken = 0
        self._admit = admit
        self._carry = carry
        self._land = land
        self.flights: dict[str, Flight] = {}
        self._queues: dict[Priority, OrderedDict[Flight, None]] = {priority: OrderedDict() for priority in Priority}
        self.parked: list[Flight] = []
        self.running: dict[Flight, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def queued(self) -> int:
        """Flights that have no slot yet."""
        return len(self.flights) - len(self.running)

    def prefetches(self) -> Iterator[Flight]:
        """Running flights that nobody demands."""
        return (flight for flight in self.running if flight.priority is Priority.PREFETCH)

    def waiting(self) -> int:
        """Prefetches in the queue."""
        return len(self._queues[Priority.PREFETCH])

    def join(self, info: ObjectInfo, holder: str, priority: Priority) -> tuple[Waiter, bool]:
        """Wait for the flight of `info`; the second value tells whether this call began it."""
        if self._closed:
            raise CacheError("the cache is closed; ask its successor.")
        waiter = Waiter(holder, priority, asyncio.get_running_loop().create_future())
        digest = info.id.digest
        flight = self.flights.get(digest)
        leads = flight is None
        if flight is None:
            flight = self.flights[digest] = Flight(info, digest, priority)
            self._queues[priority][flight] = None
        elif priority < flight.priority:
            self._promote(flight, priority)
        flight.waiters.append(waiter)
        self.pump()
        return waiter, leads

    def leave(self, digest: str, waiter: Waiter) -> None:
        """`waiter` was cancelled. A flight that still queues for nobody is dropped."""
        flight = self.flights.get(digest)
        if flight is not None and waiter in flight.waiters:
            self._leave(flight, waiter)
            self.room_changed()

    def forget(self, holder: str) -> None:
        """`holder` let go of everything while some of it was on its way."""
        error = CacheError(f"{holder} ended before its object was here; ask again in a new scope.")
        for flight in list(self.flights.values()):
            for waiter in [waiter for waiter in flight.waiters if waiter.holder == holder]:
                if not waiter.future.done():
                    waiter.future.set_exception(error)
                self._leave(flight, waiter)

    def room_changed(self) -> None:
        """Room may have come free: those that were parked try again, first."""
        parked, self.parked = self.parked, []
        for flight in reversed(parked):
            self._queues[flight.priority][flight] = None
            self._queues[flight.priority].move_to_end(flight, last=False)
        self.pump()

    def pump(self) -> None:
        """Let as many take off as there are slots."""
        while not self._closed and (flight := self._next()) is not None:
            try:
                admitted = self._admit(flight)
            except JitRenderError as error:
                self._end(flight, error)
                continue
            if admitted:
                self._stop_timer(flight)
                self._taken += flight.shares
                self.running[flight] = asyncio.get_running_loop().create_task(self._run(flight))
            else:
                self._park(flight)

    async def close(self, grace_seconds: float) -> None:
        """End everything; a thread that is still busy after `grace_seconds` is left to itself."""
        self._closed = True
        for flight in [flight for flight in self.flights.values() if flight not in self.running]:
            self._end(flight, CacheError("the cache was closed; ask its successor."))
        tasks = set(self.running.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold."""
        queued = [flight for queue in self._queues.values() for flight in queue]
        everywhere = [*queued, *self.parked, *self.running]
        assert len(everywhere) == len(set(everywhere)) == len(self.flights)
        assert {flight.digest for flight in everywhere} == set(self.flights)
        assert self._taken == sum(flight.shares for flight in self.running) <= self._width
        assert all(flight.waiters for flight in [*queued, *self.parked])

    def _leave(self, flight: Flight, waiter: Waiter) -> None:
        flight.waiters.remove(waiter)
        if not flight.waiters and flight not in self.running:
            self._remove(flight)

    def _next(self) -> Flight | None:
        """The first in line, taken out of it, if there is room for it now."""
        if self._taken == self._width:
            return None
        for priority, queue in self._queues.items():
            if not queue:
                continue
            flight = next(iter(queue))
            flight.shares = self._shares(flight.info)
            if self._taken + flight.shares > self._width:
                return None
            if priority is Priority.PREFETCH:
                # One slot stays free of prefetches, so that a demand never waits for what nobody asked for yet.
                ahead = sum(one.shares for one in self.prefetches())
                if ahead + flight.shares > max(SHARES, self._width - SHARES):
                    return None
            del queue[flight]
            return flight
        return None

    def _promote(self, flight: Flight, priority: Priority) -> None:
        if self._queues[flight.priority].pop(flight, _NOT_QUEUED) is None:
            self._queues[priority][flight] = None
        flight.priority = priority

    def _park(self, flight: Flight) -> None:
        self.parked.append(flight)
        if flight.timer is None:
            loop = asyncio.get_running_loop()
            flight.timer = loop.call_later(LONGEST_PARKING_SECONDS, self._give_up, flight)

    def _give_up(self, flight: Flight) -> None:
        if flight in self.parked:
            self._end(
                flight,
                CacheTooSmall(
                    f"{flight.info.id}: other frames have held the cache full for {LONGEST_PARKING_SECONDS:.0f} s; "
                    "raise cache.limit or run fewer workers on this node."
                ),
            )

    async def _run(self, flight: Flight) -> None:
        try:
            landing = await self._carry(flight)
        except asyncio.CancelledError:
            self._end(flight, CacheError("the cache was closed while the object was on its way; ask its successor."))
            raise
        except Exception as error:  # whatever it is belongs to those who wait, and to nobody else
            self._end(flight, error)
        else:
            # In one step with the landing, so that nothing can evict the object before its waiters hold it.
            self._land(flight)
            for waiter in flight.waiters:
                if not waiter.future.done():
                    waiter.future.set_result(landing)
            self._remove(flight)
        self.room_changed()

    def _end(self, flight: Flight, error: Exception) -> None:
        self._remove(flight)
        for waiter in flight.waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error)

    def _remove(self, flight: Flight) -> None:
        self._stop_timer(flight)
        self.flights.pop(flight.digest, None)
        if self.running.pop(flight, None) is not None:
            self._taken -= flight.shares
        if flight in self.parked:
            self.parked.remove(flight)
        self._queues[flight.priority].pop(flight, None)

    def _stop_timer(self, flight: Flight) -> None:
        if flight.timer is not None:
            flight.timer.cancel()
            flight.timer = None
