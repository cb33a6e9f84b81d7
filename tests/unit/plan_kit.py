"""Small scripts and what a plan looks into beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jit_render.script import parse
from jit_render.script.plan import Plan, plan

ROOT = (
    'Root {\n inputs 0\n first_frame 1\n last_frame 10\n views "left #f00\nright #0f0"\n project_directory /show\n}\n'
)
WRITE = "Write {\n file /out/w.%V.####.exr\n name W\n}\n"


class Disk:
    """Files by name, and which of them were read how often."""

    def __init__(self, files: Mapping[str, str | bytes] | None = None) -> None:
        self.files = {name: text.encode() if isinstance(text, str) else text for name, text in (files or {}).items()}
        self.reads: list[str] = []

    def read(self, name: str) -> bytes | None:
        self.reads.append(name)
        return self.files.get(name)

    def list(self, folder: str) -> list[str]:
        return sorted(name.rpartition("/")[2] for name in self.files if name.rpartition("/")[0] == folder)


def planned(body: str, frames: Iterable[int] = (5,), *, disk: Disk | None = None, **options: object) -> Plan:
    """The plan of `body` between ROOT and WRITE (unless it has its own)."""
    text = (body if "Root {" in body else ROOT + body) + ("" if "\nWrite {" in body else WRITE)
    given: dict[str, object] = {"script_path": "/show/comp/shot.nk", "environment": {}, "files": disk, **options}
    return plan(parse(text, name="shot.nk"), frames=frames, **given)  # type: ignore[arg-type]


def names(done: Plan, frame: int = 5) -> list[str]:
    return sorted(file.name for file in done.files(frame))


def read(file: str, knobs: str = "first 1 last 10", name: str = "R") -> str:
    return f"Read {{\n inputs 0\n file {file}\n {knobs}\n name {name}\n}}\n"
