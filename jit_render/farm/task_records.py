"""What an engine does with the records of attempts that it does not make itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jit_render.farm.attempts import Pulse, end_for
from jit_render.farm.outcome import TRY_AGAIN
from jit_render.farm.records import JobReader
from jit_render.model.clock import Clock
from jit_render.model.frames import spell
from jit_render.model.job import AttemptRecord, FailureClass
from jit_render.store import Store


@dataclass(slots=True)
class TaskRecords:
    """The attempts of one job's tasks, as one engine sees them."""

    store: Store
    clock: Clock
    reader: JobReader
    _pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        self._pulse = Pulse(self.clock)

    def next_attempt(self, task: int) -> int | None:
        """The number of the task's next attempt; None while one is alive. The records of dead ones are ended."""
        for attempt in self.reader.attempts(task):
            if attempt.ended is not None:
                continue
            if self._pulse.is_alive(attempt):
                return None
            self.end(attempt, FailureClass.NODE, "the worker vanished without a word.", ())
        return max((number for _, number in self.reader.attempt_infos(task)), default=0) + 1

    def end(self, attempt: AttemptRecord, failure: FailureClass, message: str, begun: Sequence[int]) -> None:
        """End the record of a worker that is gone; `begun` are the frames that it is known to have begun."""
        asked = self.reader.spec().tasks()[attempt.task]
        left = set(self.reader.missing(asked))
        in_hand = begun[-1] if begun else attempt.frame_in_hand
        lost = left.intersection(begun or ([] if in_hand is None else [in_hand]))
        end_for(
            self.store,
            self.clock,
            self.reader.paths,
            attempt,
            failure,
            message=message,
            exit_code=TRY_AGAIN,
            frames_done=spell(frame for frame in asked if frame not in left),
            frame_in_hand=in_hand,
            frames_lost=len(lost),
        )
