"""A real GlusterFS of one brick: its daemon, its volume, its mounts.

Started from within namespaces (`isolated`), with whose process tree it ends, mounts and volume too.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.isolated import has_namespaces

VOLUME = "show"
_START_SECONDS = 20.0


def missing() -> str:
    """Why there can be none here; empty where there can."""
    if not has_namespaces():
        return "a GlusterFS needs root, and the programs unshare, ip and tc"
    if not Path("/dev/fuse").exists():
        return "a GlusterFS mount needs /dev/fuse, which is not there"
    absent = [name for name in ("glusterd", "gluster", "glusterfs") if shutil.which(name) is None]
    return f"{', '.join(absent)} not found; make bench-deps installs it" if absent else ""


def serve(brick: Path, address: str, log: Path) -> None:
    """Start the daemon and a volume on the new folder `brick`. Raises RuntimeError with the words of `gluster`."""
    brick.mkdir()
    with log.open("ab") as words:
        subprocess.Popen(["glusterd", "--no-daemon"], stdout=words, stderr=words, stdin=subprocess.DEVNULL)
    end = time.monotonic() + _START_SECONDS
    while not _gluster("volume", "info", end=end):
        time.sleep(0.1)
    _gluster("volume", "create", VOLUME, f"{address}:{brick}", "force")
    _gluster("volume", "start", VOLUME)


def client(address: str, mount: Path, log: Path) -> list[str]:
    """The command that mounts the volume and stays in the foreground."""
    command = ["glusterfs", f"--volfile-server={address}", f"--volfile-id={VOLUME}", "--no-daemon"]
    return [*command, f"--log-file={log}", str(mount)]


@contextmanager
def mounted(address: str, mount: Path) -> Iterator[Path]:
    """The volume at the new folder `mount`, as long as it is wanted. Raises RuntimeError."""
    mount.mkdir()
    process = subprocess.Popen(client(address, mount, Path(f"{mount}.log")))
    try:
        end = time.monotonic() + _START_SECONDS
        while not mount.is_mount():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"glusterfs did not mount {mount}; its log is {mount}.log")
            time.sleep(0.05)
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=False)
        process.terminate()
        process.wait()


def _gluster(*words: str, end: float = 0.0) -> bool:
    """Tell the daemon. False, until `end`, while it does not answer."""
    done = subprocess.run(["gluster", "--mode=script", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0 and time.monotonic() > end:
        raise RuntimeError(f"gluster {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.returncode == 0
