"""What jobs cost and are expected to cost, from records that a test writes; and a page of hostile names."""

from dataclasses import replace

import pytest
from test_farm_status import Job

from jit_render.cli.config import environment_layer
from jit_render.cost import prices
from jit_render.cost.bill import Terms
from jit_render.farm.attempts import machine_of
from jit_render.farm.billing import cost_of, estimate, jobs_of_shot, version_of
from jit_render.farm.holding import COUNTERS, BudgetWatch, counts, hold_of, set_budget, spent_usd
from jit_render.farm.records import JobReader, add_to_index, encode
from jit_render.model.job import AttemptRecord, FailureClass, JobPaths
from jit_render.model.settings import Settings
from jit_render.report.cost import cost_json, cost_lines
from jit_render.report.estimate import estimate_lines
from jit_render.report.page import page
from jit_render.report.page_data import gather
from jit_render.store import ABSENT

HOSTILE = "<script>alert('x')</script>\"&"
PRICES = prices("us-central1")


def settings(folder, **gcp) -> Settings:
    return Settings.model_validate({"job": {"state": f"file://{folder}"}, "gcp": gcp})


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    made = Job(tmp_path, "1-8", 4)
    yield made
    made.store.close()


def put(job, record: AttemptRecord) -> None:
    job.store.write(job.paths.attempt(record.task, record.attempt), encode(record), if_generation=ABSENT)


def attempt(job, **changes) -> AttemptRecord:
    now = job.clock.wall()
    common = {"task": 0, "attempt": 1, "host": "h", "pid": 1, "started": now - 3600, "heartbeat": now, "ended": now}
    return AttemptRecord(**{**common, **changes})


def test_an_hour_lost_to_preemption_costs_an_hour(job, tmp_path):
    put(job, attempt(job, failure=FailureClass.PREEMPTED, machine="n2-standard-8", provisioning="spot"))
    cost = cost_of(settings(tmp_path, local_ssds=0), JobReader(job.store, job.paths.home), now=job.clock.wall())
    assert cost.bill.total.lost == pytest.approx(0.1842 + 50 * 0.10 / 730)
    assert cost.alternatives.on_demand == pytest.approx(cost.bill.total.operations)
    assert not cost.bill.is_assumed


def test_a_job_of_this_machine_is_told_as_if(job, tmp_path):
    put(job, attempt(job))
    reader = JobReader(job.store, job.paths.home)
    cost = cost_of(settings(tmp_path), reader, now=job.clock.wall(), machine="c3-standard-8-lssd")
    assert any("as if each worker was a c3-standard-8-lssd, Spot" in line for line in cost_lines(cost))
    assert cost_json(cost)["as_if"] is True


def test_a_machine_is_paid_from_its_boot_and_between_its_attempts(job, tmp_path):
    now = job.clock.wall()
    first = {"started": now - 1000, "ended": now - 600, "booted": now - 1100, "machine": "e2-standard-8"}
    put(job, attempt(job, **first))
    put(job, attempt(job, task=1, started=now - 500, booted=now - 1101, machine="e2-standard-8"))
    seconds = cost_of(settings(tmp_path), JobReader(job.store, job.paths.home), now=now).bill.seconds
    assert seconds["start"] == pytest.approx(100)
    assert sum(seconds.values()) == pytest.approx(1100)


def test_a_budget_holds_the_job_until_it_is_raised(job):
    terms = Terms("n2-standard-8", "standard", local_ssds=0)
    watch = BudgetWatch(JobReader(job.store, job.paths.home), job.clock)
    put(job, attempt(job))
    assert watch.look() is None
    budget = set_budget(job.store, job.paths.home, 0.3, prices=PRICES, terms=terms)
    assert watch.look() is None, "it adds up once a minute"
    job.clock.advance(61)
    hold = watch.look()
    assert hold is not None
    assert hold.spent_usd == pytest.approx(spent_usd([attempt(job)], budget, job.clock.wall()))
    assert job.follower.refresh().state == "held"
    set_budget(job.store, job.paths.home, 0.5, prices=PRICES, terms=terms)
    assert watch.look() is None
    assert hold_of(job.store, job.paths.home) is None
    set_budget(job.store, job.paths.home, 0.35, prices=PRICES, terms=terms)
    job.clock.advance(61)
    assert watch.look().budget_usd == 0.35


