"""The cache against a dictionary: whatever happens in whatever order, what it hands out is right, held and bounded."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from soaking import known_seeds, run_seed, soak

from jit_render.cache import Priority
from jit_render.model.errors import CacheTooSmall, PrefetchSkipped
from jit_render.testing.cache_house import CacheHouse, crash, until
from jit_render.testing.gated_store import GatedStore

LIMIT = 1000
NAMES = st.sampled_from(["a.exr", "b/a.exr", "c.%04d.exr", "d/.hidden", "é.exr"])
HOLDERS = st.sampled_from(["s1", "s2", "s3"])
SIZES = st.sampled_from([0, 1, 90, 300, 450, 1500])


class CacheMachine(RuleBasedStateMachine):
    """`contents` is the model: what each identity's bytes are. `held` is what each holder was handed."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm"))  # hundreds of restarts would wait for a real disk
        self.store = GatedStore(piece_bytes=64)
        self.house = CacheHouse(self.folder / "cache", self.store, limit=LIMIT, fetchers=2)
        self.loop = asyncio.new_event_loop()
        self.boots = 1
        self.count = 0
        self.live = {}
        self.contents = {}
        self.held = {}
        self.cache = self.house.open()

    def do(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    def fresh_bytes(self, size):
        self.count += 1
        return (b"%d " % self.count * (size // 2 + 1))[:size]

    @rule(name=NAMES, size=SIZES)
    def overwrite(self, name, size):
        info = self.store.put(f"gs://show/{name}", self.fresh_bytes(size))
        self.live[name] = info
        self.contents[info.id] = self.store.read(info.url)[0]

    @rule(name=NAMES, holder=HOLDERS, priority=st.sampled_from(Priority))
    def acquire(self, name, holder, priority):
        info = self.live.get(name)
        if info is None:
            return
        holder = "" if priority is Priority.PREFETCH else holder

        async def ask():
            asked = asyncio.create_task(self.cache.acquire(holder, info, priority))
            await until(lambda: asked.done() or bool(self.cache._fetches.parked))
            if not asked.done():
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
                return None
            return asked.result()

        try:
            got = self.do(ask())
        except (CacheTooSmall, PrefetchSkipped):
            return
        if got is not None:
            assert got.path.read_bytes() == self.contents[info.id]
            if holder:
                self.held.setdefault(holder, {})[info.id] = got.path

    @rule(names=st.lists(NAMES, max_size=4), holder=HOLDERS, patience=st.integers(0, 4))
    def acquire_many(self, names, holder, patience):
        """Begun together, acquired one after the other, and after `patience` of them given up."""
        infos = [self.live[name] for name in names if name in self.live]

        async def ask():
            for info in infos:
                self.cache.begin(holder, info)
            try:
                for info in infos[:patience]:
                    asked = asyncio.create_task(self.cache.acquire(holder, info))
                    await until(lambda asked=asked: asked.done() or bool(self.cache._fetches.parked))
                    asked.cancel()
                    await asyncio.gather(asked, return_exceptions=True)
            finally:
                self.cache.give_up(holder, infos)
            await until(lambda: not self.cache._fetches.flights)

        self.do(ask())
        assert not self.cache._begun
        for info in infos:  # what was on its way when it was given up may have come for its holder before
            if info.id.digest in self.cache._leases._held.get(holder, {}):
                path = self.cache.lease_cached(holder, info.id)
                self.held.setdefault(holder, {})[info.id] = path

    @rule(name=NAMES, holder=HOLDERS)
    def lease_cached(self, name, holder):
        info = self.live.get(name)
        path = info and self.cache.lease_cached(holder, info.id)
        if path is not None:
            self.held.setdefault(holder, {})[info.id] = path

    @rule(holder=HOLDERS)
    def release(self, holder):
        self.cache.release(holder)
        self.held.pop(holder, None)

    @rule(name=NAMES, size=SIZES)
    def publish(self, name, size):
        source = self.house.root / "spool" / "output"
        source.unlink(missing_ok=True)
        data = self.fresh_bytes(size)
        source.write_bytes(data)
        info = self.store.put(f"gs://show/{name}", data)
        self.live[name], self.contents[info.id] = info, data

        async def adopt():
            await asyncio.to_thread(self.cache.place, info, source)
            return self.cache.adopt(info).read_bytes()  # in the next turn it may go, as nobody holds it

        assert self.do(adopt()) == data

    @rule(name=NAMES)
    def damage(self, name):
        """A bit flips in a copy that nobody holds; only reading it all can tell."""
        info = self.live.get(name)
        entry = info and self.cache._index.get(info.id.digest)
        if entry is None or not entry.size_bytes or entry.digest in self.cache._leases:
            return
        path = Path(self.cache._layout.object_path(entry.digest, entry.name))
        if not path.exists():  # a crash took the file and not yet its row
            return
        path.chmod(0o644)
        path.write_bytes(b"\0" * entry.size_bytes)
        assert str(entry) in self.do(self.cache.verify()).bad

    @rule()
    def clear(self):
        self.do(self.cache.clear())

    @rule()
    def background(self):
        self.do(asyncio.sleep(0))
        self.do(self.cache._index.flush())
        self.do(self.cache._reconcile())

    @rule(clean=st.booleans(), other_boot=st.booleans())
    def restart(self, clean, other_boot):
        if clean:
            self.do(self.cache.close())
        else:
            crash(self.cache)
        self.boots += other_boot
        self.house.boot = f"boot-{self.boots}"
        self.held.clear()
        self.cache = self.house.open()
        self.loop.call_soon(self.cache._trim_if_over)  # as `start` does, without its background work

    @invariant()
    def what_is_held_is_there_and_right(self):
        for holdings in self.held.values():
            for object_id, path in holdings.items():
                assert path.read_bytes() == self.contents[object_id]

    @invariant()
    def nothing_under_a_final_name_is_partial(self):
        for object_id, data in self.contents.items():
            path = Path(self.cache._layout.object_path(object_id.digest, object_id.url.name))
            assert not path.exists() or path.read_bytes() == data

    @invariant()
    def the_limit_holds_but_for_what_is_held(self):
        self.do(asyncio.sleep(0))
        self.cache.check()
        held = {object_id for holdings in self.held.values() for object_id in holdings}
        held_bytes = sum(len(self.contents[object_id]) for object_id in held)
        surplus = sum(self.cache._space.surplus.values())
        assert self.cache.stats().used_bytes <= LIMIT + surplus
        assert self.cache.stats().leased_bytes == held_bytes

    def teardown(self):
        self.do(self.cache.close())
        self.loop.close()
        shutil.rmtree(self.folder)


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("number", known_seeds("CacheMachine"))
def test_what_failed_once(number):
    run_seed(CacheMachine, number)


def test_soak():
    soak(CacheMachine)
