"""GlusterFS: one brick on the storage host, a FUSE mount on every render host, all over the filer's one link."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence

from benchmarks.farm.host import Task
from benchmarks.farm.links import FILER_ADDRESS, Host
from benchmarks.farm.systems.port import Bench, Plain, Prepared

_VOLUME = "show"
_START_SECONDS = 20.0


class Gluster:
    """The server is started once, with the first run, and ends with the farm's process tree."""

    name = "gluster"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._brick = bench.folder / "brick"

    def missing(self) -> str:
        if not self._bench.is_root:
            return "a GlusterFS needs root"
        absent = [name for name in ("glusterd", "gluster", "glusterfs") if shutil.which(name) is None]
        return f"{', '.join(absent)} not found; make bench-deps installs it" if absent else ""

    def prepare(self, hosts: Sequence[Host]) -> Prepared:
        if not self._brick.exists():
            self._serve()
        out = f"out-{len(hosts)}"
        tasks = {}
        for host in hosts:
            bench, place = self._bench, self._bench.place(self.name, len(hosts), host)
            mount = place / "mount"
            mount.mkdir()
            client = ["glusterfs", f"--volfile-server={FILER_ADDRESS}", f"--volfile-id={_VOLUME}", "--no-daemon"]
            tasks[host.index] = Task(
                folder=str(place),
                render=bench.standin(place, mount, mount / out, bench.frames_of(host)),
                environment=bench.environment(),
                daemon=[*client, f"--log-file={place}/glusterfs.log", str(mount)],
                mount=str(mount),
            )
        return Plain(tasks, lambda name: (self._brick / out / name).read_bytes())

    def _serve(self) -> None:
        """Start the daemon, make the volume and fill it through a mount, as one must."""
        self._brick.mkdir()
        log = (self._bench.folder / "glusterd.log").open("ab")
        with log:
            subprocess.Popen(["glusterd", "--no-daemon"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + _START_SECONDS
        while not _gluster("volume", "info", end=end):
            time.sleep(0.1)
        _gluster("volume", "create", _VOLUME, f"{FILER_ADDRESS}:{self._brick}", "force")
        _gluster("volume", "start", _VOLUME)
        self._fill()

    def _fill(self) -> None:
        mount = self._bench.folder / "fill"
        mount.mkdir()
        command = ["glusterfs", f"--volfile-server={FILER_ADDRESS}", f"--volfile-id={_VOLUME}", "--no-daemon"]
        client = subprocess.Popen([*command, f"--log-file={mount}.log", str(mount)])
        try:
            end = time.monotonic() + _START_SECONDS
            while not mount.is_mount():
                if client.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"glusterfs did not mount {mount}; its log is {mount}.log")
                time.sleep(0.05)
            shutil.copytree(self._bench.plates, mount, dirs_exist_ok=True)
        finally:
            subprocess.run(["umount", str(mount)], check=False)
            client.terminate()
            client.wait()


def _gluster(*words: str, end: float = 0.0) -> bool:
    """Tell the daemon. False, until `end`, while it does not answer."""
    done = subprocess.run(["gluster", "--mode=script", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0 and time.monotonic() > end:
        raise RuntimeError(f"gluster {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.returncode == 0
