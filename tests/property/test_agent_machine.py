"""An agent against a dictionary: whatever clients, faults and crashes come in whatever order, it keeps its promises.

The promises: a name is answered with whole bytes of the one version its job saw first, or with a failure; what is held
stays; a frame that was published is in the bucket at last, with one record that never changes and that names what is
there; nothing is answered from what another process is still writing.

The agent runs in this process, without its socket: `Node` and `Session` are what a connection would call. A crash is
everything let go of at once, with nothing flushed.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from soaking import known_seeds, run_seed, soak

from jit_render.agent.attempts import AttemptKey
from jit_render.agent.jobs import NEGATIVE_SECONDS
from jit_render.agent.node import Node
from jit_render.agent.session import Session
from jit_render.agent.settings import AgentSettings
from jit_render.model.errors import JitRenderError, TransientStoreError
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import CommitRecord, JobSpec, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.settings import CacheSettings
from jit_render.testing.cache_house import crash, until
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.gated_store import GatedStore

LIMIT = 2000
JOBS = ("job-1", "job-2")
NAMES = st.sampled_from(["a.exr", "b/a.exr", "c.1001.exr", "é.exr"])
CLIENTS = st.sampled_from([(job, number) for job in JOBS for number in (1, 2)])
FRAMES = st.sampled_from([1, 2])
SIZES = st.sampled_from([0, 1, 90, 450, 1500])
FAULTS = st.sampled_from(["transient", "wrong byte", "short", "nothing"])
PASSING = {"TransientStoreError", "ChecksumMismatch", "CacheTooSmall", "GenerationGone", "AgentError"}


class Bucket(GatedStore):
    """It outlives the agents that close it."""

    def close(self):
        pass


class AgentMachine(RuleBasedStateMachine):
    """`versions`: every content a name ever had. `pinned`: what a job's first answer for a name was.

    `may_be_pinned`: what was live when a look failed or was given up. It may have been pinned, and a crash may have
    lost that pin, for nobody was given its bytes.
    """

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.store = Bucket(piece_bytes=64)
        self.clock = FakeClock()
        self.loop = asyncio.new_event_loop()
        self.numbers = itertools.count(1)
        self.versions = {}
        self.pinned = {}
        self.may_be_pinned = {}
        self.held = {}
        self.open_frames = {}
        self.write_leases = {}
        self.absent_until = {}
        self.published = {}
        self.records = {}
        for job in JOBS:
            self.store.put(f"gs://state/jobs/{job}/job.json", spec(job).model_dump_json().encode())
        cache = CacheSettings(limit=LIMIT, free_space=0, fetchers=2, uploaders=2, spool_limit=10**9)
        root = self.folder / "cache"
        self.settings = AgentSettings(
            root, root / "socket", cache, retry_seconds=0.001, retry_limit_seconds=0.001, idle_seconds=0
        )

    @initialize()
    def begin(self):
        self.do(self._start())

    def do(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    async def _start(self):
        self.node = Node(self.settings, self.store, self.clock)
        for entry in self.node.spool.recover():  # as `start`, without what would go on by itself
            self.node.uploads.add(entry)
        self.sessions = {}
        self.held.clear()
        self.open_frames.clear()
        self.write_leases.clear()
        self.absent_until.clear()
        self.node.cache._trim_if_over()
        await self.node.cache._reconcile()

    async def session(self, client):
        if client not in self.sessions:
            job, number = client
            home = ObjectUrl.parse(f"gs://state/jobs/{job}")
            opened = await self.node.jobs.open(home)
            self.node.use_view(job)
            key = AttemptKey(str(home), number, 1)
            self.sessions[client] = Session(self.node, next(self.numbers), opened, key, role="renderer")
        return self.sessions[client]

    async def ask(self, client, verb, **fields):
        """The reply, or the kind of the refusal. What waits for room that nobody gives back is given up."""
        session = await self.session(client)
        asked = asyncio.create_task(session.handle({"verb": verb, **fields}))
        await until(lambda: asked.done() or bool(self.node.cache._fetches.parked))
        if not asked.done():
            asked.cancel()
        try:
            return await asked
        except asyncio.CancelledError:
            return "parked"
        except JitRenderError as error:
            return error.kind

    def fresh_bytes(self, size):
        return (b"%d " % next(self.numbers) * (size // 2 + 1))[:size]

    @rule(name=NAMES, size=SIZES)
    def overwrite(self, name, size):
        data = self.fresh_bytes(size)
        self.store.put(f"gs://show/{name}", data)
        self.versions.setdefault(name, []).append(data)

    @rule(fault=FAULTS)
    def fault(self, fault):
        self.store.failures = {
            "transient": [TransientStoreError("the network is gone")],
            "wrong byte": [lambda data: bytes([data[0] ^ 1]) + data[1:] if data else data],
            "short": [lambda data: data[:-1]],
            "nothing": [],
        }[fault]

    @rule(client=CLIENTS, name=NAMES, in_frame=st.booleans())
    def resolve(self, client, name, in_frame):
        write = "W" if in_frame and client in self.open_frames else ""
        live = self.versions.get(name, [None])[-1]
        reply = self.do(self.ask(client, "resolve", name=f"/show/{name}", write=write))
        key = (client[0], name)
        seen = self.may_be_pinned.setdefault(key, [])
        if live is not None:
            seen.append(live)
        if reply == "parked":
            return
        answer = reply["answer"]
        if answer["state"] == "absent":
            now = self.clock.monotonic()
            assert key not in self.pinned
            if live is None:
                self.absent_until[key] = max(now + NEGATIVE_SECONDS, self.absent_until.get(key, 0.0))
            else:
                assert now < self.absent_until[key]
                seen.pop()
        elif answer["state"] == "failed":
            assert answer["kind"] in PASSING, answer
        else:
            data = Path(answer["path"]).read_bytes()
            assert data == self.pinned.setdefault(key, data)
            assert data in seen
            self.held.setdefault((client, write), {})[answer["path"]] = data

    @rule(client=CLIENTS, frame=FRAMES)
    def begin_frame(self, client, frame):
        fields = {"state": "begin", "write": "W", "frame": frame, "outputs": output(client[0], frame)}
        reply = self.do(self.ask(client, "frame", **fields))
        if reply == "OutputBusy":
            assert self.others_write(client, frame)
            self.release(client, "W")  # its Write has gone on from its last frame all the same
            return
        assert not self.others_write(client, frame)
        self.write_leases[client] = frame
        self.release(client, "W")
        (place,) = reply["outputs"]
        self.open_frames[client] = (frame, Path(place))

    @rule(client=CLIENTS, size=SIZES.filter(bool), end=st.booleans())
    def publish(self, client, size, end):
        if client not in self.open_frames:
            return
        frame, place = self.open_frames[client]
        data = self.fresh_bytes(size)
        if self.others_write(client, frame) and self.write_leases.get(client) != frame:
            return
        place.unlink(missing_ok=True)
        place.write_bytes(data)
        fields = {"write": "W", "frame": frame, "frames": [frame], "outputs": output(client[0], frame), "end": end}
        reply = self.do(self.ask(client, "publish", **fields))
        if reply == "OutputBusy":  # published before, then begun by another
            assert self.others_write(client, frame)
            return
        self.write_leases.pop(client, None)
        if end:
            self.release(client, "W")
        assert reply["published"] == [f"gs://out/{client[0]}.{frame:04d}.txt"]
        earlier = self.published.setdefault((client[0], frame), [])
        assert earlier or place.read_bytes() == data  # where an earlier attempt has won, ours leaves the view
        earlier.append(data)

    def others_write(self, client, frame):
        """A write lease lasts beyond its frame: until its file is published, or its Write goes on, or its client."""
        return any(
            other != client and other[0] == client[0] and held == frame for other, held in self.write_leases.items()
        )

    @rule(client=CLIENTS)
    def end_frame(self, client):
        if client in self.open_frames:
            self.do(self.ask(client, "frame", state="end", write="W", frame=0))
            self.release(client, "W")

    @rule(client=CLIENTS, frame=FRAMES)
    def read_back(self, client, frame):
        """An output of its own job: absent, its place, or whole bytes that were published."""
        reply = self.do(self.ask(client, "resolve", name=f"/out/{client[0]}.{frame:04d}.txt", write=""))
        if reply == "parked" or reply["answer"]["state"] != "local" or not reply["answer"]["leased"]:
            return
        contents = self.published[client[0], frame]
        try:
            assert Path(reply["answer"]["path"]).read_bytes() in contents
        except FileNotFoundError:  # these bytes lost against an earlier attempt's: better no file than the wrong one
            assert len(contents) > 1

    @rule(client=CLIENTS)
    def disconnect(self, client):
        session = self.sessions.pop(client, None)
        if session is not None:
            session.close()
            self.release(client, "")
            self.release(client, "W")
            self.write_leases.pop(client, None)

    def release(self, client, write):
        self.held.pop((client, write), None)
        if write:
            self.open_frames.pop(client, None)

    @rule()
    def drain(self):
        self.do(self.node.uploads.wait_for(lambda _: True))
        for (job, frame), contents in self.published.items():
            record = CommitRecord.model_validate_json(self.store.read(record_url(job, frame))[0])
            (made,) = record.outputs
            data, info = self.store.read(ObjectUrl.parse(f"gs://out/{job}.{frame:04d}.txt"))
            assert info.id.generation == made.generation
            assert data in contents

    @rule()
    def evict(self):
        self.do(self.node.cache.clear())

    @rule()
    def verify(self):
        assert self.do(self.node.cache.verify()).bad == ()

    @rule()
    def flush(self):
        self.do(self.node.cache._index.flush())

    @rule(seconds=st.sampled_from([1.0, 6.0, 86400.0]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(clean=st.booleans())
    def restart(self, clean):
        self.end(clean=clean)
        self.do(self._start())

    def end(self, *, clean):
        if clean:
            for session in self.sessions.values():
                session.close()
            self.do(self.node.close())
        else:
            self.node.uploads.close()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.do(settled(tasks))
            crash(self.node.cache)
        for pool in (self.node.uploads._threads, self.node.uploads._summing, self.node._disk):
            pool.shutdown(wait=True)  # what a kill would stop at once

    @invariant()
    def what_is_held_is_there_and_right(self):
        for holdings in self.held.values():
            for path, data in holdings.items():
                assert Path(path).read_bytes() == data

    @invariant()
    def the_cache_is_consistent(self):
        if hasattr(self, "node"):
            self.do(asyncio.sleep(0))
            self.node.cache.check()

    @invariant()
    def a_record_never_changes(self):
        for job, frame in self.published:
            url = record_url(job, frame)
            if url in self.store._objects:
                assert self.records.setdefault(url, self.store.read(url)[0]) == self.store.read(url)[0]

    def teardown(self):
        if hasattr(self, "node"):
            self.drain()
            self.end(clean=True)
        self.loop.close()
        shutil.rmtree(self.folder)


async def settled(tasks):
    await asyncio.gather(*tasks, return_exceptions=True)


def spec(job):
    rules = (
        PathRule(prefix="/show", target="gs://show"),
        PathRule(prefix="/out", target="gs://out", mode="write"),
    )
    return JobSpec(
        id=job, shot="s", created=1.0, script_name="a.nk", script_source="/show/a.nk", script_sha256="0",
        fingerprint="0", frames="1-2", writes=(WriteTarget(name="W", file="/out/%04d.txt"),),
        path_map=PathMap(rules=rules),
    )  # fmt: skip


def output(job, frame):
    return [["main", f"/out/{job}.{frame:04d}.txt"]]


def record_url(job, frame):
    return ObjectUrl.parse(f"gs://state/jobs/{job}/frames/W/main/{frame}.json")


TestAgent = AgentMachine.TestCase
TestAgent.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("number", known_seeds("AgentMachine"))
def test_what_failed_once(number):
    run_seed(AgentMachine, number)


def test_soak():
    soak(AgentMachine)


def test_nobody_is_led_into_the_spool_while_it_lets_go_of_a_file():
    machine, client, may_go = AgentMachine(), ("job-1", 1), threading.Event()
    machine.begin()
    spool, stopped = machine.node.spool, threading.Event()
    remove = spool.remove

    def slow_remove(entry):
        stopped.set()
        may_go.wait()
        remove(entry)

    spool.remove = slow_remove
    machine.begin_frame(client=client, frame=1)
    machine.publish(client=client, size=90, end=False)
    machine.do(asyncio.to_thread(stopped.wait))
    machine.begin_frame(client=client, frame=1)
    machine.disconnect(client=client)
    reply = machine.do(machine.ask(client, "resolve", name="/out/job-1.0001.txt", write=""))
    may_go.set()
    machine.drain()
    assert Path(reply["answer"]["path"]).read_bytes() in machine.published["job-1", 1]
    machine.teardown()


def test_what_stood_outside_the_limit_counts_after_a_crash():
    machine, reader, writer = AgentMachine(), ("job-1", 1), ("job-1", 2)
    machine.begin()
    for name, size in (("a.exr", 1500), ("b/a.exr", 450)):
        machine.overwrite(name=name, size=size)
        machine.resolve(client=reader, name=name, in_frame=False)
    machine.begin_frame(client=writer, frame=1)
    machine.publish(client=writer, size=450, end=False)
    machine.drain()
    assert machine.node.cache._space.surplus
    machine.flush()
    machine.restart(clean=False)
    machine.the_cache_is_consistent()
    assert machine.node.cache._space.charged() <= LIMIT
    machine.teardown()
