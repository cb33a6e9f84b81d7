"""Price tables: what a TOML file says, and how it is written.

A table is one region's list prices as of one day, with where they come from. Tables are laid over each other by date,
so a later one need only name what it knows, and the first one (in this package) holds everything.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jit_render.model.errors import ConfigError

Provisioning = Literal["spot", "standard"]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MachineRow(_Row):
    """A machine type. Prices are USD an hour; what is not known is None."""

    vcpus: int = Field(ge=1)
    memory_gib: float = Field(gt=0)
    on_demand: Usd
    spot: Usd
    local_ssd_gib: int = Field(default=0, ge=0)
    """Local SSD that is part of the machine and of its price."""
    local_ssds_least: int = Field(default=0, ge=0)
    """Fewest disks of 375 GiB that may be added, if any are."""
    takes_local_ssd: bool = True
    network_gbps: float | None = Field(default=None, gt=0)

    def hour(self, provisioning: Provisioning) -> float:
        """USD an hour."""
        return self.spot if provisioning == "spot" else self.on_demand


class Rates(_Row):
    """Everything that is no machine; None: this table does not say. Units are those of the package's first table.

    That one lacks `image` and `snapshot` (per GiB and month) and `address_hour` (one that is reserved and unused).
    """

    local_ssd: Usd | None = None
    local_ssd_spot: Usd | None = None
    pd_balanced: Usd | None = None
    pd_ssd: Usd | None = None
    pd_standard: Usd | None = None
    storage_regional: Usd | None = None
    storage_multi_region: Usd | None = None
    class_a: Usd | None = None
    class_b: Usd | None = None
    transfer_na_na: Usd | None = None
    transfer_na_eu: Usd | None = None
    transfer_na_asia: Usd | None = None
    internet_first: Usd | None = None
    internet_last: Usd | None = None
    filestore_basic_ssd: Usd | None = None
    filestore_zonal: Usd | None = None
    rapid_cache_hour: Usd | None = None
    rapid_cache_ingest: Usd | None = None
    rapid_cache_read: Usd | None = None
    image: Usd | None = None
    snapshot: Usd | None = None
    address_hour: Usd | None = None


class FilerServer(_Row):
    """One server of a GlusterFS: its machine, on demand, and its pd-ssd."""

    machine: str
    disk_gib: int = Field(gt=0)


class PriceTable(_Row):
    """One region's prices as of one day."""

    region: str = Field(pattern=r"^[a-z0-9-]+$")
    date: date
    source: str = Field(min_length=1)
    machines: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9-]+$")], MachineRow] = Field(default_factory=dict)
    rates: Rates = Rates()
    glusterfs: FilerServer | None = None

    @property
    def file_name(self) -> str:
        """What its file is called; one file for each region and day."""
        return f"{self.region}-{self.date.isoformat()}.toml"


def read_table(text: str, name: str) -> PriceTable:
    """The table that a file holds. Raises ConfigError naming the file and the row."""
    try:
        return PriceTable.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"price table {name}: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"price table {name}: {where}: {first['msg']}; mend that row or remove the file.") from None


def spell_table(table: PriceTable) -> str:
    """The table as TOML; `read_table` gives it back."""
    lines = [f"region = {_value(table.region)}", f"date = {table.date.isoformat()}", f"source = {_value(table.source)}"]
    if table.machines:
        lines += ["", "[machines]"]
        for name, machine in table.machines.items():
            said = machine.model_dump(exclude_defaults=True)
            lines.append(f"{name} = {{ {', '.join(f'{key} = {_value(one)}' for key, one in said.items())} }}")
    rates = table.rates.model_dump(exclude_none=True)
    if rates:
        lines += ["", "[rates]", *(f"{key} = {_value(one)}" for key, one in rates.items())]
    if table.glusterfs is not None:
        filer = table.glusterfs.model_dump()
        lines += ["", "[glusterfs]", *(f"{key} = {_value(one)}" for key, one in filer.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A JSON string is a TOML string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
