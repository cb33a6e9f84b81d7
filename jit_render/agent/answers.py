"""The answers of `resolve` and `ensure`, as wire.py describes them, and errors as they travel."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from jit_render.cache.health import OUT_OF_DESCRIPTORS
from jit_render.model.errors import AgentError, CacheError, DiskFull, JitRenderError, ProtocolError
from jit_render.model.identity import ObjectUrl
from nuke_callbacks.wire import WireError

Answer = dict[str, Any]


def local(name: str, path: str | Path, url: ObjectUrl, *, leased: bool) -> Answer:
    return _answer(name, "local", path=str(path), leased=leased, object=str(url))


def absent(name: str, path: str | Path, url: ObjectUrl, reason: str = "") -> Answer:
    return _answer(name, "absent", path=str(path), object=str(url), reason=reason)


def unmapped(name: str) -> Answer:
    return _answer(name, "unmapped", path=name)


def failed(name: str, error: BaseException, url: ObjectUrl | None = None) -> Answer:
    known = as_known(error)
    shown = "" if url is None else str(url)
    return _answer(name, "failed", object=shown, reason=str(known), kind=known.kind, retryable=known.retryable)


def _answer(name: str, state: str, **fields: Any) -> Answer:
    empty = {"path": "", "leased": False, "reason": "", "kind": "", "object": "", "retryable": False}
    return {"name": name, "state": state, **empty, **fields}


def as_known(error: BaseException) -> JitRenderError:
    """`error` as one of ours; what is none of ours is the agent's fault or its disk's."""
    if isinstance(error, JitRenderError):
        return error
    if isinstance(error, WireError):
        return ProtocolError(str(error))
    if isinstance(error, OSError) and error.errno in OUT_OF_DESCRIPTORS:
        return AgentError(f"the agent has no file descriptors left ({error.strerror}); try again with fewer clients.")
    if isinstance(error, OSError):
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        where = error.filename or "the cache's disk"
        way_out = "free some space there" if full else "look after the cache's disk, or rename what is in the way"
        return (DiskFull if full else CacheError)(f"{where}: {error.strerror or error!r}; {way_out}.")
    return AgentError(f"the agent failed ({error!r}); agent.log in the cache has the details.")


def as_reply(number: object, error: BaseException) -> dict[str, Any]:
    """The reply that says why a request failed."""
    known = as_known(error)
    told = {"kind": known.kind, "message": str(known), "retryable": known.retryable}
    return {"id": number, "ok": False, "error": told}
