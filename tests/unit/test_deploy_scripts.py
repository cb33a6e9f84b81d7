"""The node's cache disks: found, striped, mounted, and measured, with the programs that need root stood in for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gcp_deploy.scripts import script

_NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >>"$NOTES"\n'


def run_node(tmp_path: Path, *, disks: int, programs: tuple[str, ...]) -> tuple[list[str], str]:
    """A Batch task's script in a root of its own: what it called, and what its worker's cache limit was."""
    root, stand_ins, notes = tmp_path / "root", tmp_path / "bin", tmp_path / "notes"
    by_id = root / "dev/disk/by-id"
    for folder in (by_id, stand_ins):
        folder.mkdir(parents=True)
    for number in range(disks):
        (by_id / f"google-local-nvme-ssd-{number}").touch()
    bodies = {
        "mountpoint": f'#!/bin/sh\ngrep -q "^mount " "{notes}"\n',
        "df": "#!/bin/sh\nprintf 'Filesystem blocks\\n/dev/md 1000000000 0\\n'\n",
        "jit-render": f'#!/bin/sh\necho "limit ${{JIT_RENDER_CACHE_LIMIT-}}" >>"{notes}"\n',
    }
    for name in ("mountpoint", "df", "jit-render", "mkfs.ext4", "mount", *programs):
        (stand_ins / name).write_text(bodies.get(name, _NOTE))
        (stand_ins / name).chmod(0o755)
    for name in ("sh", "awk", "basename", "chmod", "cut", "date", "grep", "hostname", "mkdir"):
        found = next(Path(each) / name for each in ("/usr/bin", "/bin") if (Path(each) / name).exists())
        (stand_ins / name).symlink_to(found)
    notes.touch()
    environment = {
        "PATH": str(stand_ins),
        "NOTES": str(notes),
        "JIT_ROOT": str(root),
        "JIT_RENDER_CACHE_ROOT": "/mnt/disks/cache/jit-render",
        "JIT_RENDER_HOME": "gs://state/jobs/j",
        "JIT_RENDER_ROUND": "1",
        "BATCH_TASK_INDEX": "0",
        "BATCH_TASK_COUNT": "1",
    }
    text = script("node.sh").replace("/opt/jit-render/bin", str(stand_ins))
    ended = subprocess.run(["sh", "-c", text], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return notes.read_text().replace(str(root), "").splitlines(), ended.stderr


pytestmark = pytest.mark.skipif(os.name != "posix", reason="the node's script is for sh")


def test_a_node_stripes_the_local_ssds_that_it_finds_and_takes_its_limit_from_them(tmp_path: Path) -> None:
    notes, _ = run_node(tmp_path, disks=2, programs=("mdadm",))
    disks = " ".join(f"/dev/disk/by-id/google-local-nvme-ssd-{number}" for number in range(2))
    assert notes == [
        f"mdadm --create /dev/md/jit-render --run --level=0 --raid-devices=2 {disks}",
        "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,nodiscard /dev/md/jit-render",
        "mount -o noatime,nobarrier /dev/md/jit-render /mnt/disks/cache",
        f"limit {1_000_000_000 * 1024 // 10 * 9}",
    ]


def test_a_node_without_mdadm_says_so_and_goes_on_with_one_disk(tmp_path: Path) -> None:
    notes, said = run_node(tmp_path, disks=2, programs=())
    assert "no mdadm in this image: the cache has 1 of 2 local SSDs, not striped" in said
    assert notes[1] == "mount -o noatime,nobarrier /dev/disk/by-id/google-local-nvme-ssd-0 /mnt/disks/cache"


def test_a_node_without_local_ssds_keeps_the_limit_of_its_settings(tmp_path: Path) -> None:
    assert run_node(tmp_path, disks=0, programs=())[0] == ["limit "]
