"""Whether a task that failed is tried again, and when."""

from __future__ import annotations

from collections.abc import Sequence

from jit_render.farm.outcome import WRONG_USAGE
from jit_render.model.job import AttemptRecord, Budgets, FailureClass

_FIRST_WAIT = {FailureClass.LICENCE: 5.0, FailureClass.NODE: 1.0, FailureClass.OUT_OF_MEMORY: 1.0}
_LONGEST_WAIT = 60.0


def may_retry(attempts: Sequence[AttemptRecord], budgets: Budgets) -> bool:
    """True while the class of the last failure has budget left among `attempts` of one task, oldest first.

    What only a person can mend (exit code 2) is not tried again, whatever the budgets say.
    """
    if not attempts or attempts[-1].failure is None:
        return True
    last = attempts[-1]
    assert last.failure is not None
    same = sum(attempt.failure is last.failure for attempt in attempts)
    return last.exit_code != WRONG_USAGE and same <= budgets.of(last.failure)


def wait_seconds(attempts: Sequence[AttemptRecord]) -> float:
    """How long to wait before the next try: doubling with each failure of the same class in a row."""
    failure = attempts[-1].failure if attempts else None
    if failure not in _FIRST_WAIT:
        return 0.0
    row = 0
    for attempt in reversed(attempts):
        if attempt.failure is not failure:
            break
        row += 1
    return float(min(_LONGEST_WAIT, _FIRST_WAIT[failure] * 2 ** (row - 1)))
