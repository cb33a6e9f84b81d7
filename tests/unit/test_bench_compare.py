"""Ratios are compared with the last ones of the same class of machine, and only a large change for the worse counts."""

from __future__ import annotations

import pytest

from benchmarks.compare import compare, machine_class, ratios

HERE = {"cpu": "EPYC", "cores": 2, "python": "3.11.7"}


def fetch(large: float) -> dict:
    return {"fetch": {"ratios": {"large_to_curl": large}}, "prefetch": {"ratio_to_bound": 1.0}, "plan": {}}


def test_the_first_run_is_stored_and_a_little_worse_is_not_worse(tmp_path):
    assert compare(fetch(1.0), HERE, tmp_path) == []
    assert compare(fetch(0.9), HERE, tmp_path) == []


def test_what_worsened_by_more_than_a_fifth_is_named_and_the_stored_stays(tmp_path):
    compare(fetch(1.0), HERE, tmp_path)
    for _ in range(2):
        (change,) = compare(fetch(0.7), HERE, tmp_path)
        assert str(change) == "fetch/ratios.large_to_curl: 1.000 before, 0.700 now (+43% worse)"
    assert compare(fetch(0.7), {**HERE, "cores": 4}, tmp_path) == []


def test_which_way_is_better_depends_on_the_ratio(tmp_path):
    compare({"prefetch": {"ratio_to_bound": 1.0}}, HERE, tmp_path)
    assert compare({"prefetch": {"ratio_to_bound": 0.5}}, HERE, tmp_path) == []
    assert [one.name for one in compare({"prefetch": {"ratio_to_bound": 0.7}}, HERE, tmp_path)] == [
        "prefetch/ratio_to_bound"
    ]


def test_only_numbers_that_were_measured_count():
    skipped = {"ratios": {}, "skipped": "no nginx"}
    assert ratios({"fetch": skipped, "farm": {"ratios": {"jit_to_gluster_1": None}}}) == {}


@pytest.mark.parametrize(("change", "same"), [({"python": "3.11.9"}, True), ({"python": "3.12.1"}, False)])
def test_a_class_is_processor_cores_and_minor_version(change, same):
    assert (machine_class({**HERE, **change}) == machine_class(HERE)) is same
