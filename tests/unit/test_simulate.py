"""The farm's model: lines are shared exactly, time is neither made nor lost, and one node is what arithmetic says."""

from __future__ import annotations

import dataclasses
import random

import pytest
import simpy

from benchmarks.farm.values import HostRun, Result, Run, Setting, Shot
from benchmarks.preempt import judged
from benchmarks.preempt.law import simulate
from benchmarks.simulate.choices import rapid_cache_pays_from
from benchmarks.simulate.cloud import cloud
from benchmarks.simulate.figures import cheapest_filer, fed, headline
from benchmarks.simulate.interval import interval, until_narrow
from benchmarks.simulate.link import SharedLine
from benchmarks.simulate.model import run
from benchmarks.simulate.money import Terms, cost
from benchmarks.simulate.spot import DAY, LAWS, lifetime
from benchmarks.simulate.validate import MODELLED, validate
from benchmarks.simulate.values import SYSTEMS, Load, Node, Service, Spot, World
from jit_render.cost import prices

LOAD = Load(96, 10.0, 100.0, 0.0, 1000.0, 50.0, frame_objects=1.0, spread=0.0)
NODE = Node(
    bandwidth=50.0,
    filer_bandwidth=50.0,
    disk_bandwidth=1000.0,
    boot_seconds=5.0,
    start_seconds=3.0,
    chunk=8,
    lookahead=4,
)
WORLD = World(LOAD, NODE, Service(filer_bandwidth=100.0, bucket_requests=1e6), nodes=1)


def test_a_shared_line_gives_each_its_part_and_no_more_than_its_cap():
    env = simpy.Environment()
    line = SharedLine(env, capacity=10.0, cap=6.0)
    ended = {}

    def carry(name, begin, size):
        yield env.timeout(begin)
        yield line.carry(size)[0]
        ended[name] = env.now

    for name, begin, size in (("a", 0, 30.0), ("b", 0, 10.0), ("c", 4, 30.0)):
        env.process(carry(name, begin, size))
    env.run()
    # a and b share 10 until b is through at 2; a alone gets 6 until c comes at 4 (a has 22); then both share again.
    assert ended == pytest.approx({"b": 2.0, "a": 4 + 8 / 5, "c": 5.6 + 22 / 6})


def test_a_transfer_that_is_dropped_leaves_its_part_to_the_others():
    env = simpy.Environment()
    line = SharedLine(env, capacity=10.0, cap=10.0)
    done, _ = line.carry(30.0)
    _, number = line.carry(30.0)
    env.run(until=2.0)
    line.drop(number)
    env.run(until=done)
    assert env.now == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("system", "seconds"),
    [
        ("gluster", 5 + 12 * 3 + 96 * (2 + 10 + 1)),
        ("copy-all", 5 + 20 + 12 * 3 + 96 * (0.1 + 10 + 1)),
        ("rclone", 5 + 12 * (3 + 1) + 96 * (2 + 10)),
        ("jit-cold", 5 + 12 * (3 + 1) + 96 * (2 + 10)),
        ("jit", 5 + 12 * (3 + 2 + 1) + 96 * 10),
    ],
)
def test_one_node_takes_what_arithmetic_says(system, seconds):
    """jit waits for the first frame of a chunk only; the last output of a chunk is waited for."""
    outcome = run(system, WORLD, 1)
    assert outcome.wall_seconds == pytest.approx(seconds)
    assert outcome.spent.total == pytest.approx(seconds)
    assert outcome.spent.compute == pytest.approx(960)


def test_a_filer_is_shared_and_a_bucket_is_not():
    many = dataclasses.replace(WORLD, nodes=12)
    assert run("jit", many, 1).wall_seconds == pytest.approx(5 + 3 + 2 + 80 + 1)
    assert run("gluster", many, 1).wall_seconds > 1.3 * (5 + 3 + 8 * 13)


@pytest.mark.parametrize("system", SYSTEMS)
def test_with_preemption_every_frame_is_still_rendered_once_and_no_second_is_lost(system):
    world = dataclasses.replace(WORLD, nodes=6, spot=Spot(per_day=0.5, faster=1000.0, replace_seconds=1.0))
    outcome = run(system, world, 3)
    assert outcome.preemptions > 3
    assert outcome.spent.compute == pytest.approx(960)
    assert outcome.spent.lost > 0
    assert outcome.spent.total <= outcome.nodes * outcome.wall_seconds + 1e-6
    assert outcome == run(system, world, 3)


@pytest.mark.parametrize("law", LAWS)
def test_lives_keep_the_rate_of_a_day(law):
    dice = random.Random(1)
    lives = [lifetime(law, 0.15, dice) for _ in range(4000)]
    assert sum(life < DAY for life in lives) / 4000 == pytest.approx(0.15, abs=0.02)
    assert lifetime(law, 0.0, dice) == float("inf")


def test_a_bathtub_takes_most_early_and_late():
    dice = random.Random(1)
    hours = [life / 3600 for life in (lifetime("bathtub", 0.999, dice) for _ in range(2000)) if life < DAY]
    middle = sum(6 < hour < 18 for hour in hours)
    assert middle < 0.05 * len(hours)


def test_an_interval_is_students():
    found = interval([1.0, 2.0, 3.0])
    assert (found.mean, found.high) == pytest.approx((2.0, 2.0 + 4.303 / 3**0.5), rel=1e-3)
    assert interval([4.0]) == (4.0, 4.0, 4.0)


