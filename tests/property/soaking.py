"""How long the state machines look for failures: a moment by default, for an hour when asked to.

``JIT_SOAK_SECONDS=3600 python -m pytest -k soak tests/property`` tries one seed after another until the time is over;
each machine has that long. A seed that fails is written to ``seeds.toml``, the corpus that every later run tries
first; it stays there once the failure is mended.
"""

from __future__ import annotations

import os
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

SEEDS = Path(__file__).with_name("seeds.toml")
SOAK_SECONDS = float(os.environ.get("JIT_SOAK_SECONDS") or 0)
EXAMPLES_PER_SEED = 10
STEPS = 60
DEEP = settings(
    max_examples=EXAMPLES_PER_SEED,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    # Shrinking takes minutes; `--hypothesis-seed` with the test itself does it when somebody looks at the failure.
    phases=[Phase.generate],
    report_multiple_bugs=False,
)


def known_seeds(machine: str) -> list[int]:
    """Those that have failed once."""
    return list(tomllib.loads(SEEDS.read_text()).get(machine, []))


def run_seed(machine: type[RuleBasedStateMachine], number: int) -> None:
    """The machine's runs of that seed."""
    run_state_machine_as_test(seed(number)(type(machine.__name__, (machine,), {})), settings=DEEP)


def soak(machine: type[RuleBasedStateMachine]) -> None:
    """New seeds until the time is over. Skipped unless asked for; fails with the first seed that fails."""
    if not SOAK_SECONDS:
        pytest.skip("no soak: set JIT_SOAK_SECONDS to look for new failures for so long")
    end = time.monotonic() + SOAK_SECONDS
    number = time.time_ns() // 10**9 * 1000
    tried = 0
    while time.monotonic() < end:
        number, tried = number + 1, tried + 1
        try:
            run_seed(machine, number)
        except BaseException:
            _keep(machine.__name__, number)
            raise
    print(f"{machine.__name__}: {tried} seeds, {tried * EXAMPLES_PER_SEED} runs of {STEPS} steps")  # noqa: T201


def _keep(machine: str, number: int) -> None:
    seeds = tomllib.loads(SEEDS.read_text())
    seeds.setdefault(machine, []).append(number)
    head = SEEDS.read_text().partition("\n\n")[0]
    SEEDS.write_text(head + "\n\n" + "".join(f"{name} = {numbers}\n" for name, numbers in sorted(seeds.items())))
