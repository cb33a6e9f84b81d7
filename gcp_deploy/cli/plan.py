"""``jit-deploy plan``: what ``up`` would make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gcp_deploy.cli.opened import opened, working
from jit_render.cli.options import Json, Set

if TYPE_CHECKING:
    from gcp_deploy.access import Cloud
    from gcp_deploy.parts import Look, Part


def plan(overrides: Set = None, json: Json = False) -> None:
    """Show what is there, what is missing and what differs. Changes nothing."""
    from jit_render.cli.output import say, say_json

    with opened(overrides or ()) as cloud:
        seen = look_at_all(cloud)
    if json:
        rows = [
            {"kind": part.kind, "name": part.name, "verdict": look.verdict.value, "differences": list(look.differences)}
            for part, look in seen
        ]
        say_json(rows)
        return
    say_plan(seen)
    todo = count_todo(seen)
    say(
        f"\n{todo} of {len(seen)} to do: jit-deploy up"
        if todo
        else f"\nNothing to do: all {len(seen)} parts are there."
    )


def look_at_all(cloud: Cloud) -> list[tuple[Part, Look]]:
    """Every part as it was found, with progress shown. Raises CloudError."""
    from gcp_deploy.blueprint import blueprint
    from gcp_deploy.parts import survey

    with working("looking") as rename:
        return survey(blueprint(cloud), tell=lambda part: rename(f"looking at {part.kind} {part.name}"))


def count_todo(seen: list[tuple[Part, Look]]) -> int:
    from gcp_deploy.parts import Verdict

    return sum(look.verdict is not Verdict.FINE for _, look in seen)


def say_plan(seen: list[tuple[Part, Look]]) -> None:
    """One line for each part, what differs indented below it."""
    from gcp_deploy.parts import Verdict
    from jit_render.cli.output import say

    for part, look in seen:
        verdict = "make" if look.verdict is Verdict.BLOCKED else look.verdict.value
        say(f"{verdict:<5} {part.kind:<9} {part.name}")
        for text in look.differences if look.verdict is not Verdict.BLOCKED else ():
            say(f"        {text}")
