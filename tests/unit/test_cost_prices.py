"""Price tables: each row from the youngest table that has it, and clear words where there is none."""

from datetime import date

import pytest

from jit_render.cost import HOURS_PER_MONTH, prices, read_table, spell_table
from jit_render.model.errors import ConfigError

NEWER = """
region = "us-central1"
date = 2026-10-01
source = "a \\"quoted\\" list"

[machines]
n2d-standard-8 = { vcpus = 8, memory_gib = 32, on_demand = 0.3, spot = 0.09, network_gbps = 16 }
z3-highmem-88 = { vcpus = 88, memory_gib = 704, on_demand = 12.0, spot = 4.0, local_ssd_gib = 36000 }
"""


def test_a_machine_costs_what_the_list_says():
    now = prices("us-central1")
    assert now.hour("n2-standard-8", "standard") == 0.3885
    assert now.hour("n2d-standard-16", "spot") == 0.1956
    assert now.machine("c3-standard-22-lssd").local_ssd_gib == 1500
    assert now.rate("class_a") == 0.005
    assert {origin.date for origin in now.origins.values()} == {date(2026, 7, 30)}


def test_a_filer_server_costs_what_the_facts_say():
    assert round(prices("us-central1").filer_hour() * HOURS_PER_MONTH) == 1263


def test_local_ssds_are_added_where_the_machine_takes_them():
    now = prices("us-central1")
    disk = 375 * 0.0428 / HOURS_PER_MONTH
    assert now.hour("n2d-standard-8", "spot", 1) == pytest.approx(0.0978 + disk)
    assert now.hour("n2-standard-16", "spot", 1) == pytest.approx(0.3685 + 2 * disk)
    assert now.hour("c3-standard-8-lssd", "spot", 1) == 0.1428
    assert now.hour("e2-standard-8", "spot", 1) == 0.1608


def test_a_newer_table_replaces_only_the_rows_it_names(tmp_path):
    (tmp_path / "new.toml").write_text(NEWER)
    now = prices("us-central1", extra_folder=tmp_path)
    assert now.machine("n2d-standard-8").spot == 0.09
    assert now.machine("n2d-standard-16").spot == 0.1956
    assert now.machine("z3-highmem-88").vcpus == 88
    assert now.origins["machines.n2d-standard-8"].date == now.as_of == date(2026, 10, 1)


def test_a_day_sees_no_later_price(tmp_path):
    (tmp_path / "new.toml").write_text(NEWER)
    then = prices("us-central1", at=date(2026, 9, 30), extra_folder=tmp_path)
    assert then.machine("n2d-standard-8").spot == 0.0978
    assert prices("us-central1", at=date(2020, 1, 1)).as_of == date(2026, 7, 30)


def test_a_machine_without_a_price_is_told_with_the_way_to_add_it():
    with pytest.raises(ConfigError, match=r"us-central1-2026-07-30.*did you mean n2d-standard-8.*prices --refresh"):
        prices("us-central1").machine("n2d-standrad-8")


def test_a_region_without_a_table_is_told_with_the_way_to_add_it():
    with pytest.raises(ConfigError, match=r"mars-north1.*us-central1.*prices --refresh --region mars-north1"):
        prices("mars-north1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("region = ", "Invalid value"),
        ('region = "a"\ndate = 2026-01-01\nsource = "x"\n[machines]\nm = { vcpus = 0 }', "machines.m.vcpus"),
        ('region = "a"\ndate = 2026-01-01\nsource = "x"\n[rates]\nclas_a = 1', "rates.clas_a"),
        ('region = "a"\ndate = 2026-01-01\nsource = "x"\n[rates]\nclass_a = nan', "rates.class_a"),
    ],
)
def test_a_table_that_cannot_be_understood_names_its_file_and_row(tmp_path, text, said):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=rf"bad\.toml.*{said}"):
        prices("us-central1", extra_folder=tmp_path)


def test_a_table_that_is_written_reads_the_same():
    table = read_table(NEWER.replace("quoted", "\\u0001\\u007f ü"), "new")
    assert read_table(spell_table(table), "again") == table
