"""Tasks of a preprocessing job, each in a process as the farm's worker starts it; what they took and held."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from benchmarks.preprocess_ending import end
from benchmarks.preprocess_shot import FIRST, Shot
from jit_render.farm.records import JobReader
from jit_render.farm.stage import STORE_VARIABLE
from jit_render.farm.submit import submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import Store
from nuke_callbacks import wire
from preprocess.environment import Wishes
from preprocess.pipeline_file import parse_pipeline
from preprocess.submission import Request, submission_of

_SAMPLE_SECONDS = 0.05
_MOVED = re.compile(r"^(\d+) bytes of pictures read, (\d+) written(?:, \d+ the same as before)?$", re.MULTILINE)


def run(store: Store, settings: Settings, root: str, shot: Shot, wishes: Wishes, *, workers: int = 1) -> dict[str, Any]:
    """The whole shot by `workers` processes at once, each with a share of the frames."""
    data = shot.pipeline(root, "staged" if wishes.staged else "fused")
    pipeline = parse_pipeline(data, "bench.toml")
    chunk = -(-shot.frames // workers)
    request = Request(Path("bench.toml"), shot.frame_range, shot.camera_names, chunk=chunk, wishes=wishes)
    submission = submission_of(settings, pipeline, data, request, SystemClock())
    job = submit(store, submission, SystemClock())
    with ExitStack() as stack:
        commands, environments = [], []
        for task in range(workers):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="task-")))
            script = scratch / "bench.toml"
            script.write_bytes(data)
            first, last = FIRST + task * chunk, min(FIRST + (task + 1) * chunk, FIRST + shot.frames) - 1
            argv = [sys.executable, "-m", "preprocess.render", f"--frames={first}-{last}", f"--scratch={scratch}"]
            commands.append([*argv, f"--cameras={','.join(shot.camera_names)}", str(script)])
            environments.append(_environment(settings, job.home, task))
        told, said = _watched(commands, environments)
    left = JobReader(store, job.home).missing()
    if left:
        raise RuntimeError(f"frames {left} were not made: {said[-2000:]}")
    return told


def _environment(settings: Settings, home: ObjectUrl, task: int) -> dict[str, str]:
    variables = {wire.JOB_VARIABLE: str(home), wire.TASK_VARIABLE: str(task), wire.ATTEMPT_VARIABLE: "1"}
    return {**os.environ, **variables, STORE_VARIABLE: settings.store.model_dump_json(), "OPENIMAGEIO_THREADS": "1"}


def _watched(commands: Sequence[Sequence[str]], environments: Sequence[dict[str, str]]) -> tuple[dict[str, Any], str]:
    began = time.perf_counter()
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in commands]
        processes = [stack.enter_context(_started(*one)) for one in zip(commands, environments, said, strict=True)]
        peak = _Peak([process.pid for process in processes])
        with peak:
            cpu = sum(_ended(process) for process in processes)
        seconds = time.perf_counter() - began
        for file in said:
            file.seek(0)
        texts = [file.read() for file in said]
    moved = [_MOVED.search(text) for text in texts]
    for process, text, found in zip(processes, texts, moved, strict=True):
        if process.returncode or found is None:
            raise RuntimeError(f"preprocess.render ended with {process.returncode}: {text[-2000:]}")
    told = {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "bytes_read": sum(int(found[1]) for found in moved if found),
        "bytes_written": sum(int(found[2]) for found in moved if found),
        "peak_bytes": peak.bytes,
        "largest_peak_bytes": max(peak.each.values(), default=0),
    }
    return told, "".join(texts)


@contextmanager
def _started(command: Sequence[str], environment: dict[str, str], said: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    """One that ends with the `with`, however that is left."""
    process = subprocess.Popen(command, env=environment, stdout=said)
    try:
        yield process
    finally:
        end(process)


def _ended(process: subprocess.Popen[bytes]) -> float:
    """Wait for it; its CPU seconds."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


class _Peak(threading.Thread):
    """Looks at processes now and then: their own memory and that of their files without a disk, together and each."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self._folders = [Path(f"/proc/{pid}") for pid in pids]
        self.over = threading.Event()
        self.bytes = 0
        self.each: dict[Path, int] = {}

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def run(self) -> None:
        while not self.over.wait(_SAMPLE_SECONDS):
            held = {folder: _held(folder) for folder in self._folders}
            self.bytes = max(self.bytes, sum(held.values()))
            self.each = {folder: max(size, self.each.get(folder, 0)) for folder, size in held.items()}


def _held(process: Path) -> int:
    """0 for one that has ended."""
    try:
        status = (process / "status").read_text()
        own = sum(int(size) * 1024 for size in re.findall(r"^Rss(?:Anon|File):\s+(\d+) kB$", status, re.MULTILINE))
        files: dict[int, int] = {}
        for entry in (process / "fd").iterdir():
            try:
                if str(entry.readlink()).startswith("/memfd:"):
                    found = entry.stat()
                    files[found.st_ino] = found.st_blocks * 512
            except OSError:  # closed meanwhile
                continue
        return own + sum(files.values())
    except (OSError, ValueError):
        return 0
