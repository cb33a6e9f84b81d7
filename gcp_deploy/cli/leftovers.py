"""``jit-deploy leftovers``: what still costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gcp_deploy.cli.opened import opened, working
from jit_render.cli.options import Json, Set

if TYPE_CHECKING:
    from gcp_deploy.inventory import Item


def leftovers(overrides: Set = None, json: Json = False) -> None:
    """List everything with this deployment's label that still costs, dollars a month, and the command that ends it."""
    from gcp_deploy.inventory import as_json, kept, total, unpriced
    from gcp_deploy.inventory import leftovers as find
    from jit_render.cli.output import say, say_json

    with opened(overrides or ()) as cloud:
        with working("looking for what costs"):
            found, data = find(cloud), kept(cloud)
        name = cloud.gcp.name
    if json:
        usd = {"leftovers": round(total(found), 4), "kept": round(total(data), 4)}
        say_json({"leftovers": as_json(found), "kept": as_json(data), "usd_month": usd})
        return
    if found:
        say(f"Left over of {name}: {total(found):.2f} USD a month{unpriced(found)}.")
        say("'jit-deploy down' ends it all; under each stands what ends it alone.\n")
        _say_items(found)
    else:
        say(f"Nothing of {name} is left over.")
    if data:
        say("\nKept data (down leaves it; a job's folder counts within its bucket):\n")
        _say_items(data)


def _say_items(items: list[Item]) -> None:
    """Two lines an item: what it is, and how it ends. A command must not be cut to fit a column."""
    from jit_render.cli.output import say

    for item in items:
        usd = "price unknown" if item.usd_month is None else f"{item.usd_month:.2f}"
        place = f", {item.place}" if item.place else ""
        say(f"{usd:>13}  {item.kind} {item.name} ({item.detail}{place})")
        say(f"               {item.command}")
