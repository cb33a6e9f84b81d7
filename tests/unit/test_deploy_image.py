"""The nodes' image: built once, gone on with after a kill; and what the start-up script does on the VM itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from deploy_kit import Killed, bring_all_up, cloud_for, recording

from gcp_deploy.image import ImageBuild, nuke_archive, read_recipe
from gcp_deploy.inventory import leftovers
from gcp_deploy.template import startup_script
from jit_render.model.errors import CloudError, ConfigError
from jit_render.testing.fake_cloud import FakeCloud
from jit_render.testing.fake_gcs import FakeGcs

SCRIPT = startup_script()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("jit_render-0.1.0-py3-none-any.whl", "pip-25.0-py3-none-any.whl", "typer-1.0-py3-none-any.whl"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def fake() -> Iterator[FakeCloud]:
    with FakeCloud("studio-one") as cloud:
        cloud.compute.boots = _installs
        yield cloud


def _metadata(instance: dict) -> dict[str, str]:
    return {item["key"]: item["value"] for item in instance["metadata"]["items"]}


def _installs(instance: dict) -> dict[str, str]:
    """A VM whose start-up script does its work at once."""
    said = _metadata(instance)
    return {"jit-render/ready": said["jit-render-digest"]} if said["jit-render-role"] == "image" else {}


def test_an_image_is_built_once_and_its_vm_goes(fake: FakeCloud, wheels: Path) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    recipe = read_recipe(wheels)
    assert ImageBuild(cloud, recipe).run() is True
    assert ImageBuild(cloud, recipe).run() is False
    (name,) = fake.compute.names("images")
    assert name == f"jit-render-{recipe.digest}"
    assert fake.compute.names("instances") == fake.compute.names("disks") == []
    stored = fake.gcs.objects("studio-state")
    assert sorted(stored) == sorted(f"deploy/{recipe.digest}/{file}" for file in [*recipe.files, "files.txt"])
    assert fake.compute.things["images", "global", name]["labels"] == {"jit-render": "jit-render"}


def test_other_wheels_are_another_image(wheels: Path) -> None:
    before = read_recipe(wheels).digest
    (wheels / "typer-1.0-py3-none-any.whl").write_bytes(b"other")
    assert read_recipe(wheels).digest != before


def test_a_build_that_is_killed_after_any_request_is_gone_on_with(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, whole = 0, False
    while not whole:
        number += 1
        with FakeCloud("studio-one") as fake:
            fake.compute.boots = _installs
            bring_all_up(cloud_for(fake))
            try:
                with recording(monkeypatch, dies_after=number):
                    ImageBuild(cloud_for(fake), read_recipe(wheels)).run()
                whole = True
            except Killed:
                ImageBuild(cloud_for(fake), read_recipe(wheels)).run()
            assert len(fake.compute.names("images")) == 1, number
            assert fake.compute.names("instances") == [], number
    assert number > 6


def test_a_build_that_fails_says_where_to_look_and_is_listed(fake: FakeCloud, wheels: Path) -> None:
    cloud = cloud_for(fake)
    bring_all_up(cloud)
    fake.compute.boots = lambda _instance: {"jit-render/ready": "failed: line 60 of the start-up script"}
    with pytest.raises(CloudError, match=r"line 60.*get-serial-port-output jit-render-build-"):
        ImageBuild(cloud, read_recipe(wheels)).run()
    assert {"VM", "disk"} <= {item.kind for item in leftovers(cloud)}


def test_what_a_recipe_lacks_is_said_with_the_command_that_makes_it(tmp_path: Path, fake: FakeCloud) -> None:
    with pytest.raises(ConfigError, match="pip wheel -w"):
        read_recipe(tmp_path / "none")
    with pytest.raises(ConfigError, match="no wheel of jit_render"):
        read_recipe(tmp_path)
    cloud = cloud_for(fake, nuke="gs://studio-assets/Nuke15.1v3.tgz")
    bring_all_up(cloud)
    with pytest.raises(ConfigError, match=r"there is no gs://studio-assets/Nuke15\.1v3\.tgz"):
        nuke_archive(cloud)


class _Metadata(BaseHTTPRequestHandler):
    """The metadata server as far as the script asks it: attributes, a token, guest attributes."""

    attributes: dict[str, str]
    told: dict[str, str]

    def do_GET(self) -> None:
        path = self.path.removeprefix("/computeMetadata/v1/instance/")
        answer = (
            '{"access_token": "t0k3n"}' if path.endswith("/token") else self.attributes.get(path.rpartition("/")[2])
        )
        self.send_response(200 if answer is not None else 404)
        self.end_headers()
        self.wfile.write((answer or "").encode())

    def do_PUT(self) -> None:
        self.told[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


def _run_script(tmp_path: Path, gcs: FakeGcs, attributes: dict[str, str]) -> dict[str, str]:
    told: dict[str, str] = {}
    handler = type("Bound", (_Metadata,), {"attributes": attributes, "told": told})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    environment = {
        **os.environ,
        "JIT_METADATA": f"http://127.0.0.1:{server.server_address[1]}",
        "JIT_STORAGE": gcs.url,
        "JIT_ROOT": str(tmp_path / "root"),
        "PYTHONPATH": "",
    }
    try:
        subprocess.run(["bash", "-c", SCRIPT], env=environment, check=False, capture_output=True, timeout=60)
    finally:
        server.shutdown()
        server.server_close()
    return told


needs_tools = pytest.mark.skipif(
    not shutil.which("curl") or not shutil.which("bash"), reason="the start-up script wants bash and curl"
)


@needs_tools
def test_the_start_up_script_installs_what_the_recipe_lists_and_says_so(tmp_path: Path) -> None:
    """pip is stood in for by a package that notes its arguments and makes the command: no index is reached here."""
    digests = {}
    with FakeGcs(buckets=["studio-state", "studio-assets"], tokens=["t0k3n"]) as gcs:
        files = {"jit_render-0.1.0-py3-none-any.whl": b"wheel", "pip-25.0-py3-none-any.whl": _pip(tmp_path)}
        for name, data in files.items():
            gcs.put("studio-state", f"deploy/d1/{name}", data)
            digests[name] = hashlib.sha256(data).hexdigest()
        listing = "".join(f"{digest} {name}\n" for name, digest in digests.items())
        gcs.put("studio-state", "deploy/d1/files.txt", listing.encode())
        gcs.put("studio-assets", "soft ware/Nuke15.1v3.tgz", _archive(tmp_path))
        attributes = {
            "jit-render-role": "image",
            "jit-render-recipe": "gs://studio-state/deploy/d1",
            "jit-render-digest": "d1",
            "jit-render-nuke": "gs://studio-assets/soft ware/Nuke15.1v3.tgz",
        }
        told = _run_script(tmp_path, gcs, attributes)
    root = tmp_path / "root" / "opt"
    assert told == {"ready": "d1"}
    assert (root / "nuke" / "Nuke15.1").read_text() == "nuke"
    assert "--no-index" in (root / "jit-render" / "arguments").read_text()


@needs_tools
def test_the_start_up_script_takes_no_file_whose_content_is_not_the_recipes(tmp_path: Path) -> None:
    with FakeGcs(buckets=["studio-state"]) as gcs:
        gcs.put("studio-state", "deploy/d1/pip-25.0-py3-none-any.whl", b"swapped")
        gcs.put("studio-state", "deploy/d1/files.txt", f"{'0' * 64} pip-25.0-py3-none-any.whl\n".encode())
        attributes = {"jit-render-role": "image", "jit-render-recipe": "gs://studio-state/deploy/d1"}
        told = _run_script(tmp_path, gcs, attributes)
    assert told["ready"].startswith("failed: line ")
    assert not (tmp_path / "root" / "opt" / "jit-render").exists()


def _pip(tmp_path: Path) -> bytes:
    """A wheel that runs as pip does: ``python pip.whl/pip install …``."""
    import zipfile

    code = (
        "import pathlib, sys\n"
        "home = pathlib.Path(sys.prefix)\n"
        "(home / 'arguments').write_text(' '.join(sys.argv[1:]))\n"
        "command = home / 'bin' / 'jit-render'\n"
        "command.write_text('#!/bin/sh\\nexit 0\\n')\n"
        "command.chmod(0o755)\n"
    )
    path = tmp_path / "pip.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pip/__main__.py", code)
        wheel.writestr("pip/__init__.py", "")
    return path.read_bytes()


def _archive(tmp_path: Path) -> bytes:
    import tarfile

    (tmp_path / "Nuke15.1").write_text("nuke")
    with tarfile.open(tmp_path / "nuke.tgz", "w:gz") as archive:
        archive.add(tmp_path / "Nuke15.1", "Nuke15.1")
    return (tmp_path / "nuke.tgz").read_bytes()
