"""``python -m benchmarks.farm.inside FOLDER``: the farm itself, from within namespaces of its own.

`outside.py` starts it as the first process of a process namespace, with its own mounts and network, tied to its
starter by the kernel (PR_SET_PDEATHSIG): whoever of the two dies, and however, all processes of the farm die with it,
and with the last process go the mounts, hosts and links. What GlusterFS keeps under /var/lib and /run is laid over by
folders of the farm. Without root it runs as a plain process, on folders instead of hosts.

Progress goes to standard output, one JSON object a line, the last of which is the result.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.farm import shot
from benchmarks.farm.links import STORE_ADDRESS, Network, Unshaped
from benchmarks.farm.race import Race
from benchmarks.farm.systems import Bench, System, systems
from benchmarks.farm.systems.port import BUCKET
from benchmarks.farm.values import Result, Run, Setting, Shot
from benchmarks.isolated import lay_over
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from jit_render.store.crc import crc32c_of_file
from jit_render.store.port import ABSENT
from jit_render.testing.gcs_process import FakeGcsProcess


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    plain = json.loads(sys.stdin.readline())
    wanted = plain.pop("systems")
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    setting = Setting(**given)
    network: Network | Unshaped
    if setting.shaped:
        lay_over(folder)
        network = Network(
            max(setting.hosts), host_bits=setting.host_bits_per_second, filer_bits=setting.filer_bits_per_second
        )
        network.build()
    else:
        network = Unshaped(max(setting.hosts))
    address = STORE_ADDRESS if setting.shaped else "127.0.0.1"
    with FakeGcsProcess(buckets=[BUCKET], folder=folder / "gcs", host=address) as server:
        bench = Bench(setting, folder, folder / "plates", server)
        _make_shot(bench)
        result = _grid(bench, network, wanted)
    _tell({"result": result.to_json()})
    return 0


def _make_shot(bench: Bench) -> None:
    one = bench.setting
    names = shot.make(
        bench.plates,
        frames=one.shot_frames,
        layers=one.layers,
        size=(one.width, one.height),
        told=lambda done, total: _tell({"doing": "making plates", "done": done, "of": total}),
    )
    store = open_store(StoreSettings(endpoint=bench.server.url))
    try:
        for name in names:
            path = bench.plates / name
            url = ObjectUrl(f"gs://{BUCKET}", f"show/{name}")
            store.upload(url, path, crc32c=crc32c_of_file(path), if_generation=ABSENT)
    finally:
        store.close()


def _grid(bench: Bench, network: Network | Unshaped, wanted: list[str]) -> Result:
    assert bench.server.process is not None
    race = Race(bench.setting, network, bench.server.process.pid)
    everything = [system for system in systems(bench) if not wanted or system.name in wanted]
    skipped = {system.name: why for system in everything if (why := system.missing())}
    rows = list(_rows(bench, [system for system in everything if system.name not in skipped]))
    runs: list[Run] = []
    for number, (system, hosts) in enumerate(rows):
        if system.name in skipped:
            continue
        _tell({"doing": f"{system.name} × {hosts}", "done": number, "of": len(rows)})
        try:
            runs.append(race.run(system, hosts))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            skipped[system.name] = f"failed with {hosts} hosts: {error}"
        _clear(bench, system, hosts, rows[number + 1 :])
    return Result(setting=bench.setting, shot=_weigh(bench), runs=tuple(runs), programs=_programs(), skipped=skipped)


def _rows(bench: Bench, measured: list[System]) -> Iterator[tuple[System, int]]:
    """Systems with equal numbers of hosts follow each other."""
    for hosts in bench.setting.hosts:
        for system in measured:
            if system.name != "copy-all" or hosts in bench.setting.copy_all_hosts:
                yield system, hosts


def _clear(bench: Bench, system: System, hosts: int, left: list[tuple[System, int]]) -> None:
    """Free the disk, except of caches that a later run wants."""
    if any(of == hosts and later.name.startswith("jit") for later, of in left) and system.name.startswith("jit"):
        return
    for place in (bench.folder / "hosts").glob(f"*-{hosts}"):
        if not any(path.is_mount() for path in place.glob("node*/mount")):
            shutil.rmtree(place, ignore_errors=True)


def _weigh(bench: Bench) -> Shot:
    one = bench.setting
    sizes = {name: (bench.plates / name).stat().st_size for name in shot.files(one.shot_frames, one.layers)}
    read = [shot.STILL, *(shot.layer_file(layer, shot.FIRST) for layer in range(one.layers))]
    return Shot(
        files=len(sizes),
        size_bytes=sum(sizes.values()),
        frame_bytes=sum(sizes[name] for name in read),
        output_bytes=shot.output_bytes(),
    )


def _programs() -> dict[str, str]:
    """First lines of what the programs say of themselves."""
    asked = {"glusterfs": ["glusterfs", "--version"], "rclone": ["rclone", "version"], "gcsfuse": ["gcsfuse", "-v"]}
    found = {}
    for name, command in asked.items():
        if shutil.which(name):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            found[name] = (said.stdout or said.stderr).split("\n", 1)[0].strip()
    return found


def _tell(message: dict[str, Any]) -> None:
    os.write(1, (json.dumps(message) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
