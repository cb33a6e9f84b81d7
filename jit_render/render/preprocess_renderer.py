"""The preprocessing pipeline behind the renderer port: the script is a pipeline file, its Writes are outputs.

It runs in this same Python, reads and writes the bucket by itself (`preprocess.render`), and says what it does with the
lines that Nuke prints.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from jit_render.model.errors import UsageError
from jit_render.model.frames import spell
from jit_render.render import lines
from jit_render.render.nuke import renderer_environment
from jit_render.render.port import Event, Failed, RenderRequest, Verdict


class PreprocessRenderer:
    """``python -m preprocess.render``."""

    name = "preprocess"

    def command(self, request: RenderRequest) -> list[str]:
        """Raises UsageError where its libraries are not installed."""
        missing = [name for name in ("preprocess", "OpenImageIO", "numpy") if find_spec(name) is None]
        if missing:
            raise UsageError(f"preprocessing needs {', '.join(missing)}: pip install 'jit-render[preprocess]'.")
        argv = [sys.executable, "-m", "preprocess.render"]
        argv += [f"--outputs={','.join(request.writes)}", f"--cameras={','.join(request.views)}"]
        argv += [f"--frames={spell(request.frames)}", f"--scratch={request.scratch}"]
        if request.memory_bytes:
            argv.append(f"--memory={request.memory_bytes}")
        return [*argv, str(request.script)]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        environment = renderer_environment(request)
        threads = str(request.threads or 1)
        # Bands keep one core busy; libraries that fan out by themselves would fight with the other workers.
        return {"OPENIMAGEIO_THREADS": threads, "OMP_NUM_THREADS": threads, **environment}

    def read_line(self, line: str) -> Event | None:
        return lines.read_line(line)

    def verdict(self, exit_code: int, failures: tuple[Failed, ...], tail: str) -> Verdict:
        return lines.verdict(exit_code, failures, tail)
