"""A job's whole life on Google Batch, by the commands that people type: preempted to the end of its retries, held,
resumed, cancelled, retried. Folders are the buckets and a fake Nuke renders, so that most of the time is the nodes'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from batch_kit import GCP, PLACES
from studio import Studio, until

from jit_render.cli import boundary, main, submit
from jit_render.farm.records import JobReader, find_job, list_jobs, state_of
from jit_render.farm.rounds import Rounds
from jit_render.model.frames import FrameSet
from jit_render.model.job import FailureClass
from jit_render.testing.fake_batch import FakeBatch, JobState, Preemption

FRAMES = 8


@dataclass
class Desk:
    """Where somebody types commands about the one job there is."""

    studio: Studio
    capsys: pytest.CaptureFixture[str]

    def type(self, *words: str) -> tuple[int, str]:
        """A command's exit code, and all that it said."""
        app = {"jit-submit": submit.app, "jit-render": main.app}[words[0]]
        with pytest.raises(SystemExit) as ended:
            boundary.run(app, words[0], words[1:])
        said = self.capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    def submit(self, *flags: str) -> tuple[int, str]:
        span = ["--frames", f"1-{self.studio.frames}"]
        return self.type("jit-submit", str(self.studio.script), *span, "--engine", "batch", "--yes", *flags)

    @property
    def reader(self) -> JobReader:
        settings, store = self.studio.settings, self.studio.store
        return JobReader(store, find_job(store, settings, list_jobs(store, state_of(settings))[0].id))

    def done(self) -> set[int]:
        """Frames that have their commit record."""
        return set(self.reader.spec().frame_set) - set(self.reader.missing())

    def rounds(self) -> list[FrameSet]:
        """The tasks of every round there was."""
        rounds = Rounds(self.studio.store, self.reader.paths.home)
        last = rounds.last()
        return [FrameSet.parse(rounds.get(number).tasks) for number in range(1, last.number + 1 if last else 1)]


Make = Callable[..., Desk]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Make]:
    made: list[Studio] = []

    def make_one(server: FakeBatch, *, chunk: int, **gcp: object) -> Desk:
        studio = Studio(tmp_path, frames=FRAMES, chunk=chunk)
        studio.settings.render.environment.clear()  # what the nodes' renderer does to us is theirs alone
        made.append(studio)
        given = studio.settings.model_dump(mode="json", exclude_unset=True)
        own = {**GCP, "endpoint": server.endpoint, "node_nuke": given["render"]["nuke"], **gcp}
        given["gcp"] = own
        given["farm"]["licence_wait"] = 0.1
        monkeypatch.setenv("JIT_RENDER_CONFIG", str(tmp_path / "jit-render.toml"))
        monkeypatch.setenv("COLUMNS", "80")
        (tmp_path / "jit-render.toml").write_text("\n".join(_toml(given)))
        return Desk(studio, capsys)

    yield make_one
    for studio in made:
        studio.close()


def _toml(given: dict[str, object]) -> Sequence[str]:
    lines = [f"paths = {_inline(given.pop('paths'))}"]
    for section, values in given.items():
        assert isinstance(values, dict)
        lines += [f"[{section}]", *(f"{key} = {_inline(value)}" for key, value in values.items())]
    return lines


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(_inline, value)) + "]" if isinstance(value, list) else json.dumps(value)


def rendered_here(studio: Studio) -> dict[str, bytes]:
    """The same frames by the local engine."""
    for path in (studio.bucket / "renders").glob("*.exr"):
        path.unlink()
    assert studio.run(studio.submit(force=True).home).state == "done"
    return studio.outputs()


