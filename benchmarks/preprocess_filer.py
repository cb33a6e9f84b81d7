"""``python -m benchmarks.preprocess_filer FOLDER SHOT``: fused against staged over a GlusterFS mount, from within.

`measure` starts it in namespaces of its own (`isolated`), so that no daemon, mount or volume outlives it. The server
and the mount are on one machine, without a network between: that is the kindest filer there can be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import gluster, isolated
from benchmarks.farm.links import FILER_ADDRESS
from benchmarks.preprocess_ending import leaving_on_signals
from benchmarks.preprocess_shot import Shot
from benchmarks.preprocess_ways import both_ways, in_folder

PREFIX = "jit-render-filer-"


class FilerFailed(RuntimeError):
    """The process with the filer failed; says its last words."""


def measure(shot: Shot) -> dict[str, Any]:
    """What `both_ways` says. Raises FilerFailed."""
    isolated.remove_leftovers(PREFIX)
    with leaving_on_signals(), isolated.locked_folder(PREFIX) as folder, (folder / "filer.log").open("wb") as log:
        process = subprocess.Popen(
            isolated.command("benchmarks.preprocess_filer", str(folder), json.dumps(asdict(shot)), alone=True),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
            preexec_fn=isolated.die_with(os.getpid()),  # noqa: PLW1509 - between measurements there is one thread
        )
        try:
            said = process.communicate()[0].strip()
        except BaseException:
            process.kill()  # of `unshare`, whose end ends the whole namespace
            process.communicate()  # ends with the last that could write
            raise
        if process.returncode != 0:
            words = " ".join((folder / "filer.log").read_text(errors="replace")[-1500:].split())
            raise FilerFailed(f"the run over GlusterFS ended early: {words}")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def main(arguments: list[str]) -> int:
    folder, shot = Path(arguments[0]), Shot(**json.loads(arguments[1]))
    isolated.lay_over(folder)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # GlusterFS takes no brick on a loopback address, but does not look at the link.
    subprocess.run(["ip", "address", "add", f"{FILER_ADDRESS}/32", "dev", "lo"], check=True)
    gluster.serve(folder / "brick", FILER_ADDRESS, folder / "glusterd.log")
    with gluster.mounted(FILER_ADDRESS, folder / "mount") as mount, in_folder(str(mount)) as (root, settings):
        found = both_ways(root, settings, shot)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
