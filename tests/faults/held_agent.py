"""An agent that stops dead at chosen points of its work, so that a test can end it exactly there.

``python held_agent.py PLAN FOLDER <the agent's arguments>``: PLAN is JSON, from the base name of an output to the point
at which the work on it stops; a file of that base name in FOLDER tells that it stands there. Only the thread that does
the work stands still. What the points wrap are the agent's own steps; nothing else of it is changed, except that a
chunk is short enough for two of them, that sealing begins soon, and
that outputs are taken in a thread.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jit_render.agent import outputs, spool, uploads
from jit_render.agent.__main__ import main
from jit_render.agent.entry import Entry
from jit_render.cache import NodeCache
from jit_render.store import gcs_upload

CHUNK_BYTES = 8 << 20

Step = Callable[..., Any]


def hold(plan: dict[str, str], folder: Path) -> None:
    """Have each step stop, before or after its work, for the outputs that `plan` stops there."""

    def stand(point: str, name: str) -> None:
        if plan.get(name) == point:
            (folder / name).touch()
            threading.Event().wait()

    def told(owner: Any, step: str, before: str, after: str, name_of: Callable[..., str]) -> None:
        work: Step = getattr(owner, step)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            name = name_of(*arguments)
            stand(before, name)
            done = work(*arguments, **named)
            stand(after, name)
            return done

        setattr(owner, step, wrapped)

    def second(_: object, entry: Entry, *__: object) -> str:
        return entry.files[0].url.name

    told(spool.Spool, "_write", "linked", "written", second)
    told(spool.Spool, "add", "", "taken", second)
    told(spool.Spool, "sum", "answered", "", second)
    told(spool.Spool, "seal", "", "sealed", second)
    told(uploads.Uploads, "_in_bucket", "summed", "", second)
    told(uploads, "commit", "verified", "committed", second)
    told(NodeCache, "place", "", "placed", lambda _, info, *__: info.url.name)
    told(NodeCache, "adopt", "", "adopted", lambda _, info, *__: info.url.name)
    told(uploads.Uploads, "_hand_over", "", "moved", lambda _, pending, *__: pending.entry.files[0].url.name)
    told(spool.Spool, "remove", "handed over", "removed", second)
    told(spool.Spool, "_remove_records", "", "unlisted", lambda _, __, entry: entry.files[0].url.name)


if __name__ == "__main__":
    hold(json.loads(sys.argv[1]), Path(sys.argv[2]))
    gcs_upload.CHUNK_BYTES = CHUNK_BYTES
    uploads.SEAL_AFTER_SECONDS = 0.1
    outputs.TAKEN_ON_THE_LOOP = 0
    sys.exit(main(sys.argv[3:]))
