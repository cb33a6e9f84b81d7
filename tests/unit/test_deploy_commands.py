"""The commands of jit-deploy as a studio types them, against the fake project."""

from __future__ import annotations

import contextlib
import io
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_farm_status import Job

from gcp_deploy import access
from gcp_deploy.apis import NEEDED
from gcp_deploy.cli.main import app
from jit_render.cli import boundary
from jit_render.cli.main import app as render_app
from jit_render.farm.records import encode
from jit_render.model.job import AttemptRecord
from jit_render.store import ABSENT
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_cloud import FakeCloud


class Shell:
    """Runs jit-deploy in a folder of its own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], fake: FakeCloud) -> None:
        self.folder = folder
        self.fake = fake
        self._capture = capture

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            boundary.run(app, "jit-deploy", words)
        said = self._capture.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    @property
    def file(self) -> Path:
        return self.folder / "jit-render.toml"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    with FakeCloud("studio-one") as fake:
        monkeypatch.setenv("JIT_RENDER_GCP_COMPUTE_ENDPOINT", fake.url)
        monkeypatch.setenv("JIT_RENDER_STORE_ENDPOINT", fake.gcs.url)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
        monkeypatch.setattr(access, "SystemClock", lambda: FakeClock(1_790_000_000.0))
        monkeypatch.chdir(tmp_path)
        yield Shell(tmp_path, capsys, fake)


def _answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What somebody types, line after line; empty is the default."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_from_init_to_down(shell: Shell) -> None:
    assert shell("init", "--yes", "--project", "studio-one")[0] == 0
    code, out, _ = shell("plan")
    assert (code, out.splitlines()[-1]) == (0, "13 of 13 to do: jit-deploy up")
    code, out, _ = shell("up", "--yes")
    assert code == 0
    assert "13/13 made template" in out
    assert shell("up")[1] == "Nothing to do: all 13 parts are there.\n"
    code, out, _ = shell("leftovers", "--json")
    assert [item["kind"] for item in json.loads(out)["leftovers"]] == ["template"]
    code, out, _ = shell("down", "--yes")
    assert "Kept, at about 0.00 USD a month: gs://studio-one-jit-assets" in out
    code, out, _ = shell("leftovers", "--json")
    assert json.loads(out)["leftovers"] == []
    assert json.loads(shell("plan", "--json")[1])[1]["verdict"] == "ok"


def test_up_and_down_ask_and_a_no_changes_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("init", "--yes", "--project", "studio-one")
    _answer(monkeypatch, "n")
    code, _, err = shell("up")
    assert (code, shell.fake.gcs.objects_model.buckets()) == (1, [])
    assert "Nothing was changed" in err
    shell("up", "--yes")
    _answer(monkeypatch, "n")
    assert shell("down")[0] == 1
    code, _, err = shell("down", "--buckets", "--yes")
    assert code == 2
    assert "--confirm jit-render" in err
    assert len(shell.fake.gcs.objects_model.buckets()) == 3
    assert shell("down", "--buckets", "--confirm", "jit-render")[0] == 0
    assert shell.fake.gcs.objects_model.buckets() == []


def test_down_goes_on_past_what_it_may_not_end_and_says_so(shell: Shell) -> None:
    shell("init", "--yes", "--project", "studio-one")
    shell("up", "--yes")
    shell.fake.denied.add("compute.firewalls.delete")
    code, out, err = shell("down", "--yes")
    assert code == 1
    assert "not ended: firewall jit-render-no-ingress: " in err
    assert "could not be ended" in err
    assert "ended account jit-render-node@" in out
    shell.fake.denied.clear()
    assert shell("down", "--yes")[0] == 0
    assert shell.fake.compute.things == {}


def test_init_asks_for_everything_with_a_default_and_shows_what_machines_cost(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["studio-one", "", "us-central1-a,us-central1-b", "", "PLATES", "gs://plates", "", "", "/jobs/show", "/x:y"]
    typed[-1:] = ["", "-1", "1", "n2-standard", "n2-standard-16", "cheap", "standard", "many", "8", ""]
    nodes = ["", "gizmos", "/opt/nuke/gizmos:/opt/show"]
    _answer(monkeypatch, *typed, *nodes, "4101@licence.studio.example", "12.5")
    code, _, err = shell("init")
    assert code == 0, err
    assert "n2d-standard-8" in err
    assert "USD an hour, local SSDs: 1" in err
    assert err.index("Local SSDs of 375 GB") < err.index("SPOT $/H") < err.index("Machine type")
    assert "n2-standard-16 takes no fewer; local SSDs added: 2" in err
    written = tomllib.loads(shell.file.read_text())
    assert written["gcp"]["zones"] == ["us-central1-a", "us-central1-b"]
    assert written["gcp"]["assets"] == "plates"
    assert (written["gcp"]["nodes"], written["gcp"]["budget"]) == (8, 12.5)
    assert written["gcp"]["provisioning"] == "standard"
    assert written["gcp"]["local_ssds"] == 2
    assert "node_nuke" not in written["gcp"]
    assert written["gcp"]["node_gizmo_path"] == ["/opt/nuke/gizmos", "/opt/show"]
    assert [rule["prefix"] for rule in written["paths"]] == [["/jobs/show"], ["/jobs/show/renders"]]
    assert written["job"]["state"] == "gs://studio-one-jit-state"


def test_init_keeps_what_others_wrote_and_replaces_its_own_only_when_told(shell: Shell) -> None:
    others = (
        '# ours\n[cache]\nlimit = "400G" # big\n\n[[paths]]\nprefix = "/a"\ntarget = "gs://a"\n\n[job]\nchunk = 4\n'
    )
    shell.file.write_text(others)
    shell.file.chmod(0o640)
    assert shell("init", "--yes", "--project", "studio-one", "--machine", "e2-standard-8")[0] == 0
    text = shell.file.read_text()
    assert text.startswith('# ours\n[cache]\nlimit = "400G" # big\n\n[[paths]]\nprefix = "/a"')
    assert tomllib.loads(text)["job"] == {"chunk": 4, "state": "gs://studio-one-jit-state"}
    assert tomllib.loads(text)["gcp"]["local_ssds"] == 0  # e2 takes none
    assert shell.file.stat().st_mode & 0o777 == 0o640
    code, _, err = shell("init", "--yes", "--project", "studio-two")
    assert code == 2
    assert "--force replaces it" in err
    assert shell.file.read_text() == text
    assert shell("init", "--yes", "--project", "studio-two", "--force")[0] == 0
    settings = tomllib.loads(shell.file.read_text())
    assert "studio-one" not in str(settings)  # what was named after the other project has followed
    assert settings["job"]["state"] == "gs://studio-two-jit-state"
    assert text.split("[job]")[0] == shell.file.read_text().split("[job]")[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no project"),
        (["--project", "studio-one", "--machine", "e2-standard-8", "--local-ssds", "1"], "takes no local SSD"),
        (["--project", "x"], "gcp.project: 'x' cannot be"),
        (["--project", "studio-one", "--path", "relative=gs://b"], "not absolute"),
        (["--project", "studio-one", "--path", "/a=plates"], "not a storage URL"),
        (["--project", "studio-one", "--assets", "a\nb"], "gcp.assets"),
        (["--project", "studio-one", "--licence", "; rm -rf /"], "gcp.licence"),
        (["--project", "studio-one", "--node-gizmo-path", "gizmos"], "gcp.node_gizmo_path: 'gizmos' cannot be"),
        (["--project", "studio-one", "--node-nuke", "-x"], "gcp.node_nuke"),
    ],
)
def test_init_refuses_what_cannot_be_and_writes_nothing(shell: Shell, flags: list[str], message: str) -> None:
    code, _, err = shell("init", "--yes", *flags)
    assert code == 2
    assert message in err
    assert not shell.file.exists()


def test_a_flag_answers_for_the_kind_of_vms_and_their_local_ssds(shell: Shell) -> None:
    flags = ["--project", "studio-one", "--on-demand", "--local-ssds", "4"]
    assert shell("init", "--yes", *flags, "--node-nuke", "15.1", "--node-gizmo-path", "/a:/b")[0] == 0
    gcp = tomllib.loads(shell.file.read_text())["gcp"]
    assert (gcp["node_nuke"], gcp["node_gizmo_path"]) == ("15.1", ["/a", "/b"])
    assert (gcp["provisioning"], gcp["local_ssds"]) == ("standard", 4)
    assert shell("init", "--yes", "--force", "--machine", "c3-standard-8-lssd", "--spot")[0] == 0
    gcp = tomllib.loads(shell.file.read_text())["gcp"]
    assert (gcp["provisioning"], gcp["local_ssds"]) == ("spot", 0)  # its own are part of it


def test_init_leaves_a_file_that_it_cannot_read_alone(shell: Shell) -> None:
    shell.file.write_text("[cache\n")
    code, _, err = shell("init", "--yes", "--project", "studio-one")
    assert (code, shell.file.read_text()) == (2, "[cache\n")
    assert "mend it first" in err


def test_the_doctor_names_each_trouble_and_the_command_that_mends_it(shell: Shell) -> None:
    shell("init", "--yes", "--project", "studio-one", "--licence", "1@127.0.0.1")
    code, out, _ = shell("doctor")
    assert code == 1
    assert "-> gcloud services enable batch.googleapis.com cloudbilling" in out
    assert "bucket: gs://studio-one-jit-state is not there\n         -> jit-deploy up" in out
    assert "PROBLEM  licence server: 1@127.0.0.1 does not answer" in out
    shell("up", "--yes")
    shell.fake.denied.add("compute.images.create")
    shell.fake.billing.enabled = False
    shell.fake.compute.quotas = {"PREEMPTIBLE_CPUS": 64, "INSTANCES": 100, "PREEMPTIBLE_LOCAL_SSD_GB": 100_000}
    found = json.loads(shell("doctor", "--json")[1])
    problems = {finding["topic"]: finding for finding in found if finding["verdict"] == "problem"}
    assert sorted(problems) == ["IAM", "billing", "image", "licence server", "quotas"]
    assert problems["quotas"]["text"] == "PREEMPTIBLE_CPUS: 64 free, 20 nodes need 160"
    assert problems["quotas"]["mend"].endswith("or set gcp.nodes = 8")
    assert "--role=roles/compute.admin" in problems["IAM"]["mend"]
    assert problems["image"]["mend"] == "jit-deploy image --wheels FOLDER"
    assert all(finding["mend"] for finding in problems.values())


def test_the_doctor_is_content_when_all_is_there(shell: Shell) -> None:
    shell("init", "--yes", "--project", "studio-one")
    shell("up", "--yes")
    shell.fake.compute.put("images", "global", "jit-render-1", family="jit-render", status="READY")
    shell.fake.compute.quotas = {"CPUS": 1000, "INSTANCES": 100, "LOCAL_SSD_TOTAL_GB": 100_000}
    code, out, _ = shell("doctor")
    assert code == 0, out
    assert out.endswith("Nothing is wrong.\n")


@pytest.mark.parametrize(
    ("machine", "asked", "said"),
    [
        ("n2d-standard-8", 2, "ok       local SSDs: nodes get 2 of 375 GB"),
        (
            "n2-standard-16",
            1,
            "ok       local SSDs: nodes get 2: n2-standard-16 takes no fewer, and gcp.local_ssds is 1",
        ),
        (
            "c3-standard-8-lssd",
            1,
            "ok       local SSDs: c3-standard-8-lssd brings its own; gcp.local_ssds = 1 adds none",
        ),
        ("n2d-standard-8", 0, "ok       local SSDs: none; the cache is on the boot disk"),
        ("e2-standard-8", 1, "PROBLEM  local SSDs: e2-standard-8 takes no local SSD;"),
    ],
)
def test_the_doctor_says_whether_the_machine_takes_the_local_ssds(
    shell: Shell, machine: str, asked: int, said: str
) -> None:
    shell("init", "--yes", "--project", "studio-one")
    flags = ["--set", f"gcp.machine={machine}", "--set", f"gcp.local_ssds={asked}"]
    code, out, _ = shell("doctor", *flags)
    assert code == 1
    assert said in out
    if "PROBLEM  local SSDs" in said:
        text = shell.file.read_text().replace('machine = "n2d-standard-8"', f'machine = "{machine}"')
        shell.file.write_text(text)
        mend = shell("doctor")[1].partition("-> jit-deploy ")[2].splitlines()[0]
        assert shell(*mend.split())[0] == 0
        assert "local SSDs: none" in shell("doctor")[1]


def test_the_doctor_tells_buckets_that_are_far_or_lack_uniform_access(shell: Shell) -> None:
    shell.fake.gcs.create_bucket("plates")
    shell("init", "--yes", "--project", "studio-one", "--assets", "plates")
    shell("up", "--yes")
    out = shell("doctor")[1]
    assert "gcloud storage buckets update gs://plates --uniform-bucket-level-access" in out
    assert "gs://plates lies in us, nodes in us-central1" in out


def test_a_project_that_is_not_ours_stops_the_doctor_early(shell: Shell) -> None:
    shell("init", "--yes", "--project", "another-one")
    code, out, _ = shell("doctor")
    assert code == 1
    assert "-> gcloud projects describe another-one" in out
    assert "not looked at before that is mended" in out


def _sku(description: str, usage: str, usd: float, region: str = "us-central1") -> dict[str, object]:
    units, nanos = divmod(round(usd * 1e9), 10**9)
    price = {"tieredRates": [{"unitPrice": {"units": str(units), "nanos": nanos, "currencyCode": "USD"}}]}
    return {
        "description": description,
        "category": {"usageType": usage},
        "serviceRegions": [region],
        "pricingInfo": [{"pricingExpression": price}],
    }


def test_prices_are_refreshed_from_the_catalogue_and_used(shell: Shell) -> None:
    shell.fake.services.enabled.update(NEEDED)
    shell.fake.billing.skus = [
        _sku("N2D AMD Instance Core running in Americas", "OnDemand", 0.03),
        _sku("N2D AMD Instance Ram running in Americas", "OnDemand", 0.004),
        _sku("N2D AMD Custom Instance Core running in Americas", "OnDemand", 9.0),
        _sku("N2D AMD Instance Core running in Frankfurt", "OnDemand", 9.0, "europe-west3"),
        _sku("Spot Preemptible N2D AMD Instance Core running in Americas", "Preemptible", 0.01),
        _sku("Spot Preemptible N2D AMD Instance Ram running in Americas", "Preemptible", 0.001),
        _sku("Commitment v1: N2D AMD Cpu in Americas for 1 Year", "Commit1Yr", 9.0),
        _sku("SSD backed PD Capacity", "OnDemand", 0.19),
    ]
    shell("init", "--yes", "--project", "studio-one")
    code, out, err = shell("prices", "--refresh", "--json")
    assert code == 0, err
    assert "us-central1-2026-09-21.toml" in err
    told = json.loads(out)
    assert told["as_of"] == "2026-09-21"
    assert told["machines"]["n2d-standard-8"]["on_demand"] == pytest.approx(8 * 0.03 + 32 * 0.004)
    assert told["machines"]["n2d-standard-8"]["spot"] == pytest.approx(8 * 0.01 + 32 * 0.001)
    assert told["machines"]["n2-standard-8"]["on_demand"] == 0.3885  # the catalogue did not say
    assert told["rates"]["pd_ssd"] == pytest.approx(0.19)
    assert "MACHINE" in shell("prices")[1]


def test_refreshed_prices_are_what_a_job_is_billed_at(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job was submitted on the refresh's day, with an hour on one node."""
    job = Job(shell.folder, "1-2", 2, start=1_790_000_000.0)
    hour = {"task": 0, "attempt": 1, "host": "h", "pid": 1, "started": job.clock.wall() - 3600}
    ended = {"heartbeat": job.clock.wall(), "ended": job.clock.wall(), "machine": "n2d-standard-8"}
    spec = shell.folder / "jobs" / "job" / "job.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "created": job.clock.wall()}))
    job.store.write(job.paths.attempt(0, 1), encode(AttemptRecord(**hour, **ended)), if_generation=ABSENT)
    job.store.close()
    monkeypatch.setenv("JIT_RENDER_JOB_STATE", f"file://{shell.folder}")

    def machines_usd() -> float:
        answer = io.StringIO()
        with contextlib.redirect_stdout(answer), pytest.raises(SystemExit):
            boundary.run(render_app, "jit-render", ["cost", str(job.paths.home), "--json"])
        return float(json.loads(answer.getvalue())["usd"]["total"])

    shell("init", "--yes", "--project", "studio-one", "--local-ssds", "0")
    before = machines_usd()
    shell.fake.services.enabled.update(NEEDED)
    shell.fake.billing.skus = [
        _sku("N2D AMD Instance Core running in Americas", "OnDemand", 0.03),
        _sku("N2D AMD Instance Ram running in Americas", "OnDemand", 0.004),
        _sku("Spot Preemptible N2D AMD Instance Core running in Americas", "Preemptible", 0.01),
        _sku("Spot Preemptible N2D AMD Instance Ram running in Americas", "Preemptible", 0.001),
    ]
    assert shell("prices", "--refresh")[0] == 0

    assert machines_usd() - before == pytest.approx(8 * 0.01 + 32 * 0.001 - 0.0978)


def test_a_region_that_the_catalogue_does_not_know_is_refused(shell: Shell) -> None:
    shell.fake.services.enabled.update(NEEDED)
    shell("init", "--yes", "--project", "studio-one")
    code, _, err = shell("prices", "--refresh", "--region", "mars-north1")
    assert code == 1
    assert "lists no machines for mars-north1" in err


def test_help_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    heavy = ("google", "pydantic", "rich")
    probe = f"import sys, gcp_deploy.cli.main; print([m for m in sys.modules if m.startswith({heavy})])"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout == "[]\n"
