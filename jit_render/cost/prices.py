"""What things cost in a region, as of a day.

The tables of the region that are not younger than the day are laid over each other, the oldest first: each row comes
from the youngest table that has it, and remembers which. Of two of the same day, one in the extra folder (where
``jit-deploy prices --refresh`` writes) wins over the package's. For a day before the first table, the first one holds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from jit_render.cost.tables import FilerServer, MachineRow, PriceTable, Provisioning, Rates, read_table
from jit_render.model.errors import ConfigError

HOURS_PER_MONTH = 730.0  # what Google divides monthly prices by
LOCAL_SSD_GIB = 375  # one disk
FILER = FilerServer(machine="n2-standard-16", disk_gib=4096)  # where a region's tables say nothing of it


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from."""

    table: str
    date: date
    source: str

    def __str__(self) -> str:
        return f"{self.table} ({self.source})"


@dataclass(frozen=True, slots=True)
class Prices:
    """USD. `origins`: of each machine (``machines.n2-standard-8``), rate (``rates.class_a``) and the ``glusterfs``."""

    region: str
    machines: Mapping[str, MachineRow]
    rates: Mapping[str, float]
    glusterfs: FilerServer
    origins: Mapping[str, Origin]

    @property
    def as_of(self) -> date:
        """The day of the youngest table that any row comes from."""
        return max(origin.date for origin in self.origins.values())

    def machine(self, name: str) -> MachineRow:
        """Raises ConfigError for a machine that has no price, naming the table and the way to add it."""
        found = self.machines.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self.machines, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(
                f"machine {name or '(none)'}: no price in {self._tables()}{hint}; add it to the tables with "
                f"'jit-deploy prices --refresh', or choose one of {', '.join(self.machines)}."
            )
        return found

    def rate(self, name: str) -> float:
        """A rate by its name in the tables, like ``class_a``. Raises ConfigError."""
        if name not in self.rates:
            raise ConfigError(f"rate {name}: no price in {self._tables()}; add it there under [rates].")
        return self.rates[name]

    def hour(self, machine: str, provisioning: Provisioning, local_ssds: int = 0) -> float:
        """USD an hour of a machine with so many local SSDs added to what is part of it. Raises ConfigError.

        A machine that has them built in, or takes none, is given none.
        """
        row = self.machine(machine)
        added = local_ssds if row.takes_local_ssd and not row.local_ssd_gib else 0
        gib = max(added, row.local_ssds_least if added else 0) * LOCAL_SSD_GIB
        per_gib = self.rate("local_ssd_spot" if provisioning == "spot" else "local_ssd")
        return row.hour(provisioning) + gib * per_gib / HOURS_PER_MONTH

    def filer_hour(self) -> float:
        """USD an hour of one GlusterFS server, on demand, with its disk."""
        disk = self.glusterfs.disk_gib * self.rate("pd_ssd") / HOURS_PER_MONTH
        return self.machine(self.glusterfs.machine).on_demand + disk

    def _tables(self) -> str:
        return ", ".join(dict.fromkeys(origin.table for origin in self.origins.values()))


def prices(region: str, at: date | None = None, extra_folder: Path | None = None) -> Prices:
    """The prices of `region` at a day (None: the newest). Raises ConfigError where no table is of that region."""
    tables = [*_own_tables(), *_tables_in(extra_folder)]
    of_region = sorted((one for one in tables if one.region == region), key=lambda one: one.date)
    if not of_region:
        known = ", ".join(sorted({one.region for one in tables}))
        raise ConfigError(
            f"no price table for region {region or '(none)'}; there are tables for {known}; "
            f"'jit-deploy prices --refresh --region {region or 'REGION'}' makes one."
        )
    first = of_region[0].date
    return lay([one for one in of_region if at is None or one.date <= max(at, first)])


def lay(tables: Iterable[PriceTable]) -> Prices:
    """Lay tables of one region over each other, the oldest first; at least one."""
    laid = list(tables)
    machines: dict[str, MachineRow] = {}
    rates: dict[str, float] = {}
    filer = FILER
    origins: dict[str, Origin] = {}
    for table in laid:
        origin = Origin(table.file_name.removesuffix(".toml"), table.date, table.source)
        said = table.rates.model_dump(exclude_none=True)
        machines.update(table.machines)
        rates.update(said)
        filer = table.glusterfs or filer
        names = [f"machines.{name}" for name in table.machines] + [f"rates.{name}" for name in said]
        origins.update(dict.fromkeys(names + ["glusterfs"] * (table.glusterfs is not None), origin))
    return Prices(laid[0].region, machines, rates, filer, origins)


def rate_names() -> tuple[str, ...]:
    """Every rate that a table may hold."""
    return tuple(Rates.model_fields)


def _own_tables() -> list[PriceTable]:
    files = resources.files("jit_render.cost").iterdir()
    own = sorted((one for one in files if one.name.endswith(".toml")), key=lambda one: one.name)
    return [read_table(one.read_text(encoding="utf-8"), one.name) for one in own]


def _tables_in(folder: Path | None) -> list[PriceTable]:
    if folder is None or not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            found.append(read_table(path.read_text(encoding="utf-8"), str(path)))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"price table {path} cannot be read: {error}.") from None
    return found
