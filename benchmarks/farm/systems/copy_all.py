"""The whole shot copied to each host before it renders, as many do: by rclone, out of the object store.

Out of the object store, because that is the quickest that copying can be: each host has its full link. From the
filer all copies would share one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from benchmarks.farm.host import Task
from benchmarks.farm.links import Host
from benchmarks.farm.systems.bucket_mounts import rclone_environment
from benchmarks.farm.systems.port import BUCKET, Bench, Plain, Prepared

_TRANSFERS = "8"  # as many at once as this project's agent fetches


class CopyAll:
    """What a host needs is on its disk; the disk must hold the whole shot."""

    name = "copy-all"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def missing(self) -> str:
        return "" if shutil.which("rclone") else "rclone not found; make bench-deps installs it"

    def prepare(self, hosts: Sequence[Host]) -> Prepared:
        bench = self._bench
        key = f"out-{self.name}-{len(hosts)}"
        tasks = {}
        for host in hosts:
            place = bench.place(self.name, len(hosts), host)
            show, out = place / "show", place / "out"
            copy = ["rclone", "copy", "--transfers", _TRANSFERS]
            tasks[host.index] = Task(
                folder=str(place),
                render=bench.standin(place, show, out, bench.frames_of(host)),
                environment={**bench.environment(), **rclone_environment(bench)},
                copy=[*copy, f":gcs:{BUCKET}/show", str(show)],
                bring_home=[*copy, str(out), f":gcs:{BUCKET}/{key}"],
                disk=[str(show), str(out)],
            )
        return Plain(tasks, lambda name: bench.read(f"{key}/{name}"))
