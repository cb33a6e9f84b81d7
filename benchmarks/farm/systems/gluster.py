"""GlusterFS: one brick on the storage host, a FUSE mount on every render host, all over the filer's one link."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from benchmarks import gluster
from benchmarks.farm.host import Task
from benchmarks.farm.links import FILER_ADDRESS, Host
from benchmarks.farm.systems.port import Bench, Plain, Prepared


class Gluster:
    """The server is started once, with the first run, and ends with the farm's process tree."""

    name = "gluster"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._brick = bench.folder / "brick"

    def missing(self) -> str:
        return gluster.missing()

    def prepare(self, hosts: Sequence[Host]) -> Prepared:
        if not self._brick.exists():
            self._serve()
        out = f"out-{len(hosts)}"
        tasks = {}
        for host in hosts:
            bench, place = self._bench, self._bench.place(self.name, len(hosts), host)
            mount = place / "mount"
            mount.mkdir()
            tasks[host.index] = Task(
                folder=str(place),
                render=bench.standin(place, mount, mount / out, bench.frames_of(host)),
                environment=bench.environment(),
                daemon=gluster.client(FILER_ADDRESS, mount, place / "glusterfs.log"),
                mount=str(mount),
            )
        return Plain(tasks, lambda name: (self._brick / out / name).read_bytes())

    def _serve(self) -> None:
        """Start the server and fill its volume through a mount, as one must."""
        folder = self._bench.folder
        gluster.serve(self._brick, FILER_ADDRESS, folder / "glusterd.log")
        with gluster.mounted(FILER_ADDRESS, folder / "fill") as mount:
            shutil.copytree(self._bench.plates, mount, dirs_exist_ok=True)
