"""Frames beyond a worker's share of memory are made one at a time on a machine."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest
from preprocess_kit import Around, Column, Heard, Shoot

from preprocess.listener import ImageKey, Written
from preprocess.turns import turn


def is_taken(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def unasked() -> None:
    pytest.fail("nobody has the turn")


def test_the_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    path, waiting, order = tmp_path / "turn", threading.Event(), []

    def second() -> None:
        with turn(path, waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with turn(path, unasked):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert not is_taken(path)


def test_a_turn_comes_back_from_one_that_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), turn(tmp_path / "turn", unasked):
        raise KeyError
    assert not is_taken(tmp_path / "turn")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "turn").symlink_to(tmp_path / "precious")
    with turn(tmp_path / "turn", unasked):
        pass
    assert not (tmp_path / "precious").exists()


class Looking(Heard):
    """Looks at the turn whenever an output is there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.seen: list[bool] = []

    def written(self, written: Written) -> None:
        super().written(written)
        self.seen.append(is_taken(self.path))  # from several threads at once


@pytest.mark.parametrize(("budget", "wanted"), [(1, True), (10**9, False)])
def test_only_frames_beyond_the_budget_take_the_turn(tmp_path: Path, budget: int, wanted: bool) -> None:
    shoot = Shoot(tmp_path, frames=2)
    heard = Looking(tmp_path / "turn")
    shoot.make(shoot.pipeline((Column(),)), heard=heard, turns=heard.path, budget_bytes=budget)
    assert heard.seen == [wanted] * 4  # until the last byte of it is in the bucket
    assert not is_taken(heard.path)


def test_a_window_of_large_frames_keeps_the_turn_between_its_frames(tmp_path: Path) -> None:
    shoot = Shoot(tmp_path, frames=3)
    heard = Between(tmp_path / "turn")
    shoot.make(shoot.pipeline((Around(),)), heard=heard, turns=heard.path, budget_bytes=1)
    assert heard.between == [False, True, True, False, True, True]  # each camera takes it once
    assert not heard.failures
    assert not is_taken(heard.path)


class Between(Looking):
    """Looks when an image begins."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.between: list[bool] = []

    def begun(self, image: ImageKey) -> None:
        self.between.append(is_taken(self.path))
