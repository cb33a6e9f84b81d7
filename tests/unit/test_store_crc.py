"""crc32c against its published check values."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit_render.store.crc import Crc32c, crc32c_of_bytes, crc32c_of_file, from_base64, to_base64


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"", 0), (b"123456789", 0xE3069283), (b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],  # RFC 3720, B.4
)
def test_known_values(data: bytes, crc: int):
    assert crc32c_of_bytes(data) == crc
    assert from_base64(to_base64(crc)) == crc


def test_pieces_add_up(tmp_path: Path):
    data = bytes(range(256)) * 20_000
    (tmp_path / "file").write_bytes(data)
    crc = Crc32c()
    view = memoryview(bytearray(data))
    for at in range(0, len(data), 777_777):
        crc.update(view[at : at + 777_777])
    assert crc.value == crc32c_of_bytes(data) == crc32c_of_file(tmp_path / "file")


@pytest.mark.parametrize("text", [None, "", "!", "AAAA", "AAAAAAAA"])
def test_what_is_no_crc32c_is_none(text: str | None):
    assert from_base64(text) is None


def test_the_api_spells_it_big_end_first():
    assert to_base64(0xE3069283) == "4waSgw=="
