"""How a failure leaves Nuke: a marked line for the worker, an exception that aborts the render, words for people."""

from __future__ import annotations

import json
import sys
from typing import Any, Dict, List, NoReturn, Sequence

from nuke_callbacks import wire
from nuke_callbacks.connection import AgentFailure
from nuke_callbacks.leases import Answer
from nuke_callbacks.surface import Dependency

_TELLING = 40  # letters of a name by which people know it


class FrameFailed(RuntimeError):
    """What aborts a render; already reported."""


def fail(frame: int, write: str, failures: List[AgentFailure]) -> NoReturn:
    """Report and raise all of them; the first that trying again cannot help gives the kind."""
    messages = list(dict.fromkeys(failure.message for failure in failures))
    worst = next((failure for failure in failures if not failure.retryable), failures[0])
    message = "frame %d: %s" % (frame, "; ".join(messages))
    _say(wire.FAILURE_MARK, {"kind": worst.kind, "message": message, "frame": frame, "write": write})
    raise FrameFailed(message)


def note_absent(frame: int, write: str, missing: Sequence[Sequence[Any]]) -> None:
    """Tell the worker what the bucket lacks of a frame's inputs; nothing once the frame is done without them."""
    _say(wire.ABSENT_MARK, {"frame": frame, "write": write, "missing": list(missing)})


def told(entry: Dependency, answer: Answer) -> str:
    """An input that could not be fetched."""
    return about(entry.name, answer["reason"] or "it could not be fetched", " (%s.%s)" % (entry.node, entry.knob))


def about(name: str, reason: str, knob: str = "") -> str:
    """`reason` with the file's name before it, unless it names the file itself; names may be absurdly long."""
    if name[:_TELLING] in reason:
        return "%s: %s" % (knob.strip(" ()"), reason) if knob else reason
    return "%.200s%s: %s" % (name, knob, reason)


def missing_told(missing: Sequence[Sequence[Any]]) -> str:
    """Every absent input: [node, knob, frame, object] each."""
    lines = []
    for node, knob, _, place in missing:
        folder, _, base = str(place).rpartition("/")
        lines.append("%s is not in %s (%s.%s)" % (base, folder, node, knob))
    return "%s. Put them there, or set on_error of those nodes to what may stand in." % "; ".join(lines)


def _say(mark: str, told: Dict[str, Any]) -> None:
    stream = sys.stderr or sys.__stderr__
    if stream is not None:
        stream.write("\n" + mark + json.dumps(told) + "\n")  # Nuke may be in the middle of a line
        stream.flush()
