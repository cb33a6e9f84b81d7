"""The protocol between a renderer (or a worker) and the agent of its node.

Newline-delimited JSON, UTF-8, over a Unix socket. One request, one reply, in order; a client numbers its
requests and the reply carries the number. The first request is ``hello``; an agent that cannot speak the
client's version answers with an error and closes. A line is at most `LINE_LIMIT` bytes.

request  ``{"id": 7, "verb": "resolve", ...}``
reply    ``{"id": 7, "ok": true, ...}`` or ``{"id": 7, "ok": false, "error": {"kind", "message", "retryable"}}``

========  ============================================================  =======================================
verb      request                                                       reply
========  ============================================================  =======================================
hello     version, role ("renderer" | "worker" | "tool"), pid,          version, agent (its release), session,
          job (URL of the job's folder, or ""), task, attempt,          view (folder of the job's tree),
          frames (all that a worker will render; may be left out)       prefixes [[prefix, windows, mode], ...],
                                                                        planned (the agent fetches ahead by itself)
resolve   name, write (the frame scope's Write name, or "")              answer (see below)
ensure    names [[name, on_error], ...], write, frame, prefetch (bool)  answers [answer, ...], in order
frame     state ("begin" | "resume" | "end"), write, frame,             outputs [path, ...] (not for end)
          outputs [[view, name], ...]
publish   write, frame, frames (movies: all it holds, else [frame]),    published [url, ...]
          outputs [[view, name], ...], seconds,
          end (the frame's scope ends with it; may be left out)
drain     session_only (bool)                                           committed [[write, view, frame], ...],
                                                                        failed [[url, kind, message], ...]
stats     –                                                             agent {...}, attempt {...}
verify    after (where to go on; "" at first)                           checked, checked_bytes, bad [object, ...],
                                                                        after (null at the end)
========  ============================================================  =======================================

An answer is ``{"name", "state", "path", "leased", "reason", "kind", "object", "retryable"}``:

* ``local``: read (or write) `path`. With `leased`, it stays valid until the frame scope ends, or, when asked for
  outside any scope, until the connection closes. Patterns (``%04d``, ``####``, ``%V``) and names under a write
  rule that do not exist yet are answered with their place in the view, not leased.
* ``absent``: the bucket has no such `object`; `path` is where it would be.
* ``unmapped``: no rule covers the name; use it as it is.
* ``failed``: it could not be fetched; `kind` is the class of the error, `reason` its message.

Frame scope: ``frame begin`` opens the scope (write, frame), ends an older scope of the same Write, removes what an
earlier try left under the outputs' names and takes their write leases. ``ensure`` and ``resolve`` with the same
`write` lease into it. ``frame end`` closes it. A scope also ends with the connection. ``frame resume`` is begin
without the removing: a client that lost its agent in the middle of a frame opens the frame's scope again at the next
agent, and what has been written in between must stay. For the same reason every verb may be sent twice.
What has been begun for the same Write and the same outputs and is not yet published stays, too: a movie grows.

Publish answers once its outputs survive a kill of every process on the node, and waits while the spool is over its
limit. An output that was not written is left out of `published`; one that its writer did not end is the error
OutputInvalid, and then nothing of the request is taken. (Whether an EXR is whole between its two ends is looked at
before its upload.) When an earlier output of the attempt cannot be uploaded, that is the error
of the next publish, once in each session; what that publish brought is safe all the same. With `end` the frame's scope
ends as by ``frame end`` once the outputs are taken. Drain waits for the
attempt's outputs (with `session_only`) or for all of the node's, and tells of the attempt all that this agent has
committed (an agent knows nothing of what one before it did: the bucket does) and all that cannot be uploaded.

Verify re-reads some of what is cached, for a second or so, and throws away what is damaged; asked again with the
`after` of each reply, it goes through all of it.
"""

from __future__ import annotations

import json
from typing import Any, Dict

VERSION = 1
LINE_LIMIT = 8 * 1024 * 1024
VERBS = ("hello", "resolve", "ensure", "frame", "publish", "drain", "stats", "verify")
STATES = ("local", "absent", "unmapped", "failed")

SOCKET_VARIABLE = "JIT_RENDER_SOCKET"  # path of the agent's socket; unset on an artist's desk
JOB_VARIABLE = "JIT_RENDER_JOB"  # URL of the job's folder
TASK_VARIABLE = "JIT_RENDER_TASK"
ATTEMPT_VARIABLE = "JIT_RENDER_ATTEMPT"
LOOKAHEAD_VARIABLE = "JIT_RENDER_LOOKAHEAD"  # frames to prefetch while one renders, without a plan; default 1
FRAMES_VARIABLE = "JIT_RENDER_FRAMES"  # the frames this process renders, separated by commas; bounds the prefetch

FAILURE_MARK = "JIT-RENDER-FAILURE "
"""Starts the one line on standard error by which a renderer's failure reaches its worker: JSON with
`kind` (class of the error), `message`, `frame`, `write`."""

ABSENT_MARK = "JIT-RENDER-ABSENT "
"""Starts the one line that tells which inputs of a frame the bucket lacks, before it is rendered: JSON with `write`,
`frame`, `missing` [[node, knob, frame, object], ...]. With an empty `missing`: the frame was rendered all the same."""


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)


class WireError(Exception):
    """What came over the socket is not the protocol."""


def encode(message: Dict[str, Any]) -> bytes:
    """One line. Surrogates (names that are not Unicode) survive as escapes."""
    line = _ENCODER.encode(message).encode("ascii") + b"\n"
    if len(line) > LINE_LIMIT:
        raise WireError("a message of %d bytes is over the limit of %d" % (len(line), LINE_LIMIT))
    return line


def decode(line: bytes) -> Dict[str, Any]:
    """The message in one line. Raises WireError."""
    if len(line) > LINE_LIMIT:
        raise WireError("a line of %d bytes is over the limit of %d" % (len(line), LINE_LIMIT))
    try:
        message = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise WireError("a line is not JSON: %s" % error) from None
    if not isinstance(message, dict):
        raise WireError("a line holds a %s, not an object" % type(message).__name__)
    return message
