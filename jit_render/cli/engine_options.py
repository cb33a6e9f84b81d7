"""Options of commands that give a job to an engine, and what they become: settings of the ``gcp`` section."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from jit_render.model.errors import UsageError

LOCAL = "local"

Engine = Annotated[str, typer.Option("--engine", metavar="local|batch", help="Where the tasks run.")]
SameEngine = Annotated[
    str, typer.Option("--engine", metavar="local|batch", help="Where the rest runs [where the job ran].")
]
Machine = Annotated[str, typer.Option("--machine", metavar="TYPE", help="Of batch: like n2d-standard-8 [gcp.machine].")]
Spot = Annotated[
    bool | None,
    typer.Option("--spot/--on-demand", help="Of batch: which machines [gcp.provisioning].", show_default=False),
]
Fallback = Annotated[
    str, typer.Option("--fallback", metavar="none|on-demand", help="Of batch: when Spot fails too often.")
]
MaxNodes = Annotated[int, typer.Option("--max-nodes", metavar="N", min=0, help="Of batch: at once [gcp.nodes].")]
Budget = Annotated[float, typer.Option("--budget", metavar="USD", min=0, help="That the job may cost [gcp.budget].")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Of batch: do not ask before it costs anything.")]
Wait = Annotated[bool, typer.Option("--wait", help="Of batch: stay and show the progress until it is over.")]


@dataclass(frozen=True, slots=True)
class Given:
    """The options as they were given; empty ones leave the settings as they are."""

    engine: str = LOCAL
    machine: str = ""
    spot: bool | None = None
    fallback: str = ""
    max_nodes: int = 0
    budget: float = 0.0
    yes: bool = False
    wait: bool = False

    @property
    def is_local(self) -> bool:
        return self.engine == LOCAL

    def at(self, engine: str) -> Given:
        """The same with that engine where none was named."""
        return self if self.engine else dataclasses.replace(self, engine=engine)

    def flags(self) -> list[str]:
        """As ``section.key=value``."""
        provisioning = {None: "", True: "spot", False: "standard"}[self.spot]
        values = {
            "machine": self.machine,
            "provisioning": provisioning,
            "fallback": self.fallback,
            "nodes": self.max_nodes,
            "budget": self.budget,
        }
        return [f"gcp.{key}={value}" for key, value in values.items() if value]

    def check(self, local_only: Sequence[tuple[str, object]] = ()) -> None:
        """Raises UsageError for options of another engine; `local_only` are (name, whether it was given)."""
        if not self.is_local:
            for name, is_given in local_only:
                if is_given:
                    raise UsageError(f"{name} is for --engine local.")
        elif dataclasses.replace(self, budget=0.0).flags() or self.wait:
            raise UsageError("--machine, --spot, --fallback, --max-nodes and --wait are for --engine batch.")