def test_few_workers_of_a_large_job_add_up():
    assert 32 <= sum(counts(task, 5000) for task in range(5000)) <= COUNTERS
    assert all(counts(task, 10) for task in range(10))


def test_a_bill_says_what_fetching_the_results_would_add(job, tmp_path):
    job.commit(1)
    cost = cost_of(settings(tmp_path), JobReader(job.store, job.paths.home), now=job.clock.wall())
    cost = replace(cost, bill=replace(cost.bill, bytes_written=10 * 1024**3))
    once = 10 * PRICES.rate("internet_first")
    line = next(line for line in cost_lines(cost) if "not counted" in line)
    assert line.endswith(f"egress of results pulled off the cloud: 10.7 GB, ${once:.2f} each time")


def test_an_estimate_says_that_it_is_a_guess_and_warns_of_the_budget(job, tmp_path):
    expected = estimate(settings(tmp_path), job.store, JobReader(job.store, job.paths.home).spec())
    assert expected.nodes == 2
    assert expected.usd.low < expected.usd.mid < expected.usd.high
    told = "\n".join(estimate_lines(expected, budget=expected.usd.low / 2))
    assert "a guess" in told
    assert "will be held" in told


def test_an_estimate_takes_what_an_earlier_job_measured(job, tmp_path):
    job.commit(*range(1, 9))
    put(job, attempt(job, frames_done="1-4"))
    spec = JobReader(job.store, job.paths.home).spec()
    add_to_index(job.store, job.paths.home.parent.parent, spec)
    expected = estimate(settings(tmp_path), job.store, spec)
    assert expected.basis.startswith("1.50 s a frame")
    assert expected.basis.endswith("as measured in job")


def test_the_jobs_of_a_shot_are_told_by_version(job):
    state, spec = job.paths.home.parent.parent, JobReader(job.store, job.paths.home).spec()
    for number, name in enumerate(["shot_v001", "shot_v002", "other_v001"]):
        other = spec.model_copy(
            update={"id": name, "shot": name, "script_name": f"{name}.nk", "created": float(number)}
        )
        job.store.write(JobPaths.of(state, name).spec, encode(other), if_generation=ABSENT)
        add_to_index(job.store, state, other)
    found = jobs_of_shot(job.store, JobPaths.of(state, "shot_v002").home)
    assert [home.name for home in found] == ["shot_v001", "shot_v002"]
    assert [version_of(JobReader(job.store, home).spec()) for home in found] == ["v001", "v002"]


def test_a_node_knows_its_machine_from_the_environment():
    told = {"JIT_RENDER_MACHINE": "n2-standard-8", "JIT_RENDER_PROVISIONING": "SPOT", "JIT_RENDER_BOOTED": "1700000000"}
    assert machine_of(told) == {"machine": "n2-standard-8", "provisioning": "spot", "booted": 1.7e9}
    assert machine_of({"JIT_RENDER_PROVISIONING": "?"}) == {"machine": "", "provisioning": "", "booted": None}
    assert environment_layer(told).values == {}


def test_a_page_escapes_what_names_and_messages_say(job, tmp_path):
    job.commit(1, 2)
    put(job, attempt(job, host=HOSTILE, failure=FailureClass.RENDER_ERROR, message=HOSTILE))
    html = page(gather(settings(tmp_path), JobReader(job.store, job.paths.home), job.clock))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "submitted without a plan" in html


def test_a_job_that_has_not_begun_has_a_page(job, tmp_path):
    html = page(gather(settings(tmp_path), JobReader(job.store, job.paths.home), job.clock))
    assert "nothing to show yet" in html
