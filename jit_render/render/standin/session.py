"""One run of the stand-in, as `nuke -x` does it: init.py files, script, then frame after frame of each Write.

For every frame of a Write: beforeFrameRender, its views rendered, its files written beside their names and renamed,
afterFrameRender. An exception in a callback ends the run there: no later callback is called.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jit_render.model.errors import JitRenderError, RenderError, ScriptError, UsageError
from jit_render.model.frames import FrameSet, has_view
from jit_render.render.standin import layers, nuke_module, registry, writer
from jit_render.render.standin.call import Call, describe
from jit_render.render.standin.callbacks import FilterFailed
from jit_render.render.standin.engine import Engine, check, upstream
from jit_render.render.standin.image import Image
from jit_render.render.standin.names import FileNames, FilterTiming
from jit_render.render.standin.nodes.io import write_options
from jit_render.render.standin.nuke_nodes import Runtime
from jit_render.render.standin.reader import Reader
from jit_render.script import Evaluator, Node, Script, parse
from jit_render.script.timing import is_disabled

TIMING_VARIABLE = "JIT_RENDER_STANDIN_TIMING"
SLOW_VARIABLE = "JIT_RENDER_STANDIN_SECONDS_PER_FRAME"
_DECODED_BYTES = 256 << 20  # seven pictures of 1920 x 1080 and four channels


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. Empty `frames`: the script's own range; empty `writes`: every enabled Write."""

    script: Path
    frames: tuple[int, ...] = ()
    writes: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    threads: int = 0
    cache_bytes: int = 0
    verbose: int = 0
    in_render_order: bool = False
    """Each Write over all frames before the next (--sro), instead of all Writes frame by frame."""


class CallbackFailed(RenderError):
    """A render callback raised, which ends the render."""


class Session:
    """A loaded script, ready to render. Raises JitRenderError for anything wrong with it."""

    def __init__(self, options: Options, environment: Mapping[str, str]) -> None:
        self._options = options
        self._seconds = _seconds(environment)
        self.runtime = Runtime(raw_args=list(sys.argv))
        nuke_module.start(self.runtime, environment)
        script = self._script = _parsed(options.script)
        evaluator = Evaluator(script, script_path=_script_path(options.script), environment=environment)
        self.runtime.views = evaluator.views
        self.runtime.script, self.runtime.evaluator = script, evaluator
        self.runtime.names = FileNames(script, evaluator, self.runtime.callbacks, _timing(environment))
        self.runtime.view = evaluator.views[0]
        self.views = _chosen_views(options.views, evaluator.views)
        self.frames = options.frames or _script_frames(script, evaluator)
        self.runtime.frame = self.frames[0]
        self.writes = _chosen_writes(script, evaluator, options.writes, self.frames[0])
        needed = upstream(self.writes)
        reader = Reader(options.cache_bytes or _DECODED_BYTES, options.threads)
        self._engine = Engine(script, evaluator, self.runtime.names, reader, views=evaluator.views, needed=needed)
        self.runtime.engine = self._engine
        check(needed, self._engine, frame=self.frames[0], view=evaluator.views[0])
        self.runtime.names.load(self.frames[0], evaluator.views[0])

    def render(self) -> None:
        """All frames. Raises JitRenderError at the first failure."""
        plan = list(self._plan())
        with np.errstate(all="ignore"):
            for write in self.writes:
                self.runtime.frame = self.frames[0]
                self._callback("beforeRender", write)
            shown = None
            places = {moment: index for index, moment in enumerate(dict.fromkeys(one[0] for one in plan), start=1)}
            for moment, write, frame in plan:
                if moment != shown:
                    _say(f"Frame {frame} ({places[moment]} of {len(places)})")
                    shown = moment
                self._render_frame(write, frame)
            for write in self.writes:
                self._callback("afterRender", write)

    def _plan(self) -> Iterator[tuple[tuple[int, int], Node, int]]:
        """(what a line `Frame …` announces, the Write, the frame) in order."""
        if self._options.in_render_order:
            for index, write in enumerate(self.writes):
                for frame in self.frames:
                    if self._in_limit(write, frame):
                        yield (index, frame), write, frame
            return
        for frame in self.frames:
            for write in self.writes:
                if self._in_limit(write, frame):
                    yield (0, frame), write, frame

    def _in_limit(self, write: Node, frame: int) -> bool:
        call = Call(self._engine, write, frame, self.views[0])
        return not call.boolean("use_limit") or call.number("first", 1.0) <= frame <= call.number("last", 1.0)

    def _render_frame(self, write: Node, frame: int) -> None:
        self.runtime.frame = frame
        self.runtime.view = self.views[0]
        self._callback("beforeFrameRender", write)
        started = time.monotonic()
        for path, views in self._files(write, frame):
            self._write_file(write, frame, path, views)
            seconds, started = time.monotonic() - started, time.monotonic()
            _say(f"Writing {path} took {seconds:.2f} seconds")
        self._engine.forget()
        if self._seconds > 0:
            time.sleep(self._seconds)
        self.runtime.view = self.views[0]
        self._callback("afterFrameRender", write)

    def _files(self, write: Node, frame: int) -> list[tuple[str, tuple[str, ...]]]:
        """The files of one frame, each with the views in it."""
        call = Call(self._engine, write, frame, self.views[0])
        views = self._views_of(call)
        names = self._engine.names
        pattern = names.written(write, "file", frame, views[0])
        if not pattern:
            raise call.failed("it has no file to write.")
        if len(views) == 1:
            return [(names.opened(write, "file", frame, views[0]), views)]
        by_view: list[tuple[str, tuple[str, ...]]] = []
        by_view += [(names.opened(write, "file", frame, view), (view,)) for view in views]
        if has_view(pattern) or len({path for path, _ in by_view}) == len(views):
            return by_view
        path = by_view[0][0]
        if write_options(call, path).file_type != "exr":
            raise call.failed(f"{path} would hold {len(views)} views; put %V into the name or write an EXR.")
        return [(path, views)]

    def _views_of(self, call: Call) -> tuple[str, ...]:
        listed = call.string("views", "").replace("{", " ").replace("}", " ").split()
        known = [view for view in listed if view in self._engine.views] or list(self._engine.views)
        chosen = tuple(view for view in known if view in self.views)
        if not chosen:
            raise call.failed(f"it writes {', '.join(known)}; --view asks for {', '.join(self.views)}.")
        return chosen

    def _write_file(self, write: Node, frame: int, path: str, views: tuple[str, ...]) -> None:
        call = Call(self._engine, write, frame, views[0])
        options = write_options(call, path)
        writer.check_folder(path, create=call.boolean("create_directories"))
        images: dict[str, Image] = {}
        for view in views:
            self.runtime.view = view
            source = write.inputs[0] if write.inputs else None
            if source is None:
                raise call.failed("nothing is connected to it.")
            images[view] = self._engine.pull(source, frame, view)
        names = _channels(call, images)
        try:
            writer.write(path, images, names, options)
        except RenderError as error:
            raise call.failed(str(error)) from None

    def _callback(self, kind: str, write: Node) -> None:
        try:
            self.runtime.callbacks.run(kind, write)
        except Exception as error:
            said = str(error) or type(error).__name__
            frame = self.runtime.frame
            raise CallbackFailed(f"frame {frame}: {describe(write)}: {kind} failed: {said}") from error


