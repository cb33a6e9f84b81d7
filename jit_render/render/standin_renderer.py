"""The stand-in compositor behind the renderer port: its command line, environment and what its ending means."""

from __future__ import annotations

import sys

from jit_render.model.errors import UsageError
from jit_render.model.frames import spell
from jit_render.render import lines
from jit_render.render.nuke import renderer_environment
from jit_render.render.port import Event, Failed, RenderRequest, Verdict

_MIB = 1024**2


class StandinRenderer:
    """Runs in this same Python; its module tells what it can do."""

    name = "standin"

    def command(self, request: RenderRequest) -> list[str]:
        """Raises UsageError for proxy renders, which the stand-in cannot do."""
        if request.proxy:
            raise UsageError("the stand-in renders at full size only; submit without --proxy or render with Nuke.")
        argv = [sys.executable, "-m", "jit_render.render.standin", "-x"]
        if request.writes:
            argv += ["-X", ",".join(request.writes)]
        if request.threads:
            argv += ["-m", str(request.threads)]
        if request.memory_bytes:
            argv += ["-c", f"{max(1, request.memory_bytes // _MIB)}M"]
        if request.views:
            argv += ["--view", ",".join(request.views)]
        if len(request.writes) != 1:
            argv.append("--sro")  # a Write whose file another Write's Read needs comes first
        for part in spell(request.frames).split(","):
            argv += [f"-F{part}"]  # joined: a range may begin with a minus
        return [*argv, str(request.script)]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        return renderer_environment(request)

    def read_line(self, line: str) -> Event | None:
        return lines.read_line(line)

    def verdict(self, exit_code: int, failures: tuple[Failed, ...], tail: str) -> Verdict:
        return lines.verdict(exit_code, failures, tail)