def test_dollars_are_hours_times_prices():
    paid = prices("us-central1")
    outcome = run("gluster", WORLD, 1)
    parts = cost(outcome, paid, Terms(filers=2, filer_use=0.5))
    assert parts["filer"] == pytest.approx(4 * paid.filer_hour() * outcome.wall_seconds / 3600)
    assert parts["compute"] == pytest.approx(paid.hour("n2d-standard-8", "spot") * 960 / 3600)
    assert cost(run("jit", WORLD, 1), paid, Terms())["filer"] == 0


def test_rapid_cache_pays_only_for_what_is_read_again():
    assert 1 < rapid_cache_pays_from(prices("us-central1"), hours=24) < 3


def test_the_headline_holds_what_it_says_of_feeding(monkeypatch):
    monkeypatch.setattr("benchmarks.simulate.figures.MOST_NODES", 128)
    light = cloud("light field")
    nodes = fed(light, "gluster")
    feeds = light.filer_bandwidth * light.load.compute_seconds / (light.load.frame_bytes + light.load.output_bytes)
    assert 0.7 * feeds < nodes < 1.3 * feeds
    small = dataclasses.replace(light, filer_bandwidth=light.filer_bandwidth / 10)
    found = headline(small, (1, 2), prices("us-central1"), 4)
    assert found["after_nodes"] == round(found["before_nodes"] * 3.8)
    starved = next(value for name, value in found["cost_less"].items() if "starves" in name)
    assert starved["mean"] > 0.4
    assert found["linear"]["on_filer"] <= found["before_nodes"]
    assert found["linear"] | {"on_filer": 0} == {"on_filer": 0, "on_bucket": 128, "quota_ended": True}


def test_a_small_studios_own_filer_is_cheaper_for_it_than_a_whole_server():
    light = cloud("compositing")
    paid = prices("us-central1")
    servers, whole = cheapest_filer(light, 3, paid)
    part, own = cheapest_filer(light, 3, paid, least=0.1)
    assert (servers, part) == (1, pytest.approx(0.1))
    assert own < whole


def _of_farm(filer_bits, together):
    """The predictions for four hosts, told what one host took: a frame's 0.27 MB, a still of 0.13 MB once, 1 MB/s."""
    setting = Setting((1, 4), 12, 100, 2, 64, 64, 0.5, 8e6, filer_bits, 100.0, 4, ())
    shot = Shot(200, 40_000_000, 400_000, 50_000)
    alone = {"gluster": 12 * (0.267 + 0.5 + 0.05 + 0.1) + 0.133, "jit-prefetch": 0.4 + 12 * 0.5 + 0.05}
    runs = [
        _run(system, hosts, told[system]) for hosts, told in ((1, alone), (4, together or alone)) for system in told
    ]
    return {one.system: one for one in validate(Result(setting, shot, tuple(runs)))}


def test_a_farm_whose_lines_do_not_meet_is_as_fast_together_as_alone():
    found = _of_farm(64e6, {})
    assert set(found) == {"gluster", "jit-prefetch"} <= set(MODELLED)
    assert all(abs(one.off) < 0.02 for one in found.values())


def test_a_filer_that_is_too_narrow_is_between_never_resting_and_marching_in_step():
    moved = 0.267 + 0.05  # MB a frame, over 1 MB/s for all four
    busy_always, in_step = 4 * (12 * moved + 0.133), 4 * (12 * moved + 0.133) + 12 * (0.5 + 0.1)
    found = _of_farm(8e6, {"gluster": busy_always, "jit-prefetch": 6.45})
    assert busy_always < found["gluster"].predicted < in_step
    assert abs(found["jit-prefetch"].off) < 0.02


def _run(system, hosts, seconds):
    zeros = {field.name: 0 for field in dataclasses.fields(HostRun)}
    host = HostRun(**{**zeros, "frames": 12, "render_seconds": seconds})
    plain = {field.name: 0 for field in dataclasses.fields(Run)}
    return Run(**{**plain, "system": system, "hosts": hosts, "frames": 12 * hosts, "per_host": (host,) * hosts})


def test_the_chunk_that_is_chosen_wastes_less_than_the_extremes_and_frames_restart_at_their_bound():
    rows = {row["chunk"]: row for row in simulate("exponential", 0.5, range(1, 3))}
    assert rows["auto"]["overhead"]["mean"] < rows["1"]["overhead"]["mean"]
    for row in rows.values():
        assert 0 < row["wasted"]["mean"] <= row["bound"]["mean"]
        assert row["expected"]["mean"] < row["bound"]["mean"]


def test_without_preemption_nothing_is_wasted_and_nothing_may_be():
    for row in simulate("bathtub", 0.0, range(1, 4)):
        assert (row["wasted"]["mean"], row["expected"]["mean"], row["bound"]["mean"]) == (0, 0, 0)


def test_a_cut_may_cost_the_frame_in_hand_a_start_and_the_notice_and_nothing_else_is_its_fault():
    calm = {"busy_seconds": 15.0, "useful_seconds": 10.0, "frames_lost": 0, "cut": 0, "cut_seconds": 0.0}
    longest = {"longest_frame": 1.0, "longest_start": 0.5, "longest_notice": 0.25}
    assert judged({**calm, **longest}) == {
        "overhead": 0.5,
        "wasted": 0.0,
        "bound": 0.0,
        "frames_lost_per_preemption": 0.0,
    }
    cut = judged({**calm, **longest, "cut": 2, "cut_seconds": 2.0, "frames_lost": 1})
    assert cut == pytest.approx({"overhead": 0.5, "wasted": 0.2, "bound": 0.35, "frames_lost_per_preemption": 0.5})


def test_seeds_end_where_the_interval_is_narrow_enough():
    assert len(until_narrow(range(1, 11), float, lambda seed: (5.0,), within=0.1)) == 3
    assert len(until_narrow(range(1, 11), float, lambda seed: (seed,), within=0.1)) == 10
