"""How a failure leaves Nuke: a marked line for the worker, an exception that aborts the render, words for people."""

from __future__ import annotations

import json
import sys
from typing import Any, List, NoReturn, Sequence

from nuke_callbacks import wire
from nuke_callbacks.connection import AgentFailure
from nuke_callbacks.leases import Answer
from nuke_callbacks.surface import Dependency


class FrameFailed(RuntimeError):
    """What aborts a render; already reported."""


def fail(frame: int, write: str, failures: List[AgentFailure], missing: Sequence[Sequence[Any]] = ()) -> NoReturn:
    """Report and raise all of them; the first that trying again cannot help gives the kind."""
    messages = list(dict.fromkeys(failure.message for failure in failures))
    worst = next((failure for failure in failures if not failure.retryable), failures[0])
    message = "frame %d: %s" % (frame, "; ".join(messages))
    mark = {"kind": worst.kind, "message": message, "frame": frame, "write": write, "missing": list(missing)}
    stream = sys.stderr or sys.__stderr__
    if stream is not None:
        stream.write("\n" + wire.FAILURE_MARK + json.dumps(mark) + "\n")  # Nuke may be in the middle of a line
        stream.flush()
    raise FrameFailed(message)


def told(entry: Dependency, answer: Answer) -> str:
    """An input that could not be fetched."""
    return "%s (%s.%s): %s" % (entry.name, entry.node, entry.knob, answer["reason"] or "it could not be fetched")


def missing_told(missing: Sequence[Sequence[Any]]) -> str:
    """Every absent input: [node, knob, frame, object] each."""
    lines = []
    for node, knob, _, place in missing:
        folder, _, base = str(place).rpartition("/")
        lines.append("%s is not in %s (%s.%s)" % (base, folder, node, knob))
    return "%s. Render the rest with --allow-missing." % "; ".join(lines)
