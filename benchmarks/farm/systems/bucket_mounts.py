"""Programs that show a bucket as a folder: rclone and gcsfuse, each with its cache on the host's disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from benchmarks.farm import shot
from benchmarks.farm.host import Task
from benchmarks.farm.links import Host
from benchmarks.farm.systems.port import BUCKET, Bench, Plain, Prepared


def rclone_environment(bench: Bench) -> dict[str, str]:
    """Where rclone's remote ``:gcs:`` is; no configuration of this user's is read."""
    return {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_GCS_ENDPOINT": f"{bench.server.url}/storage/v1/",
        "RCLONE_GCS_ANONYMOUS": "true",
    }


class _Mounted:
    """A bucket mounted on each host; shot and outputs are below the mount."""

    name = ""
    program = ""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def missing(self) -> str:
        if shutil.which("fusermount3") is None or not Path("/dev/fuse").exists():
            return "FUSE is not there (fusermount3, /dev/fuse)"
        return "" if shutil.which(self.program) else f"{self.program} is not on the PATH"

    def prepare(self, hosts: Sequence[Host]) -> Prepared:
        bench = self._bench
        key = f"out-{self.name}-{len(hosts)}"
        tasks = {}
        for host in hosts:
            place = bench.place(self.name, len(hosts), host)
            mount, cache = place / "mount", place / "cache"
            mount.mkdir()
            cache.mkdir()
            frames = bench.frames_of(host)
            names = [quote(f"{key}/{shot.OUTPUT % frame}", safe="") for frame in frames]
            tasks[host.index] = Task(
                folder=str(place),
                render=bench.standin(place, mount / "show", mount / key, frames),
                environment={**bench.environment(), **rclone_environment(bench)},
                daemon=self.command(mount, cache),
                mount=str(mount),
                settled=[f"{bench.server.url}/storage/v1/b/{BUCKET}/o/{name}" for name in names],
                disk=[str(cache)],
            )
        return Plain(tasks, lambda name: bench.read(f"{key}/{name}"))

    def command(self, mount: Path, cache: Path) -> list[str]:
        raise NotImplementedError


class Rclone(_Mounted):
    """``--vfs-cache-mode full``: files are read through a sparse copy on disk, and uploaded once closed."""

    name = "rclone"
    program = "rclone"

    def command(self, mount: Path, cache: Path) -> list[str]:
        # A finished frame waits that long for its upload; five seconds if nothing is said. At once, rclone's upload
        # would lose a file that is renamed when it is whole, as renderers do.
        options = ["--vfs-cache-mode", "full", "--vfs-write-back", "1s", "--cache-dir", str(cache)]
        return ["rclone", "mount", *options, f":gcs:{BUCKET}", str(mount)]


class Gcsfuse(_Mounted):
    """With its file cache; outputs are uploaded when they are closed."""

    name = "gcsfuse"
    program = "gcsfuse"

    def command(self, mount: Path, cache: Path) -> list[str]:
        options = ["--foreground", "--anonymous-access", "--implicit-dirs", f"--cache-dir={cache}"]
        options += ["--file-cache-max-size-mb=-1", f"--custom-endpoint={self._bench.server.url}"]
        return ["gcsfuse", *options, BUCKET, str(mount)]
