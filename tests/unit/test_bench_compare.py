"""Ratios are compared with the last ones of the same class of machine, and only a large change for the worse counts."""

from __future__ import annotations

import pytest

from benchmarks.compare import compare, machine_class, ratios

HERE = {"cpu": "EPYC", "cores": 2, "python": "3.11.7"}


def fetch(large: float) -> dict:
    return {"fetch": {"ratios": {"large_to_curl": large}}, "prefetch": {"ratio_to_bound": 1.0}, "plan": {}}


def test_the_first_run_is_stored_and_said_to_be_the_first(tmp_path):
    first = compare(fetch(1.0), HERE, tmp_path)
    assert first.worse == []
    assert first.lines()[0] == "fetch/ratios.large_to_curl: 1.000 now, none before"
    assert first.lines()[-1].startswith("nothing to compare with yet: 2 ratios stored as the first of this class")
    again = compare(fetch(0.9), HERE, tmp_path)
    assert again.lines()[0] == "fetch/ratios.large_to_curl: 1.000 before, 0.900 now (11% worse)"
    assert again.lines()[-1].startswith("none of 2 ratios is worse by more than a fifth; 2 stored: ")
    assert "no ratio was measured" in compare({}, HERE, tmp_path / "none").lines()[-1]
    assert not (tmp_path / "none").exists()


def test_what_worsened_by_more_than_a_fifth_is_named_and_the_stored_stays(tmp_path):
    compare(fetch(1.0), HERE, tmp_path)
    for _ in range(2):
        compared = compare(fetch(0.7), HERE, tmp_path)
        (change,) = compared.worse
        assert str(change) == "fetch/ratios.large_to_curl: 1.000 before, 0.700 now (43% worse)"
        assert "fetch/ratios.large_to_curl; what is stored stays" in compared.lines()[-1]
    assert compare(fetch(0.7), {**HERE, "cores": 4}, tmp_path).worse == []


def test_which_way_is_better_depends_on_the_ratio(tmp_path):
    compare({"prefetch": {"ratio_to_bound": 1.0}}, HERE, tmp_path)
    better = compare({"prefetch": {"ratio_to_bound": 0.5}}, HERE, tmp_path)
    assert better.worse == []
    assert better.lines()[0].endswith("0.500 now (50% better)")
    worse = compare({"prefetch": {"ratio_to_bound": 0.7}}, HERE, tmp_path).worse
    assert [one.name for one in worse] == ["prefetch/ratio_to_bound"]


def test_only_numbers_that_were_measured_count():
    skipped = {"ratios": {}, "skipped": "no nginx"}
    assert ratios({"fetch": skipped, "farm": {"ratios": {"jit_to_gluster_1": None}}}) == {}


@pytest.mark.parametrize(("change", "same"), [({"python": "3.11.9"}, True), ({"python": "3.12.1"}, False)])
def test_a_class_is_processor_cores_and_minor_version(change, same):
    assert (machine_class({**HERE, **change}) == machine_class(HERE)) is same
