"""One agent per cache, started by whoever first needs it.

The cache's own flock decides who is the agent, so starting one too many is harmless: it sees the lock and ends.
A second lock, held by a starter until its agent answers, keeps fifty workers from starting fifty agents.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jit_render.model.clock import Clock
from jit_render.model.errors import AgentLost, CacheUnusable, JitRenderError, from_kind
from jit_render.model.settings import Settings
from nuke_callbacks import wire

FAILURE_PREFIX = "jit-render agent: "
"""Starts the last line of an agent that could not start; the kind of the error and its message follow."""

START_SECONDS = 20.0  # a busy machine starts a Python in a few seconds
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.02
_SOCKET_LIMIT_BYTES = 100  # sockaddr_un holds 108
_TAIL_BYTES = 16 * 1024

_started: list[subprocess.Popen[bytes]] = []  # agents outlive us; kept so that those that ended are reaped


def socket_path(cache_root: Path) -> Path:
    """Where the agent of this cache listens: in the cache, or where that path is too long, in a folder of this user's.

    Raises CacheUnusable where somebody else owns that folder.
    """
    root = cache_root.expanduser().absolute()
    path = root / "agent.sock"
    if len(os.fsencode(path)) <= _SOCKET_LIMIT_BYTES:
        return path
    name = Path(f"jit-render-{os.getuid()}", f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.sock")
    candidates = [Path(folder) / name for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp")]  # noqa: S108 - private
    path = next(candidate for candidate in candidates if len(os.fsencode(candidate)) <= _SOCKET_LIMIT_BYTES)
    folder = path.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise CacheUnusable(
            f"{folder} is not a private folder of user {os.getuid()}; remove it, or set a shorter cache.root."
        )
    return path


def ensure_running(
    cache_root: Path,
    settings: Settings,
    clock: Clock,
    *,
    arguments: tuple[str, ...] = (),
    seconds: float = START_SECONDS,
) -> Path:
    """The socket of a live agent of this cache, started if need be; it outlives the caller. Several may call at once.

    `arguments` are more options for a new agent (``--idle-seconds 60``). Raises CacheUnusable and what else
    keeps an agent from starting, AgentLost where none answers after `seconds`.
    """
    root = cache_root.expanduser().absolute()
    _make(root)
    path = socket_path(root)
    end = clock.monotonic() + seconds
    child: subprocess.Popen[bytes] | None = None
    log_start = 0
    may_start = False
    with contextlib.ExitStack() as held:
        while not answers(path):
            if child is not None and child.poll() not in {None, 0}:
                error = _told(root, log_start)
                if error is not None and error.kind != "CacheLocked":  # locked: another agent has it and will answer
                    raise error
                child = None
            may_start = may_start or held.enter_context(_starter(root))  # taken once: our own lock would refuse us
            if child is None and may_start:
                log_start, child = _start(root, path, settings, arguments)
            if clock.monotonic() >= end:
                raise AgentLost(f"no agent answers at {path} after {seconds:g} s; see {root / 'agent.log'}.")
            clock.sleep(_POLL_SECONDS)
    return path


def answers(path: Path) -> bool:
    """Whether a live agent says hello at `path`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(path))
            connection.sendall(wire.encode({"id": 0, "verb": "hello", "version": wire.VERSION, "role": "tool"}))
            with connection.makefile("rb") as lines:
                reply = wire.decode(lines.readline())
    except (OSError, wire.WireError):
        return False
    return bool(reply.get("ok")) or "error" in reply  # one of another version lives, too: the client will be told


def _make(root: Path) -> None:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CacheUnusable(
            f"cache {root} cannot be made ({error.strerror}); set cache.root to a folder that this user can write."
        ) from error


@contextlib.contextmanager
def _starter(root: Path) -> Iterator[bool]:
    """Whether we are the one who starts the agent; until the block ends nobody else is."""
    descriptor = os.open(root / "agent.start", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _start(
    root: Path, path: Path, settings: Settings, arguments: tuple[str, ...]
) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a detached agent; how long the log was before, and the process."""
    sections = settings.model_dump(mode="json", include={"cache", "store"})
    command = [sys.executable, "-m", "jit_render.agent", "--cache", str(root), "--socket", str(path)]
    _started[:] = [process for process in _started if process.poll() is None]
    with (root / "agent.log").open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(
            [*command, "--settings", json.dumps(sections), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",  # the folder we happen to be in must stay removable
            env=_environment(),
            start_new_session=True,  # our terminal's and our group's signals are not for it
        )
    _started.append(process)
    return log_start, process


def _environment() -> dict[str, str]:
    """Ours, with this package importable from anywhere and nothing of one job's."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JIT_RENDER_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _told(root: Path, log_start: int) -> JitRenderError | None:
    """What an agent that ended said last."""
    try:
        with (root / "agent.log").open("rb") as log:
            log.seek(max(log_start, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith(FAILURE_PREFIX):
            kind, _, message = line.removeprefix(FAILURE_PREFIX).partition(": ")
            return from_kind(kind, message)
    return None
