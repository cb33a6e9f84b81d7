"""The node's cache disks: found, striped, mounted, and measured, with the programs that need root stood in for."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
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


def run_watch(
    tmp_path: Path, minutes: str, *, looks: int = 100, at_50: str = ":", **programs: str
) -> tuple[list[str], str]:
    """The start-up script's switch over `looks` half minutes of no time: what was turned off when, and its words.

    Looking for programs is the real one; `sleep` and what turns a machine off are stood in for.
    """
    root, stand_ins, notes = tmp_path / "root", tmp_path / "stand-ins", tmp_path / "off"
    stand_ins.mkdir()
    notes.touch()
    off = f'#!/bin/sh\necho "$(cat "{tmp_path}/looks") $(basename "$0") $*" >>"{notes}"\n'
    count = f'read -r n <"{tmp_path}/looks"; n=$((n + 1)); echo $n >"{tmp_path}/looks"'
    bodies = {
        "sleep": f"#!/bin/sh\n{count}; if [ $n = 50 ]; then {at_50}; fi; [ $n -le {looks} ]\n",
        "shutdown": off,
        "systemctl": off,
        **programs,
    }
    (tmp_path / "looks").write_text("0\n")
    for name, body in bodies.items():
        (stand_ins / name).write_text(body)
        (stand_ins / name).chmod(0o755)
    functions, _, _ = script("startup.sh").partition('case "$(ask attributes/jit-render-role')
    environment = {"PATH": f"{stand_ins}:{os.environ['PATH']}", "JIT_ROOT": str(root)}
    words = ["bash", "-c", f"{functions}\nwatch_idle {minutes}"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return notes.read_text().splitlines(), ended.stdout


needs_pgrep = pytest.mark.skipif(
    not shutil.which("bash") or not shutil.which("pgrep"), reason="the start-up script wants bash and pgrep"
)


@needs_pgrep
def test_a_node_without_work_is_turned_off_after_its_minutes_and_again_until_it_is(tmp_path: Path) -> None:
    off, said = run_watch(tmp_path, "15", looks=32)
    assert off == [f"{look} shutdown -h now" for look in (30, 31, 32)]
    assert said.startswith("jit-render: no work for 900 seconds; turning off\n")


@needs_pgrep
def test_a_node_with_work_stays_on_and_its_minutes_begin_when_the_work_ends(tmp_path: Path) -> None:
    program = tmp_path / "root/opt/jit-render/bin/python"
    program.parent.mkdir(parents=True)
    program.symlink_to(shutil.which("sleep") or "sleep")
    with subprocess.Popen([program, "60"]) as worker:
        reaper = threading.Thread(target=worker.wait)
        reaper.start()  # or it would stay in the table of processes
        try:
            off, _ = run_watch(
                tmp_path, "2", looks=54, at_50=f"kill {worker.pid}; while kill -0 {worker.pid}; do :; done"
            )
        finally:
            worker.kill()
            reaper.join()
    assert off == ["53 shutdown -h now", "54 shutdown -h now"]


@needs_pgrep
def test_a_machine_of_batch_or_one_that_cannot_look_is_never_turned_off(tmp_path: Path) -> None:
    for name in ("zero", "blind", "batch"):
        (tmp_path / name).mkdir()
    assert run_watch(tmp_path / "zero", "0")[0] == []
    assert run_watch(tmp_path / "blind", "1", pgrep="#!/bin/sh\nexit 3\n")[0] == []
    (tmp_path / "batch/root/run").mkdir(parents=True)
    run_node(tmp_path / "batch", disks=0, programs=())
    assert run_watch(tmp_path / "batch", "1")[0] == []


@needs_pgrep
def test_a_refused_shutdown_is_told_and_the_other_way_is_taken(tmp_path: Path) -> None:
    refusing = "#!/bin/sh\nexit 1\n"
    assert run_watch(tmp_path, "1", looks=2, shutdown=refusing)[0] == ["2 systemctl poweroff"]
    again = tmp_path / "again"
    again.mkdir()
    assert "this node goes on costing" in run_watch(again, "1", looks=2, shutdown=refusing, systemctl=refusing)[1]
