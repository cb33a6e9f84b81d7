"""The filename filter and the render callbacks.

The filter stands between a File_knob and its op: for every op, frame and view, on any thread, Nuke asks it for the
name to open. So its usual answer is one look-up in the dictionary of held names, and it never raises: what it
cannot do it keeps, answers with a name that cannot exist, and the next frame callback raises, where Nuke documents
that a render is aborted. Without that an op with `on_error black` would go on with black pixels. For the same
reason a kept failure is never forgiven: the op has stored the name that cannot exist, and may keep it.

Before a frame, Nuke's own list of the frame's files is brought in at once and leased for the frame. What the bucket
lacks is noted by node, knob, frame and object, all together, in a marked line, and Nuke renders on: its list may
name files that it will not open (of a Switch's other inputs), and a file that it does open it finds absent itself.
Then the worker tells people what was noted. What could not be *fetched* fails the frame here.

After the frame its files are published, provided that no input left the cache meanwhile. Movies are published when
the render ends. Every failure is printed as one marked line on standard error, by which the worker learns its kind,
and raised as RuntimeError.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set

from nuke_callbacks import names, surface, wire
from nuke_callbacks.client import AgentFailure, Answer, Client
from nuke_callbacks.failures import FrameFailed, about, fail, note_absent, told
from nuke_callbacks.surface import Dependency, Nuke, Output

Filter = Callable[[str], str]


class FrameInHand:
    """One frame of one Write between its two callbacks."""

    def __init__(self, frame: int, outputs: List[Output], places: List[str], started: float) -> None:
        self.frame = frame
        self.outputs = outputs
        self.places = places
        self.started = started


class Movie:
    """A file that holds many frames, complete when the render ends."""

    def __init__(self, outputs: List[Output], places: List[str], started: float) -> None:
        self.outputs = outputs
        self.places = places
        self.started = started
        self.frames: List[int] = []


def filter_over(held: Dict[str, str], ask: Filter) -> Filter:
    """The filter: `held` is asked first; no lock, no attribute, no log on that way."""
    get = held.get

    def filename_filter(name: str) -> str:
        path = get(name)
        return ask(name) if path is None else path

    return filename_filter


class Hooks:
    """What Nuke calls. `frames`: all that this process renders, where known."""

    def __init__(
        self,
        nuke: Nuke,
        client: Client,
        *,
        lookahead: int = 1,
        frames: Sequence[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.filename_filter = filter_over(client.held, self._ask)
        self._nuke = nuke
        self._lookahead = lookahead
        self._frames = sorted(frames)
        self._clock = clock
        self._kept: Dict[str, AgentFailure] = {}
        self._in_hand: Dict[str, FrameInHand] = {}
        self._movies: Dict[str, Movie] = {}
        self._noted: Set[str] = set()  # Writes whose frame in hand lacks something
        self._prefixes: object = None
        self._covers: names.Covers = lambda _name: False

    def register(self) -> None:
        """Add the filter and the callbacks to Nuke."""
        self._nuke.addFilenameFilter(self.filename_filter, nodeClass="*")
        for cls in surface.WRITER_CLASSES:
            self._nuke.addBeforeFrameRender(self.before_frame_render, nodeClass=cls)
            self._nuke.addAfterFrameRender(self.after_frame_render, nodeClass=cls)
            self._nuke.addAfterRender(self.after_render, nodeClass=cls)

    def before_frame_render(self) -> None:
        """Open the frame's scope and bring in what it reads."""
        node, frame = self._nuke.thisNode(), int(self._nuke.frame())
        write = node.fullName()
        self._guard(frame, write, lambda: self._prepare(node, write, frame))

    def after_frame_render(self) -> None:
        """Publish the frame's files and close its scope."""
        in_hand = self._in_hand.pop(self._nuke.thisNode().fullName(), None)
        write = self._nuke.thisNode().fullName()
        frame = in_hand.frame if in_hand else int(self._nuke.frame())
        self._guard(frame, write, lambda: self._finish(write, frame, in_hand))

    def after_render(self) -> None:
        """Publish movies; wait until all that this session published is in the bucket."""
        write = self._nuke.thisNode().fullName()
        movie = self._movies.pop(write, None)
        frame = movie.frames[0] if movie and movie.frames else int(self._nuke.frame())
        self._guard(frame, write, lambda: self._complete(write, frame, movie))

    def _prepare(self, node: surface.Node, write: str, frame: int) -> None:
        self._raise_kept(frame, write)
        if node.Class() not in surface.WRITER_CLASSES:
            return
        outputs = surface.outputs_of(self._nuke, node, frame)
        movie = self._movies.get(write)
        if movie is not None:
            outputs = movie.outputs
        places = self.client.begin_frame(write, frame, outputs, keep=movie is not None)
        if movie is None and names.holds_all_frames(surface.pattern_of(self._nuke, node)):
            self._movies[write] = Movie(outputs, places, self._clock())
        own = {output.name for output in outputs} | set(places)
        needed = [entry for entry in surface.dependencies_of(self._nuke, node, frame) if entry.name not in own]
        self._bring_in(needed, write, frame)
        self._raise_kept(frame, write)
        self._in_hand[write] = FrameInHand(frame, outputs, places, self._clock())
        self._prefetch(node, write, frame, own)

    def _bring_in(self, needed: List[Dependency], write: str, frame: int) -> None:
        asked = _once(needed)
        answers = self.client.ensure(asked, write, frame)
        said = {name: answer for (name, _), answer in zip(asked, answers)}
        failed = [
            AgentFailure(answer["kind"] or "AgentError", told(entry, answer), bool(answer["retryable"]))
            for entry, answer in ((entry, said[entry.name]) for entry in needed)
            if answer["state"] == "failed"
        ]
        missing = self._missing(needed, said, frame)
        if missing:
            self._noted.add(write)
            note_absent(frame, write, missing)
        if failed:
            fail(frame, write, failed)

    def _missing(self, needed: List[Dependency], said: Mapping[str, Answer], frame: int) -> List[List[Any]]:
        """[node, knob, frame, object] of every required input that the bucket lacks and this script does not write."""
        absent = [entry for entry in needed if entry.is_required and said[entry.name]["state"] == "absent"]
        if not absent:
            return []
        made_here = set(surface.outputs_of_script(self._nuke, frame))
        return [
            [entry.node, entry.knob, frame, said[entry.name]["object"] or entry.name]
            for entry in absent
            if entry.name not in made_here
        ]

    def _prefetch(self, node: surface.Node, write: str, frame: int, own: "set[str]") -> None:
        """Have the next frames' files fetched while this one renders; a failure here is no failure of this frame.

        Where the job has a plan, the agent does that by itself.
        """
        if self.client.planned:
            return
        try:
            last = None if self._frames else surface.last_frame(self._nuke)
            for ahead in names.after(frame, self._frames, last, self._lookahead):
                listed = surface.dependencies_of(self._nuke, node, ahead)
                wanted = _once([entry for entry in listed if entry.name not in own])
                if wanted:
                    self.client.ensure(wanted, write, ahead, prefetch=True)
        except Exception:  # noqa: S110 - the frame itself will meet and report it
            pass

    def _finish(self, write: str, frame: int, in_hand: Optional[FrameInHand]) -> None:
        movie = self._movies.get(write)
        if in_hand is None or movie is not None:
            self.client.confirm()
        self._raise_kept(frame, write)
        if in_hand is None:
            return
        if write in self._noted:
            self._noted.discard(write)
            note_absent(frame, write, ())
        if movie is not None:
            movie.frames.append(frame)
            self.client.end_frame(write, frame)
        else:
            seconds = self._clock() - in_hand.started
            self._publish(write, in_hand.outputs, in_hand.places, [frame], seconds, end=True)

    def _complete(self, write: str, frame: int, movie: Optional[Movie]) -> None:
        self.client.confirm()
        self._raise_kept(frame, write)
        if movie is not None and movie.frames:
            seconds = self._clock() - movie.started
            self._publish(write, movie.outputs, movie.places, movie.frames, seconds, end=False)
        _, lost = self.client.drain(session_only=True)
        if lost:
            fail(frame, write, [AgentFailure(kind, "%s: %s" % (url, text)) for url, kind, text in lost])

    def _publish(
        self, write: str, outputs: List[Output], places: List[str], frames: List[int], seconds: float, *, end: bool
    ) -> None:
        """Of several views only those that were rendered are there."""
        written = [output for output, place in zip(outputs, places) if os.path.lexists(place)]
        if not written:
            listed = ", ".join(output.name for output in outputs) or "it has no file name"
            raise AgentFailure("OutputInvalid", "%s wrote nothing (%s); see the renderer's log" % (write, listed))
        try:
            self.client.publish(write, frames[0], written, frames, seconds, end=end)
        except AgentFailure:
            self._raise_kept(frames[0], write)  # what an agent that was lost let go; kept, as all failures are
            raise

    def _ask(self, name: str) -> str:
        """The way of a name that is not held. Never raises."""
        try:
            return self._locate(name)
        except AgentFailure as failure:
            self._kept.setdefault(name, failure)
        except Exception as error:
            self._kept.setdefault(name, AgentFailure("AgentError", "%s: %r" % (name, error)))
        return _nowhere(name)

    def _locate(self, name: str) -> str:
        kind, bare = names.split_type(name)
        if not names.is_absolute(bare) or not self._is_covered(bare):
            return name
        path = self.client.held.get(bare)
        if path is not None:
            return kind + path
        answer = self.client.resolve_for_all(bare)
        if answer["state"] == "unmapped":
            return name
        if answer["state"] == "failed" or not answer["path"]:
            message = about(name, answer["reason"] or "no place for it in the cache")
            raise AgentFailure(answer["kind"] or "AgentError", message, bool(answer["retryable"]))
        return kind + str(answer["path"])

    def _is_covered(self, name: str) -> bool:
        if self._prefixes is None:
            self.client.connect()
        if self._prefixes is not self.client.prefixes:  # another agent said hello
            self._prefixes = self.client.prefixes
            self._covers = names.covering(self.client.prefixes, self.client.view)
        return self._covers(name)

    def _raise_kept(self, frame: int, write: str) -> None:
        for failure in self.client.take_failures():
            self._kept.setdefault(failure.message, failure)
        if self._kept:
            fail(frame, write, list(self._kept.values()))

    def _guard(self, frame: int, write: str, work: Callable[[], None]) -> None:
        """Nothing but FrameFailed leaves a callback."""
        try:
            work()
        except FrameFailed:
            raise
        except AgentFailure as failure:
            fail(frame, write, [failure])
        except Exception as error:
            fail(frame, write, [AgentFailure("RenderError", "the callbacks of %s: %r" % (write, error))])