def _channels(call: Call, images: Mapping[str, Image]) -> tuple[str, ...]:
    present = tuple(dict.fromkeys(name for image in images.values() for name in image.names))
    names = layers.in_order(layers.select(call.string("channels", "rgb"), present))
    if not names:
        raise call.failed(f"its channels ({call.string('channels', 'rgb')}) are none that come in.")
    return names


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the lines that tell a farm how far it is


def _parsed(path: Path) -> Script:
    try:
        return parse(path.read_bytes(), name=path.name)
    except OSError as error:
        raise ScriptError(f"the script {path} cannot be read: {error.strerror or error}") from None


def _script_path(path: Path) -> str:
    return str(path if path.is_absolute() else Path.cwd() / path)


def _timing(environment: Mapping[str, str]) -> FilterTiming:
    text = environment.get(TIMING_VARIABLE, FilterTiming.PATTERN)
    try:
        return FilterTiming(text)
    except ValueError:
        raise UsageError(f"{TIMING_VARIABLE} is {text!r}; it is 'pattern' or 'concrete'.") from None


def _seconds(environment: Mapping[str, str]) -> float:
    text = environment.get(SLOW_VARIABLE, "0") or "0"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{SLOW_VARIABLE} is {text!r}; it is a number of seconds.") from None


def _chosen_views(wanted: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    strange = [view for view in wanted if view not in known]
    if strange:
        raise UsageError(f"--view {','.join(strange)}: the script's views are {', '.join(known)}.")
    return tuple(view for view in known if view in wanted) if wanted else known


def _script_frames(script: Script, evaluator: Evaluator) -> tuple[int, ...]:
    first = evaluator.number(script.root, "first_frame", frame=1, default=1.0)
    last = evaluator.number(script.root, "last_frame", frame=1, default=100.0)
    return FrameSet.of(range(round(first), round(last) + 1)).frames


def _chosen_writes(script: Script, evaluator: Evaluator, names: tuple[str, ...], frame: int) -> tuple[Node, ...]:
    """In render order; those of equal order as the script has them."""
    view = evaluator.views[0]
    if names:
        writes = [script.find(name) for name in names]
        for node in writes:
            if node.cls != "Write":
                kind = "is a" if registry.is_known(node.cls) else "is of the class"
                raise UsageError(f"{node.full_name} {kind} {node.cls}; the stand-in executes Write nodes.")
    else:
        writes = [node for node in script.nodes if node.cls == "Write" and node.parent is None]
        writes = [node for node in writes if not is_disabled(node, evaluator, frame, view)]
    if not writes:
        raise UsageError(f"{script.name}: there is no enabled Write node to execute.")
    return tuple(sorted(writes, key=lambda node: evaluator.number(node, "render_order", frame=frame, default=1.0)))


def run(options: Options, environment: Mapping[str, str] | None = None) -> None:
    """Render. Raises JitRenderError (or FilterFailed) with a message of one line."""
    try:
        Session(options, os.environ if environment is None else environment).render()
    except FilterFailed as error:
        raise RenderError(str(error)) from error
    except JitRenderError:
        raise
