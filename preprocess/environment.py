"""What ``jit-preprocess run`` tells the processes of its job, by the job's own environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from jit_render.model.errors import UsageError
from jit_render.model.settings import parse_size

_MEMORY = "JIT_PREPROCESS_MEMORY"
_STAGED = "JIT_PREPROCESS_STAGED"
_FORCE = "JIT_PREPROCESS_FORCE"


@dataclass(frozen=True, slots=True)
class Wishes:
    """`memory_bytes`: of one process; 0: the usual. `staged`: store every stage. `force`: make everything anew."""

    memory_bytes: int = 0
    staged: bool = False
    force: bool = False

    def variables(self) -> dict[str, str]:
        said = {_MEMORY: self.memory_bytes, _STAGED: int(self.staged), _FORCE: int(self.force)}
        return {name: str(value) for name, value in said.items() if value}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        return cls(
            memory_bytes=int(environment.get(_MEMORY, 0)),
            staged=environment.get(_STAGED) == "1",
            force=environment.get(_FORCE) == "1",
        )


def parse_memory(text: str) -> int:
    """Bytes of ``1500M``; 0 for nothing. Raises UsageError."""
    try:
        size = parse_size(text or "0")
    except ValueError as error:
        raise UsageError(f"--memory: {error}.") from None
    assert isinstance(size, int)
    return size
