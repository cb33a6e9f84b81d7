"""The example's shot with small plates: so little to compute that others on the machine hardly matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from examples.shot import plates
from jit_render.farm.submit import Options, Submission, prepare
from jit_render.model.clock import SystemClock
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings

SIZE = (128, 72)
_SCRIPT = Path(plates.__file__).with_name("shot.nk")


@dataclass(frozen=True)
class SmallShot:
    """A studio of one shot: plates below the URL `plates`; outputs, records and caches below `folder`.

    `endpoint`: of the fake Cloud Storage, where the plates are in it. `size`: width and height of the plates in pixels.
    """

    folder: Path
    plates: ObjectUrl
    frames: int
    endpoint: str = ""
    size: tuple[int, int] = SIZE

    def make_plates(self) -> None:
        """Put all of the shot's plates into their bucket."""
        store = Settings.model_validate({"store": {"endpoint": self.endpoint}}).store
        plates.put(store, self.plates, size=self.size, on_progress=lambda _done, _total: None)

    def settings(self, cache: str, *, lookahead: int = 4) -> Settings:
        """A node's settings, with the cache of that name. Tasks hold all frames."""
        here = f"file://{self.folder}"
        return Settings.model_validate(
            {
                "job": {"state": f"{here}/state", "chunk": self.frames},
                "paths": [
                    {"prefix": "/mnt/show/sh010/out", "target": f"{here}/out", "mode": "write"},
                    {"prefix": "/mnt/show", "target": str(self.plates)},
                ],
                "cache": {"root": str(self.folder / cache), "limit": "10G", "free_space": 0, "lookahead": lookahead},
                "render": {"renderer": "standin"},
                "store": {"endpoint": self.endpoint},
            }
        )

    def submission(self, settings: Settings, *, chunk: int = 0) -> Submission:
        """The shot as a new job with tasks of `chunk` frames; 0: what the settings say."""
        text = _SCRIPT.read_text(encoding="utf-8")
        width, height = self.size
        script = self.folder / "shot.nk"
        script.write_text(text.replace("1920 1080 0 0 1920 1080", f"{width} {height} 0 0 {width} {height}"))
        span = f"{plates.FIRST}-{plates.FIRST + self.frames - 1}"
        options = Options(force=True, chunk=chunk)
        return prepare(settings, script, frames=span, clock=SystemClock(), options=options)
