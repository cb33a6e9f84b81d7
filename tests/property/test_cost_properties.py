"""Whatever the records say: a bill's parts, its frames and its attempts add up to the same money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_render.cost import prices
from jit_render.cost.bill import PARTS, Terms, bill
from jit_render.cost.estimate import Load, length_of
from jit_render.cost.usage import SECONDS, FrameUse, occupied_seconds, split
from jit_render.model.job import AttemptRecord, FailureClass, Spent

PRICES = prices("us-central1")
NOW = 10_000.0
TASKS = ((1, 2, 3), (4, 5, 6), (7,))
seconds = st.floats(0, 5_000)


@st.composite
def attempts(draw) -> AttemptRecord:
    started = draw(seconds)
    ended = draw(st.none() | seconds.map(lambda more: started + more))
    return AttemptRecord(
        task=draw(st.integers(0, 2)),
        attempt=draw(st.integers(1, 1000)),
        host=draw(st.sampled_from("ab")),
        pid=1,
        started=started,
        heartbeat=started + draw(st.floats(0, 100)),
        ended=ended,
        failure=draw(st.none() | st.sampled_from(FailureClass)) if ended is not None else None,
        machine=draw(st.sampled_from(["", "n2-standard-8", "c3-standard-8-lssd"])),
        provisioning=draw(st.sampled_from(["", "spot", "standard"])),
        booted=draw(st.none() | st.floats(0, 6_000)),
        spent=Spent(
            start_seconds=draw(seconds),
            render_seconds=draw(seconds),
            fetch_wait_seconds=draw(seconds),
            misses=draw(st.integers(0, 100)),
            bytes_fetched=draw(st.integers(0, 2**40)),
        ),
    )


jobs = st.lists(attempts(), max_size=8, unique_by=lambda one: (one.task, one.attempt))


@st.composite
def committing(draw) -> tuple:
    found = draw(jobs)
    committed = {}
    for one in found:
        frames = draw(st.lists(st.sampled_from(TASKS[one.task]), unique=True))
        uses = [FrameUse(frame, draw(seconds), draw(st.integers(0, 2**33))) for frame in frames]
        if uses:
            committed[one.task, one.attempt] = uses
    return found, committed


@given(committing(), st.sampled_from(["regional", "multi-region"]))
def test_frames_attempts_and_parts_sum_to_the_same_total(job, bucket):
    found, committed = job
    made = bill(found, committed, TASKS, prices=PRICES, terms=Terms("n2d-standard-8", bucket=bucket), now=NOW)
    for part in PARTS:
        whole = getattr(made.total, part)
        assert sum(getattr(money, part) for money in made.frames.values()) == pytest.approx(whole, abs=1e-9)
        assert sum(getattr(money, part) for money in made.attempts.values()) == pytest.approx(whole, abs=1e-9)
        assert whole >= 0
    assert sum(getattr(made.total, part) for part in PARTS) == made.total.total
    assert set(made.frames) == {frame for task in TASKS for frame in task}
    assert sum(made.seconds.values()) == pytest.approx(3600 * sum(made.hours.values()))


@given(attempts(), st.lists(seconds, max_size=4))
def test_an_attempts_parts_are_all_its_seconds(attempt, rendered):
    parts = split(attempt, [FrameUse(frame, one) for frame, one in enumerate(rendered)], NOW)
    assert parts.total == pytest.approx(occupied_seconds(attempt, NOW))
    assert all(getattr(parts, name) >= 0 for name in SECONDS)


@given(
    st.builds(
        Load,
        frames=st.integers(1, 5000),
        tasks=st.integers(1, 500),
        nodes=st.integers(1, 100),
        frame_seconds=st.floats(0.1, 3600),
        start_seconds=st.floats(0, 300),
        unknown=st.floats(0, 1),
        preemptions_per_hour=st.floats(0, 2),
    )
)
def test_an_estimate_lies_between_its_bounds(load):
    length = length_of(load)
    for one in (length.wall_hours, length.node_hours):
        assert 0 <= one.low <= one.mid <= one.high
    assert length.node_hours.mid * 3600 >= load.frames * load.frame_seconds
