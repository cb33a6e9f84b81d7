"""After an answer the agent's loop looks for the next request without sleeping, and learns when that is no use."""

from __future__ import annotations

import itertools
import selectors
import socket

import pytest

from jit_render.agent.awake import AWAKE_SECONDS, MOST_ASLEEP, AwakeSelector

STEP_SECONDS = AWAKE_SECONDS / 10


class Steps:
    """A clock that goes on a step with each look at it, and does something at one of them."""

    def __init__(self) -> None:
        self.looks = 0
        self.at: dict[int, bytes] = {}
        self.client: socket.socket

    def __call__(self) -> float:
        self.looks += 1
        if self.looks in self.at:
            self.client.sendall(self.at.pop(self.looks))
        return self.looks * STEP_SECONDS


@pytest.fixture
def clock():
    return Steps()


@pytest.fixture
def selector(clock):
    ours, clock.client = socket.socketpair()
    with ours, clock.client, AwakeSelector(clock) as opened:
        opened.register(ours, selectors.EVENT_READ)
        yield opened


def said(events) -> list[bytes]:
    return [key.fileobj.recv(100) for key, _ in events]


def test_without_an_answer_it_sleeps_at_once(selector, clock):
    assert selector.select(0.001) == []
    assert clock.looks == 0


def test_what_comes_soon_after_an_answer_is_found_awake(selector, clock):
    clock.at[5] = b"next"
    selector.stay_awake()
    assert said(selector.select(60.0)) == [b"next"]
    assert clock.looks == 5
    clock.client.sendall(b"third")
    assert said(selector.select(60.0)) == [b"third"]
    assert clock.looks == 5, "not awake without another answer"


def test_a_timer_that_is_due_sooner_ends_it(selector, clock):
    selector.stay_awake()
    assert selector.select(2.5 * STEP_SECONDS) == []
    assert clock.looks == 4


def test_a_look_that_must_not_wait_does_not(selector, clock):
    selector.stay_awake()
    assert selector.select(0) == []
    assert clock.looks == 0
    clock.at[1] = b"next"
    assert said(selector.select(None)) == [b"next"]


def is_awake_after_an_answer(selector, clock) -> bool:
    before = clock.looks
    selector.stay_awake()
    selector.select(0.001)
    return clock.looks > before


def test_where_nobody_asks_again_it_sleeps_after_ever_more_answers(selector, clock):
    awake = [answer for answer in range(5 * MOST_ASLEEP) if is_awake_after_an_answer(selector, clock)]
    gaps = [later - sooner - 1 for sooner, later in itertools.pairwise(awake)]
    assert gaps[:7] == [1, 2, 4, 8, 16, MOST_ASLEEP, MOST_ASLEEP]


def test_one_request_that_comes_soon_keeps_it_awake_again(selector, clock):
    for _ in range(MOST_ASLEEP):
        is_awake_after_an_answer(selector, clock)
    clock.at = {clock.looks + 1: b"next"}
    while clock.at:
        is_awake_after_an_answer(selector, clock)
    assert is_awake_after_an_answer(selector, clock)
