"""What a reply to `publish` asks of disk and machine, without the agent: the least that a process beside one can take.

``python -m benchmarks.upload_bare FOLDER`` does the steps of a taken frame in FOLDER (a folder, a link, a small file,
two renames) for each line that it reads, and says a line when they are done. It has one thread and no other work, so
what it is late by is the disk's doing or the scheduler's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Bare:
    """The process, seen by who asks it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self) -> float:
        """Have the steps done once; milliseconds until the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = time.perf_counter()
        self._process.stdin.write(b"\n")
        if not self._process.stdout.readline():
            raise RuntimeError("the bare process ended before it answered")
        return (time.perf_counter() - asked) * 1000


@contextmanager
def running_bare(folder: Path) -> Iterator[Bare]:
    """A process that works in `folder`, which it makes."""
    command = [sys.executable, "-m", "benchmarks.upload_bare", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield Bare(process)
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    output = _written(folder, 0)
    for number, _ in enumerate(sys.stdin.buffer):
        _take(folder, number, output)
        print(flush=True)
        output = _written(folder, number + 1)


def _written(folder: Path, number: int) -> Path:
    output = folder / f"output.{number}"
    output.write_bytes(b"pixels")
    return output


def _take(folder: Path, number: int, output: Path) -> None:
    taking = folder / f"taken.{number}"
    taking.mkdir()
    taken = taking / output.name
    os.link(output, taken)
    taken.chmod(0o400)
    entry = folder / f"entry.{number}.part"
    entry.write_bytes(b"{}" * 300)
    entry.rename(entry.with_suffix(".json"))
    link = folder / f"link.{number}"
    link.symlink_to(taken)
    link.rename(output)


if __name__ == "__main__":
    main()
