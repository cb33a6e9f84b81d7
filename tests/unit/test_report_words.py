"""How numbers, folders and progress are spelled."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from jit_render.cli.output import plain, table
from jit_render.farm.status import JobStatus, WriteStatus
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.model.job import AttemptRecord, FailureClass, JobSpec, Spent, WriteTarget
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.report import words
from jit_render.report.listing import list_folder
from jit_render.report.progress import PLAIN_SECONDS, PlainDisplay, draw
from jit_render.report.summary import exit_code_of, summarise
from jit_render.testing.fake_clock import FakeClock


def status_of(**changes: object) -> JobStatus:
    status = JobStatus(
        job="sh010-comp-1f3a99c0-with-a-long-name",
        home="gs://b/jobs/sh010",
        shot="sh010",
        state="running",
        frames_total=1048,
        frames_done=31,
        frames_running=2,
        frames_failed=0,
        writes=(WriteStatus("Write1", "left", 31, 1048), WriteStatus("Write1", "right", 30, 1048)),
        running=(),
        troubles=(),
        attempts=3,
        failures={"preempted": 1},
        frames_lost=1,
        spent=Spent(bytes_fetched=512_345_678, bytes_uploaded=1_100_000_000, hits=83, misses=17, render_seconds=31.0),
        seconds=35.0,
        eta_seconds=3725.0,
    )
    return dataclasses.replace(status, **changes)  # type: ignore[arg-type]


def attempt(task: int, failure: FailureClass, exit_code: int, message: str = "it went wrong.") -> AttemptRecord:
    return AttemptRecord(
        task=task, attempt=1, host="h", pid=1, started=1, heartbeat=2, ended=2, state="failed", failure=failure,
        exit_code=exit_code, message=message,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (310_400_000, "310 MB"), (999_600, "1.0 MB"), (2.5e13, "25.0 TB")],
)
def test_a_size_has_three_digits(size_bytes: float, said: str) -> None:
    assert words.size(size_bytes) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1:00"), (61, "1:01"), (7807, "2:10:07")]
)
def test_a_duration_is_spelled_like_a_clock(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_only_the_whole_is_100_percent() -> None:
    assert [words.share(part) for part in (None, 0.0, 0.999, 1.0)] == ["-", "0 %", "99 %", "100 %"]


def test_a_folder_is_listed_as_sequences_files_and_folders() -> None:
    keys = [f"show/bg.{frame:04d}.exr" for frame in (1001, 1002, 1004)] + [
        "show/still.exr",
        "show/sub/a.1.exr",
        "show/sub/b",
    ]
    infos = [ObjectInfo(ObjectId(ObjectUrl("gs://b", key), "1"), 10, None) for key in keys]

    found = list_folder(infos, ObjectUrl("gs://b", "show"))

    assert [(entry.spoken(), entry.files, entry.size_bytes) for entry in found] == [
        ("sub/", 2, 20),
        ("bg.%04d.exr 1001-1002,1004 (3)", 3, 30),
        ("still.exr", 1, 10),
    ]
    deep = list_folder(infos, ObjectUrl("gs://b", "show"), recursive=True)
    assert "sub/a.1.exr" in [entry.name for entry in deep]


def test_the_live_display_is_two_lines_in_80_columns() -> None:
    for status in (
        status_of(),
        status_of(frames_failed=12, eta_seconds=None),
        status_of(frames_done=1048, state="done"),
    ):
        stream = io.StringIO()
        Console(file=stream, width=80, force_terminal=True, color_system=None).print(draw(status, 35.0))
        lines = stream.getvalue().splitlines()
        assert len(lines) == 2
        assert all(len(line.rstrip()) <= 80 for line in lines)
        assert f"{status.frames_done}/1048 frames" in lines[0]
        assert "hits 83 %   fetched 512 MB" in lines[1]


def test_without_a_terminal_lines_come_now_and_then_and_at_the_end() -> None:
    clock, stream = FakeClock(), io.StringIO()
    display = PlainDisplay(stream, clock)

    for done in range(1, 11):
        display.show(status_of(frames_done=done))
        clock.advance(PLAIN_SECONDS / 4)
    display.close()

    said = [line.split()[2].split("/")[0] for line in stream.getvalue().splitlines()]
    assert said == ["1", "5", "9", "10"]


def test_an_unchanged_job_is_not_told_again() -> None:
    clock, stream = FakeClock(), io.StringIO()
    display = PlainDisplay(stream, clock)

    for _ in range(5):
        display.show(status_of())
        clock.advance(PLAIN_SECONDS)
    display.close()

    assert len(stream.getvalue().splitlines()) == 1


def test_the_summary_says_where_the_frames_are_and_groups_equal_troubles() -> None:
    rule = PathRule(prefix=("/mnt/out",), target="gs://renders/sh010", mode="write")
    spec = JobSpec(
        id="a", shot="sh010", created=0, script_name="a.nk", script_source="/a.nk", script_sha256="",
        fingerprint="", frames="1-10", path_map=PathMap(rules=(rule,)),
        writes=(WriteTarget(name="Write1", file="/mnt/out/%V/c.%04d.exr"),),
    )  # fmt: skip
    troubles = tuple(attempt(task, FailureClass.RENDER_ERROR, 1) for task in (0, 1, 2, 5))
    troubles += (attempt(7, FailureClass.MISSING_INPUT, 3, "plate.7.exr is absent."),)

    lines = summarise(status_of(state="failed", frames_failed=5, troubles=troubles), spec, wall_seconds=12.0)

    assert any(line.endswith("gs://renders/sh010/%V/c.%04d.exr") for line in lines)
    assert "  tasks 0-2,5 (render error): it went wrong." in lines
    assert "  task 7 (missing input): plate.7.exr is absent." in lines
    assert "2 done, 1 preempted; 1 frame begun and lost" in " ".join(lines)


@pytest.mark.parametrize(
    ("state", "codes", "expected"),
    [("done", (), 0), ("failed", (75, 3), 3), ("failed", (3, 1), 1), ("failed", (75,), 75), ("waiting", (), 75),
     ("cancelled", (), 1), ("failed", (2, 3), 2)],
)  # fmt: skip
def test_the_gravest_trouble_decides_the_exit_code(state: str, codes: tuple[int, ...], expected: int) -> None:
    troubles = tuple(attempt(task, FailureClass.NODE, code) for task, code in enumerate(codes))

    assert exit_code_of(status_of(state=state, troubles=troubles)) == expected


def test_a_table_is_aligned() -> None:
    assert table(("NAME", "SIZE"), [("a", "1 B"), ("longer", "310 MB")], right=("SIZE",)) == [
        "NAME      SIZE",
        "a          1 B",
        "longer  310 MB",
    ]


def test_json_holds_plain_values_only() -> None:
    assert plain(status_of())["spent"]["hits"] == 83
    assert plain({"url": ObjectUrl("gs://b", "k"), FailureClass.NODE: {1}}) == {"url": "gs://b/k", "node": [1]}