def test_spot_nodes_that_always_vanish_end_in_a_round_on_demand_with_the_missing_frames(
    tmp_path: Path, make: Make
) -> None:
    """Each Spot attempt gets one frame further and loses its node without a notice; Batch tries each task once more."""
    desks: list[Desk] = []

    def has_new_frame(task: int, attempt: int) -> bool:
        return len(desks[0].done() & set(desks[0].reader.spec().tasks()[task])) > attempt

    hits = Preemption(rate=1.0, window=0.0, silent=1.0, is_due=has_new_frame)
    slowly = {"FAKE_NUKE": "slow=0.4"}
    with FakeBatch(tmp_path / "batch", places=PLACES, nodes=2, variables=slowly, preemption=hits) as server:
        desk = make(server, chunk=4, retries=1)
        desks.append(desk)
        code, said = desk.submit("--wait", "--fallback", "on-demand")

        assert code == 0, said
        assert "round 2: tasks 0-1 on on-demand machines." in said
        server.wait()  # the records are complete a little before the service knows
        spot, on_demand = (server.jobs[name] for name in server.created)
    assert (spot.state, on_demand.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert [task.exit_codes for task in spot.tasks] == [[50001, 50001]] * 2
    assert [task.retries for task in on_demand.tasks] == [0, 0]
    assert on_demand.job.allocation_policy.instances[0].policy.provisioning_model.name == "STANDARD"
    reader = desk.reader
    attempts, tasks = reader.attempts(), reader.spec().tasks()
    assert [one.failure for one in attempts] == [FailureClass.PREEMPTED, FailureClass.PREEMPTED, None] * 2
    records = reader.commit_records(key for frame in desk.done() for key in reader.spec().commits(frame)).values()
    for one in attempts:
        earlier = {record.frame for record in records if record.task == one.task and record.attempt < one.attempt}
        assert set(FrameSet.parse(one.frames_asked)) == set(tasks[one.task]) - earlier
    assert sum(one.frames_lost for one in attempts) <= 4, "the frame in hand of each node that vanished"
    made = desk.studio.outputs()
    assert len(set(made.values())) == FRAMES
    assert made == rendered_here(desk.studio)


def test_a_job_is_held_resumed_cancelled_and_retried_and_no_licence_costs_a_retry(tmp_path: Path, make: Make) -> None:
    slowly, stuck, unlicensed = "slow=0.3", f"hang@{FRAMES}", f"licence once={tmp_path}/once"
    with FakeBatch(tmp_path / "batch", places=PLACES, nodes=2, variables={"FAKE_NUKE": slowly}) as server:
        desk = make(server, chunk=2)
        held(desk, server)
        server.variables["FAKE_NUKE"] = stuck
        code, said = desk.type("jit-render", "resume", "latest", "--budget", "5")
        assert code == 0, said
        assert "with batch" in said
        known = desk.done()
        cancelled(desk, server, known)
        left = desk.reader.missing()
        server.variables["FAKE_NUKE"] = unlicensed
        code, said = desk.type("jit-render", "retry", "latest", "--wait")
        assert code == 0, said
        assert f"{FRAMES} of {FRAMES} done" in said
        assert server.wait() == JobState.SUCCEEDED
        tasks = desk.reader.spec().tasks()
        assert set(desk.rounds()[-1]) == {n for n, frames in enumerate(tasks) if set(frames) & set(left)}
        assert [task.retries for run in server.jobs.values() for task in run.tasks if task.retries] == []
    told_of(desk)
    assert len(set(desk.studio.outputs().values())) == FRAMES


def held(desk: Desk, server: FakeBatch) -> None:
    """Its budget is spent as soon as anybody adds up."""
    code, said = desk.submit("--wait", "--budget", "0.0000001")
    assert code == 1, said
    code, said = desk.type("jit-render", "status")
    job = desk.reader.paths.job_id
    assert code == 0
    assert said.startswith(f"{job}: held\n")
    assert f"`jit-render resume {job} --budget USD` goes on with more." in said
    server.wait()
    assert len(desk.done()) < FRAMES
    code, said = desk.type("jit-render", "resume", "latest")
    assert code != 0
    assert "is held" in said
    assert len(server.created) == 1


def cancelled(desk: Desk, server: FakeBatch, known: set[int]) -> None:
    until(lambda: desk.done() - known)
    code, said = desk.type("jit-render", "status")
    assert (code, said.split()[1]) == (0, "running")
    script = str(desk.studio.script)
    for words in (["jit-submit", script, "--frames", f"1-{FRAMES}"], ["jit-render", "resume", "--engine", "local"]):
        code, said = desk.type(*words)
        assert code == 2
        assert re.search("is (running|waiting) at batch, and both would render it; 'jit-render cancel", said), said
    assert desk.type("jit-render", "cancel", "latest")[0] == 0
    assert server.wait() == JobState.CANCELLED
    code, said = desk.type("jit-render", "wait", "latest")
    assert (code, said.split()[1]) == (1, "cancelled")
    assert desk.type("jit-render", "resume", "latest")[0] != 0


def told_of(desk: Desk) -> None:
    """What the records say afterwards, as of a local job."""
    last = len(desk.reader.spec().tasks()) - 1
    code, said = desk.type("jit-render", "logs", "latest", "--task", str(last))
    assert code == 0
    assert f"==> task {last}, attempt " in said
    assert "FOUNDRY LICENSE" in desk.type("jit-render", "logs", "latest")[1]
    assert FailureClass.LICENCE not in {one.failure for one in desk.reader.attempts()}
    code, said = desk.type("jit-render", "cost", "latest")
    assert code == 0
    assert "n2d-standard-8" in said
    status = json.loads(desk.type("jit-render", "status", "--json")[1])
    assert (status["state"], status["frames_done"]) == ("done", FRAMES)
