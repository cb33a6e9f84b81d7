"""Live list prices: from the Cloud Billing Catalog into a dated table that the cost room lays over its own.

The catalogue sells machines by the CPU hour and the GiB hour of a family ("N2D AMD Instance Core running in Americas"),
local SSD and disks by the GiB month; a machine's price is its CPUs and memory times those. A table says only what was
found: what the catalogue words differently one day keeps the price of the table before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gcp_deploy.access import Cloud
from jit_render.cost import MachineRow, Prices, PriceTable, Rates, prices, spell_table
from jit_render.farm.billing import price_folder
from jit_render.model.errors import CloudError, ConfigError

_COMPUTE = "6F81-5844-456A"
_UNIT = re.compile(
    r"^(?P<spot>Spot Preemptible )?(?P<family>[A-Z]\d\w?)\b.*?\b(?:Instance|Predefined Instance)\s+(?P<what>Core|Ram)\b"
    r"(?! Custom)",
    re.IGNORECASE,
)
_OTHER = {
    "local_ssd": re.compile(r"^SSD backed Local Storage(?! attached)", re.IGNORECASE),
    "local_ssd_spot": re.compile(r"^SSD backed Local Storage attached to Spot", re.IGNORECASE),
    "pd_standard": re.compile(r"^Storage PD Capacity", re.IGNORECASE),
    "pd_ssd": re.compile(r"^SSD backed PD Capacity", re.IGNORECASE),
    "pd_balanced": re.compile(r"^Balanced PD Capacity", re.IGNORECASE),
}
_NOT_LIST = re.compile(r"commitment|sole tenancy|custom|reserved|dws|regional|confidential", re.IGNORECASE)


@dataclass
class Catalogue:
    """USD by what is sold: (family, spot, "core" or "ram") an hour, and rates by their name in the tables."""

    units: dict[tuple[str, bool, str], float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)


def user_prices(region: str) -> Prices:
    """What things cost as far as this machine knows. Raises ConfigError for a region without a table."""
    return prices(region, extra_folder=price_folder())


def refresh(cloud: Cloud, folder: Path) -> Path:
    """Ask the catalogue and write today's table of the region. Raises CloudError."""
    table = table_of(read_catalogue(cloud), cloud.gcp.region, datetime.fromtimestamp(cloud.clock.wall(), UTC))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table.region}-{table.date.isoformat()}.toml"
    temporary = path.with_suffix(f".{os.getpid()}.new")
    temporary.write_text(spell_table(table), encoding="utf-8")
    temporary.replace(path)
    return path


def read_catalogue(cloud: Cloud) -> Catalogue:
    """All list prices of the region that a table can use."""
    result = Catalogue()
    for sku in _skus(cloud):
        if cloud.gcp.region in sku.get("serviceRegions", ()):
            _note(result, sku)
    if not result.units:
        raise CloudError(f"the Billing Catalog lists no machines for {cloud.gcp.region}; is gcp.region right?")
    return result


def table_of(catalogue: Catalogue, region: str, at: datetime) -> PriceTable:
    """Known machine types at the catalogue's prices; shapes (CPUs, memory) come from the package's own tables."""
    known = _known_machines(region)
    machines = {name: row for name, old in known.items() if (row := _priced(name, old, catalogue)) is not None}
    return PriceTable(
        region=region,
        date=at.date(),
        source=f"Cloud Billing Catalog, read {at:%Y-%m-%d %H:%M} UTC",
        machines=machines,
        rates=Rates(**catalogue.rates),
        glusterfs=_filer(region),
    )


def _priced(name: str, old: MachineRow, catalogue: Catalogue) -> MachineRow | None:
    family = name.partition("-")[0]
    hour: dict[bool, float] = {}
    for spot in (False, True):
        core, ram = (catalogue.units.get((family, spot, what)) for what in ("core", "ram"))
        if core is None or ram is None:
            return None
        rate = catalogue.rates.get("local_ssd_spot" if spot else "local_ssd")
        if old.local_ssd_gib and rate is None:
            return None
        built_in = old.local_ssd_gib * (rate or 0.0) / 730.0
        hour[spot] = round(old.vcpus * core + old.memory_gib * ram + built_in, 6)
    return old.model_copy(update={"on_demand": hour[False], "spot": hour[True]})


def _known_machines(region: str) -> Mapping[str, MachineRow]:
    try:
        return prices(region).machines
    except ConfigError:
        return prices("us-central1").machines  # shapes are the same everywhere


def _filer(region: str) -> Any:
    """A region without a table of its own needs the filer's shape, which has no price in it."""
    try:
        prices(region)
    except ConfigError:
        return prices("us-central1").glusterfs
    return None


def _skus(cloud: Cloud) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        query = {"currencyCode": "USD", "pageSize": "5000", "pageToken": token}
        page = cloud.rest("cloudbilling", "GET", f"/v1/services/{_COMPUTE}/skus", query=query)
        yield from page.get("skus", ())
        token = page.get("nextPageToken", "")
        if not token:
            return


def _note(catalogue: Catalogue, sku: Mapping[str, Any]) -> None:
    text = str(sku.get("description", ""))
    if _NOT_LIST.search(text) or sku.get("category", {}).get("usageType") not in {"OnDemand", "Preemptible"}:
        return
    usd = _usd(sku)
    if usd is None:
        return
    spot = sku["category"]["usageType"] == "Preemptible"
    match = _UNIT.match(text)
    if match is not None:
        catalogue.units.setdefault((match["family"].lower(), spot, match["what"].lower()), usd)
        return
    for name, pattern in _OTHER.items():
        if pattern.match(text):
            catalogue.rates.setdefault(name, usd)
            return


def _usd(sku: Mapping[str, Any]) -> float | None:
    """The price of the first tier that costs anything, per unit as the catalogue sells it."""
    try:
        tiers = sku["pricingInfo"][0]["pricingExpression"]["tieredRates"]
        values = [int(tier["unitPrice"].get("units", 0)) + tier["unitPrice"].get("nanos", 0) / 1e9 for tier in tiers]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return next((value for value in values if value > 0), None)
