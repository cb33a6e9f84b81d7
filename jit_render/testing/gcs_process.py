"""The fake GCS in a process of its own, for tests that kill everything else, and the side door to ask it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from jit_render.testing.faults import Fault


class FakeGcsProcess:
    """Runs while in ``with``. With a folder, another process on the same folder has the same objects."""

    def __init__(
        self,
        *,
        buckets: Iterable[str],
        folder: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        bandwidth: float = 0.0,
    ) -> None:
        command = [sys.executable, "-m", "jit_render.testing.fake_gcs", "--host", host, "--port", str(port)]
        command += [part for bucket in buckets for part in ("--bucket", bucket)]
        command += ["--folder", str(folder)] if folder else []
        command += ["--bandwidth", str(bandwidth)] if bandwidth else []
        self._command = command
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        try:
            self.url = self.process.stdout.readline().strip()
            assert self.url, "the fake GCS did not start"
        except BaseException:  # a signal while it starts: nobody will leave this context
            self.process.kill()
            self.process.communicate()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=10)

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Write or overwrite an object."""
        self._ask(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}", data)

    def count(self, kind: str, bucket: str | None = None, name: str | None = None) -> int:
        """How many requests of that kind came (for that bucket, for that object), as `FakeGcs.count`."""
        return sum(
            int(count)
            for of_kind, of_bucket, of_name, count in self._ask("/_fake/counts")
            if of_kind == kind and bucket in {None, of_bucket} and name in {None, of_name}
        )

    def reset_counts(self) -> None:
        self._ask("/_fake/reset", b"{}")

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Forget all faults and play these."""
        self._ask("/_fake/faults", json.dumps([asdict(fault) for fault in faults]).encode())

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(self.url + path, body, timeout=30) as answer:
            return json.load(answer)
