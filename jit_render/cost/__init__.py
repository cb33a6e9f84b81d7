"""Prices and usage to money. Pure.

``prices(region, at=…, extra_folder=…)`` gives what things cost; a table is read with `read_table` and written with
`spell_table`.
"""

from __future__ import annotations

from jit_render.cost.prices import HOURS_PER_MONTH, LOCAL_SSD_GIB, Prices, prices
from jit_render.cost.tables import MachineRow, PriceTable, Provisioning, Rates, read_table, spell_table

__all__ = [
    "HOURS_PER_MONTH",
    "LOCAL_SSD_GIB",
    "MachineRow",
    "PriceTable",
    "Prices",
    "Provisioning",
    "Rates",
    "prices",
    "read_table",
    "spell_table",
]
