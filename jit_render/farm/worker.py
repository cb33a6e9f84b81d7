"""One task, one attempt: the same under every engine.

The worker claims an attempt, makes sure that the node has an agent, puts the script in its place and renders the
frames that have no commit record, in one renderer process (`loop.py`). Then it waits until all that was
published is in the bucket, looks which frames are committed, and ends its record. Whatever happened before, a
frame counts as done only when its commit record is in the bucket.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path

from jit_render.agent import ensure_running
from jit_render.agent.notice import NoticeWatch
from jit_render.farm import outcome as outcomes
from jit_render.farm.attempts import Attempt
from jit_render.farm.holding import hold_of, refuse_held, told
from jit_render.farm.loop import RenderLoop, Tell, signals_into
from jit_render.farm.outcome import Outcome
from jit_render.farm.overtime import Overtime
from jit_render.farm.pace import Pace
from jit_render.farm.records import JobReader
from jit_render.farm.stage import (
    STORE_VARIABLE,
    attempt_environment,
    make_scratch,
    outputs_of,
    place_script,
    renderer_request,
)
from jit_render.farm.watch import Link, LogCopy, Stop, Watch
from jit_render.model.clock import Clock
from jit_render.model.errors import JitRenderError, JobError, from_kind
from jit_render.model.frames import FrameSet, spell
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import FailureClass, Spent
from jit_render.model.settings import Settings
from jit_render.render import find_renderer
from jit_render.render.port import Renderer
from jit_render.render.process import Ended
from jit_render.store import open_store
from nuke_callbacks.client import AgentFailure

PATIENCE_SECONDS = 24 * 3600.0  # for uploads, while nobody preempts us
EARLIER = 3  # attempts whose uploads are waited for
SETTLE_SECONDS = 60.0
TAKEOVER_SECONDS = 30.0  # for another agent, after one was lost

_STOPPED = {
    Stop.PREEMPTED: (FailureClass.PREEMPTED, "preempted: notice received."),
    Stop.INTERRUPTED: (FailureClass.CANCELLED, "interrupted by hand (SIGINT); `jit-render retry` goes on."),
    Stop.CANCELLED: (FailureClass.CANCELLED, "the job was cancelled; `jit-render retry` takes that back."),
    Stop.TAKEN: (FailureClass.PREEMPTED, "the attempt was ended by somebody else."),
}


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """`attempt`: make exactly this one (0: the next). `frames`: only these of the task's (None: all).

    `tell` takes progress as dictionaries of plain values.
    """

    attempt: int = 0
    frames: FrameSet | None = None
    tell: Tell = lambda _: None
    renderer: Renderer | None = None
    licence_waits: tuple[float, ...] = (5.0, 15.0, 30.0)
    """Seconds before each further try when no licence is free."""
    log_seconds: float = 30.0


def work(settings: Settings, home: ObjectUrl, task: int, options: WorkOptions, clock: Clock) -> int:
    """Render what is missing of `task` of the job at `home`. Returns the exit code: 0, 1, 2, 3 or 75."""
    overtime = Overtime(settings.farm.hang_limit, settings.farm.frame_limit)
    loop = RenderLoop(queue.SimpleQueue(), clock, settings.farm.grace, options.tell, overtime)
    with signals_into(loop.inbox), NoticeWatch(lambda: loop.inbox.put(Stop.PREEMPTED)):
        store = open_store(settings.store)
        try:
            reader = JobReader(store, home)
            frames = _asked(reader, task, options.frames)
            if not frames:
                options.tell({"event": "ended", "failure": None, "message": "all frames are already there"})
                return outcomes.DONE
            loop.pace = Pace(whole=any(not write.per_frame for write in reader.spec().writes), asked=len(frames))
            attempt = Attempt.claim(
                store,
                clock,
                reader.paths,
                task=task,
                frames_asked=spell(frames),
                number=options.attempt,
                beat=settings.farm.heartbeat,
            )
            run = _TaskRun(reader, attempt, frames, loop, settings=settings, options=options, clock=clock)
            return run.go()
        except JitRenderError as error:
            options.tell({"event": "error", "kind": error.kind, "message": str(error)})
            return error.exit_code
        finally:
            store.close()


def _asked(reader: JobReader, task: int, only: FrameSet | None) -> tuple[int, ...]:
    tasks = reader.spec().tasks()
    if not 0 <= task < len(tasks):
        raise JobError(f"job {reader.paths.job_id} has tasks 0 to {len(tasks) - 1}; there is no task {task}.")
    if reader.is_cancelled():
        raise JobError(f"job {reader.paths.job_id} was cancelled; `jit-render retry` takes that back.")
    refuse_held(reader.store, reader.paths.home)
    return reader.missing(frame for frame in tasks[task] if only is None or frame in only)


class _TaskRun:
    """One attempt from its claim to its end."""

    def __init__(
        self,
        reader: JobReader,
        attempt: Attempt,
        frames: tuple[int, ...],
        loop: RenderLoop,
        *,
        settings: Settings,
        options: WorkOptions,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._spec = reader.spec()
        self._attempt = attempt
        self._frames = frames
        self._options = options
        self._clock = clock
        self._loop = loop
        self._cache = Path(settings.cache.root).expanduser()
        self._begun = clock.monotonic()
        self._spent = Spent()

    def go(self) -> int:
        """Render, drain, end the record."""
        record = self._attempt.record
        self._options.tell({"event": "attempt", "task": record.task, "attempt": record.attempt})
        scratch: Path | None = None
        try:
            socket = self._agent()
            scratch = make_scratch(self._cache)
            outcome = self._on_stage(Link(socket, self._reader.paths.home, record.task, record.attempt), scratch)
        except AgentFailure as failure:
            outcome = outcomes.of_error(from_kind(failure.kind, failure.message))
        except JitRenderError as error:
            outcome = outcomes.of_error(error)
        except OSError as error:
            outcome = outcomes.of_disk(self._cache, error)
        except Exception as error:
            traceback.print_exc()
            outcome = outcomes.failed(FailureClass.NODE, f"the worker itself failed: {error!r}")
        finally:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
        return self._end(outcome)

    def _agent(self) -> Path:
        return ensure_running(self._cache, self._settings, self._clock)

    def _on_stage(self, link: Link, scratch: Path) -> Outcome:
        log = scratch / "render.log"
        copy = LogCopy(self._reader.store, self._reader.paths.log(link.task, link.attempt), log)
        watch = Watch(
            attempt=self._attempt,
            reader=self._reader,
            link=link,
            log=copy,
            clock=self._clock,
            heartbeat_seconds=self._settings.farm.heartbeat,
            log_seconds=self._options.log_seconds,
            snapshot=lambda: {"frame_in_hand": self._loop.pace.in_hand, "spent": watch.spent()},
            tell=self._loop.inbox.put,
            revive=self._agent,
        )
        with watch:
            self._settle_earlier(link)
            ended = self._render(link, scratch, log)
            problem = self._drain(link)
            self._sweep(link)
            watch.look_at_agent()
            self._spent = watch.spent()
        copy.refresh()
        return self._judge(ended, problem)

    def _settle_earlier(self, link: Link) -> None:
        """What earlier attempts on this node finished may still be on its way; it need not be rendered again."""
        for number in range(max(1, link.attempt - EARLIER), link.attempt):
            dataclasses.replace(link, attempt=number).settle(SETTLE_SECONDS)
        if link.attempt > 1:
            self._frames = self._reader.missing(self._frames)
            self._attempt.beat(frames_asked=spell(self._frames))
            self._loop.pace.asked = len(self._frames)

    def _render(self, link: Link, scratch: Path, log: Path) -> Ended | None:
        """Render what is missing, again after a while when no licence was free. None: stopped before it began."""
        if not self._frames:
            return None
        renderer = self._options.renderer or self._find_renderer()
        with contextlib.closing(
            link.client(takeover_seconds=TAKEOVER_SECONDS, call_seconds=PATIENCE_SECONDS, frames=self._frames)
        ) as client:
            client.connect()
            script = place_script(self._reader.store, link.home, self._spec, Path(client.view))
        request = renderer_request(
            self._spec, self._settings.render, script=script, frames=self._frames, scratch=scratch / "tmp"
        )
        variables = attempt_environment(link, self._frames)
        variables[STORE_VARIABLE] = self._settings.store.model_dump_json()
        request = dataclasses.replace(request, environment={**request.environment, **variables})
        ended: Ended | None = None
        for wait in (*self._options.licence_waits, 0.0):
            self._loop.listen()
            if self._loop.stop is not None:
                break
            ended = self._loop.render(renderer, request, log)
            if ended.verdict.failure is not FailureClass.LICENCE:
                break
            self._loop.pause(wait)
        return ended

    def _find_renderer(self) -> Renderer:
        wanted = self._settings.render.nuke if self._spec.renderer == "nuke" else ""
        return find_renderer(self._spec.renderer, wanted or self._spec.renderer_version)

    def _drain(self, link: Link) -> Outcome | None:
        """Wait for the uploads, as long as the node has; what could not be uploaded, as an outcome."""
        self._loop.listen()
        patience = min(PATIENCE_SECONDS, max(0.5, self._loop.seconds_left() - 1.0))
        try:
            with contextlib.closing(
                link.client(takeover_seconds=min(TAKEOVER_SECONDS, patience), call_seconds=patience)
            ) as client:
                _, failed = client.drain(session_only=True)
        except AgentFailure as failure:
            return outcomes.of_error(from_kind(failure.kind, failure.message))
        if not failed:
            return None
        url, kind, message = failed[0]
        return outcomes.of_error(from_kind(kind, f"{url} could not be uploaded: {message}"))

    def _sweep(self, link: Link) -> None:
        """Clear away unfinished outputs of frames that were begun and not committed; the next attempt would, too.

        They are never published from here: a callback may have stopped the render for what they were made of.
        """
        with contextlib.suppress(AgentFailure, JitRenderError):
            left = set(self._reader.missing(self._frames)).intersection(self._loop.pace.begun)
            with contextlib.closing(link.client(takeover_seconds=0.0, call_seconds=10.0)) as client:
                for frame in sorted(left):
                    for write, outputs in outputs_of(self._spec, frame):
                        client.begin_frame(write, frame, outputs)
                        client.end_frame(write, frame)

    def _judge(self, ended: Ended | None, problem: Outcome | None) -> Outcome:
        """What this attempt came to; the bucket has the last word."""
        keys = [key for frame in self._frames for key in self._spec.commits(frame)]
        done = self._reader.committed_of(keys)
        missing = [key for key in keys if key not in done]
        if not missing:
            return Outcome(None)
        stop = self._loop.stop
        if stop is not None and (ended is None or ended.terminated or ended.verdict.failure is not None):
            hold = hold_of(self._reader.store, self._reader.paths.home) if stop is Stop.CANCELLED else None
            why, words = _STOPPED[stop]
            return outcomes.failed(why, told(self._spec.id, hold) if hold else words)
        if self._loop.overdue is not None:
            return self._loop.overdue
        assert ended is not None
        if ended.verdict.failure is not None:
            return outcomes.of_render(ended)
        return problem or outcomes.of_unwritten(missing)

    def _end(self, outcome: Outcome) -> int:
        done: list[int] = []
        with contextlib.suppress(JitRenderError):
            left = set(self._reader.missing(self._frames))
            done = [frame for frame in self._frames if frame not in left]
        pace = self._loop.pace
        now = self._clock.monotonic()
        start = pace.first_start if pace.first_start is not None else now
        spent = self._spent.model_copy(
            update={
                "start_seconds": start - self._begun,
                "render_seconds": sum(pace.durations),
                "peak_memory_bytes": self._loop.peak_memory_bytes,
                "cpu_seconds": self._loop.cpu_seconds,
                "bytes_fetched": self._spent.bytes_fetched + self._loop.bytes_fetched,
                "bytes_uploaded": self._spent.bytes_uploaded + self._loop.bytes_uploaded,
                "bytes_same": self._loop.bytes_same,
            }
        )
        self._attempt.end(
            outcome.failure,
            outcome.message,
            outcome.exit_code,
            frames_done=spell(done),
            frame_in_hand=pace.in_hand,
            frames_lost=pace.lost(done),
            spent=spent,
        )
        failure = outcome.failure.value if outcome.failure else None
        self._options.tell(
            {"event": "ended", "failure": failure, "message": outcome.message, "frames_done": spell(done)}
        )
        return outcome.exit_code