def install(nuke: Nuke, environ: Mapping[str, str] = os.environ) -> Optional[Hooks]:
    """Register once, on a render node; None (and nothing registered) where no agent is configured."""
    if _installed:
        return _installed[0]
    socket_path = environ.get(wire.SOCKET_VARIABLE, "")
    if not socket_path:
        return None
    client = Client(
        socket_path,
        environ.get(wire.JOB_VARIABLE, ""),
        _number(environ.get(wire.TASK_VARIABLE), 0),
        _number(environ.get(wire.ATTEMPT_VARIABLE), 0),
    )
    hooks = Hooks(
        nuke,
        client,
        lookahead=_number(environ.get(wire.LOOKAHEAD_VARIABLE), 1),
        frames=[_number(part, 0) for part in environ.get(wire.FRAMES_VARIABLE, "").split(",") if part.strip()],
    )
    _switch_localization_off(nuke)
    hooks.register()
    _installed.append(hooks)
    return hooks


_installed: List[Hooks] = []


def _switch_localization_off(nuke: Nuke) -> None:
    """Nuke's own copies of inputs would go around the cache."""
    try:
        getattr(nuke, "localization").setMode("off")  # noqa: B009 - older Nukes have none
    except Exception:  # noqa: S110 - nothing to switch off
        pass


def _once(needed: Sequence[Dependency]) -> List[List[str]]:
    """[name, on_error] of each name once; of several nodes' wishes the one that a hole would hide behind."""
    asked: Dict[str, str] = {}
    for entry in needed:
        if entry.on_error == "nearest frame" or asked.get(entry.name, "error") == "error":
            asked[entry.name] = entry.on_error
    return [[name, on_error] for name, on_error in asked.items()]


def _nowhere(name: object) -> str:
    """A name that can neither exist nor be made, with the base name for Nuke's own message."""
    return "/dev/null/" + str(name).replace("\\", "/").rpartition("/")[2].replace("\0", "")


def _number(text: Optional[str], default: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return default
