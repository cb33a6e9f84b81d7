"""A whole house for tests: a bucket, a show in it, a configuration, and the commands as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from small_show import FIRST, make_show, script

BIN = Path(sys.executable).parent


@dataclass
class House:
    """`root/show` is where the artist has the show; `root/bucket` holds the buckets unless `store_url` is given."""

    root: Path
    frames: int = 12
    store_url: str = ""
    """Like ``gs://show``; empty: a folder as a bucket."""
    endpoint: str = ""
    limit: str = "1G"
    extra: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    script_name: str = "small.nk"

    @property
    def show(self) -> Path:
        return self.root / "show"

    @property
    def bucket(self) -> str:
        return self.store_url or f"file://{self.root}/bucket"

    @property
    def script(self) -> Path:
        return self.root / self.script_name

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def outputs(self) -> Path:
        """Where a render without the project would write."""
        return self.show / "renders"

    def build(self, *, on_error: str = "error") -> House:
        """Make the show on disk and the script beside it."""
        make_show(self.show, frames=self.frames)
        self.outputs.mkdir(parents=True)
        text = script(str(self.show), out=str(self.outputs), frames=self.frames, on_error=on_error)
        self.script.write_text(text, encoding="utf-8")
        self.configure()
        return self

    def configure(self) -> None:
        text = f"""
[job]
state = "{self.bucket}/state"
chunk = 4
[[paths]]
prefix = "{self.show}"
target = "{self.bucket}/assets"
[[paths]]
prefix = "{self.outputs}"
target = "{self.bucket}/renders"
mode = "write"
[ingest]
hashes = "{self.root}/hashes"
[cache]
root = "{self.cache}"
limit = "{self.limit}"
free_space = "0"
[render]
renderer = "standin"
[farm]
heartbeat = 1.0
grace = 5.0
[store]
endpoint = "{self.endpoint}"
timeout = 5.0
deadline = 20.0
{self.extra}
"""
        (self.root / "jit-render.toml").write_text(text, encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        drop = {"STORAGE_EMULATOR_HOST", "NUKE_PATH"}
        env = {key: value for key, value in os.environ.items() if not key.startswith("JIT_RENDER_") and key not in drop}
        return env | {"JIT_RENDER_CONFIG": str(self.root / "jit-render.toml"), "COLUMNS": "100"} | self.environment

    def direct(self, *, frames: str = "") -> dict[str, bytes]:
        """Render straight from local files without this project, take the frames away, and hide the show."""
        span = frames or f"{FIRST}-{FIRST + self.frames - 1}"
        argv = [sys.executable, "-m", "jit_render.render.standin", "-x", "-F", span, str(self.script)]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, cwd=self.root)
        assert done.returncode == 0, done.stdout + done.stderr
        files = [path for path in self.outputs.rglob("*") if path.is_file()]
        found = {_label(path, self.outputs): path.read_bytes() for path in files}
        for path in files:
            path.unlink()
        return found

    def hide(self) -> Path:
        """Move the show away: from now on only the bucket has it, so nothing can be read past the cache."""
        hidden = self.root / "hidden"
        self.show.rename(hidden)
        return hidden

    def run(self, command: str, *args: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        argv = [str(BIN / command), *args]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, cwd=self.root, timeout=timeout)

    def submit(self, *args: str, frames: str = "", timeout: float = 240) -> subprocess.CompletedProcess[str]:
        span = frames or f"{FIRST}-{FIRST + self.frames - 1}"
        return self.run("jit-submit", str(self.script), "--frames", span, "--engine", "local", *args, timeout=timeout)

    def json(self, command: str, *args: str) -> Any:
        done = self.run(command, *args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def pull(self, job: str = "latest") -> dict[str, bytes]:
        """The frames of a job as a user fetches them."""
        target = self.root / f"pulled-{job}"
        done = self.run("jit-render", "pull", job, str(target))
        assert done.returncode == 0, done.stderr
        return {_label(path, target): path.read_bytes() for path in target.rglob("*.exr")}

    def stop_agent(self) -> None:
        """End the node's agent as an administrator would, and wait for its end."""
        pids = processes(self.cache, "jit_render.agent")
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while processes(self.cache, "jit_render.agent"):
            assert time.monotonic() < end, f"agents {pids} do not end"


def _label(path: Path, folder: Path) -> str:
    """The file's name and the folder that holds it, where that is not `folder` itself: a view, mostly."""
    return path.name if path.parent == folder else f"{path.parent.name}/{path.name}"


def processes(root: Path, *words: str) -> list[int]:
    """Living processes of the house at `root`, by command line or environment, whose command line has `words`."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            if not line or not all(word.encode() in line for word in words):
                continue
            if os.fsencode(root) in line + (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended while we looked
            continue
    return found
