"""``jit-deploy prices``: what machines cost, and the list prices of today."""

from __future__ import annotations

from typing import Annotated

import typer

from gcp_deploy.cli.opened import opened, working
from jit_render.cli.options import Json, Set

Refresh = Annotated[bool, typer.Option("--refresh", help="Read the Cloud Billing Catalog and write a dated table.")]
Region = Annotated[str, typer.Option("--region", help="Another region than gcp.region.")]


def prices(refresh: Refresh = False, region: Region = "", overrides: Set = None, json: Json = False) -> None:
    """Show what machines cost in the region; with --refresh, ask the Cloud Billing Catalog first."""
    from gcp_deploy.prices import refresh as refresh_table
    from gcp_deploy.prices import user_prices
    from gcp_deploy.wizard import machine_rows
    from jit_render.cli.config import load
    from jit_render.cli.output import note, say, say_json, say_table
    from jit_render.farm.billing import price_folder

    flags = [*(overrides or ()), *([f"gcp.region={region}"] if region else [])]
    if refresh:
        with opened(flags) as cloud, working("reading the Cloud Billing Catalog"):
            path = refresh_table(cloud, price_folder())
        note(f"wrote {path}")
    gcp = load(flags).settings.gcp
    known = user_prices(gcp.region)
    if json:
        rows = {name: row.model_dump(mode="json") for name, row in known.machines.items()}
        say_json(
            {"region": known.region, "as_of": known.as_of.isoformat(), "machines": rows, "rates": dict(known.rates)}
        )
        return
    say(f"{known.region}, list prices in USD an hour as of {known.as_of}, {gcp.local_ssds} local SSDs included\n")
    headers = ("MACHINE", "CPUS", "GIB", "SPOT", "ON DEMAND", "LOCAL SSD", "NETWORK")
    say_table(headers, machine_rows(known, gcp.local_ssds), right=("CPUS", "GIB", "SPOT", "ON DEMAND", "NETWORK"))
