"""Nuke itself: where it is installed, its command line, its environment, what its ending means.

Nothing here is specific to a version; ``render.nuke`` names an executable or a version (``15.1``, ``15.1v3``),
empty means the newest one found. Exit codes: 0 success, 1 render error, 100 no licence.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jit_render.model.errors import UsageError
from jit_render.model.frames import spell
from jit_render.render import lines
from jit_render.render.port import Event, Failed, RenderRequest, Verdict

_FOLDER = re.compile(r"^Nuke(\d+)\.(\d+)v(\d+)$")
_PLACES = ("/usr/local", "/opt", "/opt/nuke", "/opt/foundry", "/opt/Foundry", "/software")
_HOMES = ("NUKE_HOME", "NUKE_ROOT", "NUKE_INSTALL_DIR")
_MIB = 1024**2


@dataclass(frozen=True, slots=True, order=True)
class InstalledNuke:
    """One version on this machine."""

    version: tuple[int, int, int]
    executable: Path

    @property
    def label(self) -> str:
        return "{}.{}v{}".format(*self.version)


def installed(places: Iterable[Path], environment: Mapping[str, str]) -> list[InstalledNuke]:
    """Every ``Nuke15.1v3/Nuke15.1`` under `places`, or named by $NUKE_HOME and the like; newest first."""
    folders = [child for place in places if place.is_dir() for child in place.glob("Nuke*")]
    folders += [Path(environment[name]) for name in _HOMES if environment.get(name)]
    found = {entry for folder in folders if (entry := _look_into(folder)) is not None}
    return sorted(found, reverse=True)


def _look_into(folder: Path) -> InstalledNuke | None:
    match = _FOLDER.match(folder.name)
    if match is None:
        return None
    major, minor, patch = (int(part) for part in match.groups())
    executable = folder / f"Nuke{major}.{minor}"
    return InstalledNuke((major, minor, patch), executable) if _can_run(executable) else None


def find_nuke(
    wanted: str = "", places: Iterable[Path] | None = None, environment: Mapping[str, str] | None = None
) -> Path:
    """The executable of `wanted`: a path, a version, or "" for the newest. Raises UsageError saying what there is."""
    environment = os.environ if environment is None else environment
    if "/" in wanted:
        path = Path(wanted).expanduser()
        if not _can_run(path):
            raise UsageError(f"{wanted}: no Nuke can be run there; set render.nuke to its executable or a version.")
        return path
    there = installed([Path(place) for place in _PLACES] if places is None else places, environment)
    for entry in there:
        if not wanted or entry.label == wanted or entry.label.startswith((wanted + "v", wanted + ".")):
            return entry.executable
    on_path = shutil.which(f"Nuke{wanted}" if wanted else "nuke", path=environment.get("PATH", ""))
    if on_path:
        return Path(on_path)
    have = ", ".join(entry.label for entry in there) or "none"
    raise UsageError(f"Nuke {wanted or '(any version)'} is not installed here (found: {have}); set render.nuke.")


def _can_run(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


class NukeRenderer:
    """Nuke as a renderer. `wanted` as in `find_nuke`; looked up when the command is built."""

    name = "nuke"

    def __init__(self, wanted: str = "") -> None:
        self._wanted = wanted

    def command(self, request: RenderRequest) -> list[str]:
        argv = [str(find_nuke(self._wanted)), "-x"]
        if request.writes:
            argv += ["-X", ",".join(request.writes)]
        if request.threads:
            argv += ["-m", str(request.threads)]
        if request.memory_bytes:
            argv += ["-c", f"{max(1, request.memory_bytes // _MIB)}M"]
        if request.views:
            argv += ["--view", ",".join(request.views)]
        if len(request.writes) != 1:
            argv.append("--sro")  # a Write whose file another Write's Read needs comes first, by render order
        argv.append("-p" if request.proxy else "-f")  # not what the script was saved with
        for part in spell(request.frames).split(","):
            argv += ["-F", part]
        return [*argv, str(request.script)]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        return renderer_environment(request)

    def read_line(self, line: str) -> Event | None:
        return lines.read_line(line)

    def verdict(self, exit_code: int, failures: tuple[Failed, ...], tail: str) -> Verdict:
        return lines.verdict(exit_code, failures, tail)


def renderer_environment(request: RenderRequest, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment with the request's on top, NUKE_PATH led by `plugin_path`, temporaries of its own."""
    environment = dict(os.environ if base is None else base)
    environment.update(request.environment)
    folders = [str(folder) for folder in request.plugin_path]
    inherited = environment.get("NUKE_PATH", "")
    environment["NUKE_PATH"] = os.pathsep.join([*folders, inherited] if inherited else folders)
    environment["NUKE_TEMP_DIR"] = str(request.scratch)
    return environment
