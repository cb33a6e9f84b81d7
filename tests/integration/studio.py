"""A small studio for tests of the farm: a bucket in a folder, a show in it, a fake Nuke, real workers and agents."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from jit_render.farm.local import LocalEngine, LocalOptions, Progress
from jit_render.farm.records import JobReader
from jit_render.farm.status import JobStatus
from jit_render.farm.submit import Options, Submitted, prepare, submit
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.job import AttemptRecord
from jit_render.model.settings import Settings
from jit_render.store import open_store
from jit_render.testing.fake_nuke import install

SCRIPT = """Root {
 name /show/comp/shot.nk
}
Read {
 inputs 0
 file /show/plates/plate.####.bin
 name Read1
}
Write {
 file /show/renders/out.####.exr
 name Write1
}
"""


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll `condition`; fail when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Studio:
    """Frames 1 to `frames` of one plate, one Write. `mischief` is FAKE_NUKE's."""

    def __init__(self, root: Path, frames: int = 8, chunk: int = 4, mischief: str = "", script: str = SCRIPT) -> None:
        self.root = root
        self.frames = frames
        self.bucket = root / "bucket"
        plates = self.bucket / "assets" / "plates"
        plates.mkdir(parents=True)
        for frame in range(1, frames + 1):
            (plates / f"plate.{frame:04d}.bin").write_bytes(bytes([frame % 256]) * 5000)
        self.script = root / "shot.nk"
        self.script.write_text(script)
        self.settings = Settings.model_validate(
            {
                "job": {"state": f"file://{self.bucket}/state", "chunk": chunk},
                "paths": [
                    {"prefix": "/show/renders", "target": f"file://{self.bucket}/renders", "mode": "write"},
                    {"prefix": "/show", "target": f"file://{self.bucket}/assets"},
                ],
                "cache": {"root": str(root / "cache"), "limit": "200M", "free_space": 0},
                "render": {"nuke": str(install(root / "opt")), "environment": {"FAKE_NUKE": mischief}},
                "farm": {"workers": 2, "grace": 20.0, "heartbeat": 0.5},
            }
        )
        self.clock = SystemClock()
        self.store = open_store(self.settings.store)
        self.progress: list[Progress] = []

    def submit(self, frames: str = "", **options) -> Submitted:
        asked = frames or f"1-{self.frames}"
        submission = prepare(
            self.settings, self.script, frames=asked, clock=self.clock, options=Options(**options)
        )
        return submit(self.store, submission, self.clock)

    def engine(self, on_progress: Callable[[Progress], None] | None = None, **options) -> LocalEngine:
        def listen(progress: Progress) -> None:
            self.progress.append(progress)
            if on_progress is not None:
                on_progress(progress)

        options.setdefault("wait_seconds", lambda _: 0.0)
        return LocalEngine(self.settings, self.store, self.clock, LocalOptions(on_progress=listen, **options))

    def run(self, home: ObjectUrl, on_progress: Callable[[Progress], None] | None = None, **options) -> JobStatus:
        return self.engine(on_progress, **options).run(home)

    def attempts(self, home: ObjectUrl) -> list[AttemptRecord]:
        return JobReader(self.store, home).attempts()

    def outputs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.bucket / "renders").glob("*.exr"))}

    def close(self) -> None:
        """End every agent that was started for this studio."""
        self.store.close()
        for pid in self.agents():
            os.kill(pid, signal.SIGKILL)

    def agents(self) -> list[int]:
        return processes_with(b"jit_render.agent", os.fsencode(self.root))

    def workers(self) -> list[int]:
        """Workers of this studio's job; they are told apart by its bucket."""
        return processes_with(b"jit_render.farm.work_main", os.fsencode(self.bucket))

    def renderers(self) -> list[int]:
        return processes_with(os.fsencode(self.root / "opt"))


def processes_with(*words: bytes) -> list[int]:
    """Processes whose command line holds all of `words`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if all(word in line for word in words):
                found.append(int(folder.name))
    return found
