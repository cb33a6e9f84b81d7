"""Trying again: how long, how often, and when not."""

from __future__ import annotations

import pytest

from jit_render.model.errors import ChecksumMismatch, ObjectNotFound, TransientStoreError
from jit_render.store.retry import CORRUPT_TRIES, LAST_BOUND_SECONDS, Passing, Retrier
from jit_render.testing.fake_clock import FakeClock


def failing(times: int, retry_after: float = 0.0, problem: type = TransientStoreError):
    """Work that fails so often, then gives its number of calls."""
    calls = 0

    def work() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise Passing(problem("storage hiccup"), retry_after)
        return calls

    return work


def test_what_passes_is_tried_again():
    clock = FakeClock()
    assert Retrier(clock, 300.0).call(failing(3)) == 4
    assert len(clock.slept) == 3


def test_what_is_permanent_is_raised_at_once():
    clock = FakeClock()

    def work() -> None:
        raise ObjectNotFound("gs://b/x does not exist.")

    with pytest.raises(ObjectNotFound):
        Retrier(clock, 300.0).call(work)
    assert clock.slept == []


def test_delays_double_up_to_a_bound_under_full_jitter():
    clock = FakeClock()
    Retrier(clock, 3000.0, jitter=lambda: 1.0).call(failing(8))
    assert clock.slept == [1, 2, 4, 8, 16, LAST_BOUND_SECONDS, LAST_BOUND_SECONDS, LAST_BOUND_SECONDS]
    clock = FakeClock()
    Retrier(clock, 3000.0, jitter=lambda: 0.25).call(failing(3))
    assert clock.slept == [0.25, 0.5, 1.0]


def test_the_server_may_ask_for_more_time():
    clock = FakeClock()
    Retrier(clock, 300.0, jitter=lambda: 0.5).call(failing(2, retry_after=11.0))
    assert clock.slept == [11.0, 11.0]


def test_the_deadline_ends_it_with_the_last_problem_and_the_count():
    clock = FakeClock()
    with pytest.raises(TransientStoreError, match=r"storage hiccup \(gave up after 5 tries\)"):
        Retrier(clock, 20.0, jitter=lambda: 1.0).call(failing(1000))
    assert clock.monotonic() <= 20.0


def test_nobody_waits_for_a_time_beyond_the_deadline():
    clock = FakeClock()
    with pytest.raises(TransientStoreError, match=r"gave up after 1 try\)"):
        Retrier(clock, 20.0).call(failing(1000, retry_after=3600.0))
    assert clock.slept == []


def test_bytes_that_stay_corrupt_are_given_up_early():
    clock = FakeClock()
    with pytest.raises(ChecksumMismatch, match=f"after {CORRUPT_TRIES} tries"):
        Retrier(clock, 1e9).call(failing(1000, problem=ChecksumMismatch))


def test_progress_gives_a_fresh_deadline():
    clock = FakeClock()
    patience = Retrier(clock, 10.0, jitter=lambda: 1.0).patience()
    for _ in range(20):
        patience.pause(Passing(TransientStoreError("x")))
        patience.pause(Passing(TransientStoreError("x")))
        patience.progressed()
    assert clock.monotonic() > 50
    assert not patience.is_over
