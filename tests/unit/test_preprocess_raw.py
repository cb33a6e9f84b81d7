"""Camera raw: a negative that is written here byte by byte, read by LibRaw, developed by our operations."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from preprocess_kit import Shoot

from jit_render.model.errors import ConfigError
from preprocess.memory_file import MemoryFile
from preprocess.operations import operation_from
from preprocess.source import SourceFile, SourceInvalid

CELL = (128, 130, 132, 134)
WHITE = 4095
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}
_CODES = {1: "B", 3: "H", 4: "I", 5: "I", 10: "i"}


def negative(mosaic: np.ndarray, pattern: tuple[int, ...] = (0, 1, 1, 2), active: tuple[int, ...] = ()) -> bytes:
    """A DNG 1.4 of one uncompressed strip. `pattern`: 0 is red, 2 is blue; `active`: top, left, bottom, right."""
    height, width = mosaic.shape
    identity = tuple(part for place in range(9) for part in (int(place % 4 == 0), 1))
    entries = {
        254: (4, (0,)),
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (16,)),
        259: (3, (1,)),
        262: (3, (32803,)),  # a colour filter array
        273: (4, (8,)),
        277: (3, (1,)),
        278: (4, (height,)),
        279: (4, (2 * mosaic.size,)),
        33421: (3, (2, 2)),
        33422: (1, pattern),
        50706: (1, (1, 4, 0, 0)),
        50708: (2, b"Test Camera\0"),
        50713: (3, (2, 2)),
        50714: (3, CELL),
        50717: (4, (WHITE,)),
        50721: (10, identity),
        50728: (5, (1, 2, 1, 1, 2, 3)),  # as shot, neutral is (1/2, 1, 2/3)
        50778: (3, (21,)),
        **({50829: (4, active)} if active else {}),
    }
    start = 8 + 2 * mosaic.size
    table, beside = struct.pack("<H", len(entries)), b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        field = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", behind + len(beside))
        beside += data + b"\0" * (len(data) % 2) if len(data) > 4 else b""
        table += struct.pack("<HHI", tag, kind, len(data) // _SIZES[kind]) + field
    pixels = mosaic.astype("<u2").tobytes()
    return b"II*\0" + struct.pack("<I", start) + pixels + table + struct.pack("<I", 0) + beside


def opened(data: bytes, name: str = "A001.1001.dng") -> SourceFile:
    file = MemoryFile("test")
    file.append(data)
    return SourceFile(file, name)


@pytest.fixture
def mosaic() -> np.ndarray:
    return np.random.default_rng(3).integers(200, 4000, (48, 64)).astype(np.uint16)


def test_the_mosaic_comes_as_it_is_with_what_the_header_says(mosaic: np.ndarray) -> None:
    pytest.importorskip("rawpy")
    with opened(negative(mosaic)) as source:
        image, band = source.whole(), source.rows(5, 9)
    assert np.array_equal(image.pixels[:, :, 0], mosaic)
    assert np.array_equal(band.pixels, image.pixels[5:9])
    assert image.channels == ("Y",)
    assert image.metadata["sensor:black"] == list(CELL)
    assert image.metadata["sensor:white"] == WHITE
    assert image.metadata["sensor:pattern"] == "RGGB"
    assert image.metadata["sensor:balance"] == pytest.approx([2, 1, 1.5])


@pytest.mark.parametrize(("top", "first", "pattern"), [(2, 2, "RGGB"), (3, 4, "GBRG")])
def test_a_masked_border_is_left_out(mosaic: np.ndarray, top: int, first: int, pattern: str) -> None:
    pytest.importorskip("rawpy")
    with opened(negative(mosaic, active=(top, 4, 43, 60))) as source:
        image = source.whole()
    assert np.array_equal(image.pixels[:, :, 0], mosaic[first:43, 4:60])  # LibRaw leaves a row out after an odd border
    assert image.metadata["sensor:pattern"] == pattern


@pytest.mark.parametrize("staged", [False, True])
def test_the_pipelines_own_operations_develop_it(tmp_path: Path, mosaic: np.ndarray, staged: bool) -> None:
    pytest.importorskip("rawpy")
    shoot = Shoot(tmp_path, frames=1, cameras=("A001",))
    (tmp_path / "raw/A001/A001.1001.dng").write_bytes(negative(mosaic, pattern=(2, 1, 1, 0)))
    level = operation_from({"kind": "black_level", "black": "file"})
    colour = operation_from({"kind": "demosaic", "pattern": "file", "method": "bilinear"})
    pipeline = shoot.pipeline((level,), (colour,))
    source = pipeline.source.model_copy(update={"file": pipeline.source.file.replace(".exr", ".dng")})
    outputs = tuple(one.model_copy(update={"type": "float"}) for one in pipeline.outputs)
    shoot.make(pipeline.model_copy(update={"source": source, "outputs": outputs}), staged=staged)
    made = shoot.picture("out/full/A001.1001.exr").pixels
    black = np.tile(np.asarray(CELL, np.float32).reshape(2, 2), (24, 32))
    linear = (mosaic - black) / (WHITE - black)
    assert np.allclose(made[1::2, 1::2, 0], linear[1::2, 1::2], atol=1e-6)  # red is bottom right in BGGR
    assert np.allclose(made[0::2, 0::2, 2], linear[0::2, 0::2], atol=1e-6)
    assert np.allclose(made[0::2, 1::2, 1], linear[0::2, 1::2], atol=1e-6)


@pytest.mark.parametrize("part", [20, 2000, 6000])
def test_a_negative_that_is_cut_short_is_named(mosaic: np.ndarray, part: int) -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(SourceInvalid, match=r"A001\.1001\.dng is cut short, damaged or no camera raw"):
        opened(negative(mosaic)[:part])


def test_without_rawpy_the_extra_is_named(mosaic: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(ConfigError, match=r"pip install 'jit-render\[raw\]'"):
        opened(negative(mosaic))
