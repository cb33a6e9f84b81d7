"""An incomplete EXR is told from a complete one by structure alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - its own documentation spells it so
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jit_render.model.errors import OutputInvalid
from jit_render.model.exr import check_exr, check_exr_ended

COMPRESSIONS = ["none", "rle", "zips", "zip", "piz", "pxr24", "b44", "b44a", "dwaa", "dwab", "htj2k256", "htj2k32"]

rng = np.random.default_rng(7)


def write(path: Path, *, width: int = 61, height: int = 301, tile: int = 0, top: int = 0, **attributes: object) -> Path:
    spec = oiio.ImageSpec(width, height, 3, "half")
    spec.y = top
    if tile:
        spec.tile_width = spec.tile_height = tile
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    image = oiio.ImageOutput.create(str(path))
    assert image.open(str(path), spec), image.geterror()
    assert image.write_image(rng.random((height, width, 3), dtype=np.float32)), image.geterror()
    assert image.close(), image.geterror()
    return path


def write_parts(path: Path) -> Path:
    specs = []
    for name in ("left", "right"):
        spec = oiio.ImageSpec(40, 50, 3, "half")
        spec.attribute("oiio:subimagename", name)
        specs.append(spec)
    image = oiio.ImageOutput.create(str(path))
    assert image.open(str(path), tuple(specs)), image.geterror()
    assert image.write_image(np.ones((50, 40, 3), np.float32)), image.geterror()
    assert image.open(str(path), specs[1], "AppendSubimage"), image.geterror()
    assert image.write_image(np.ones((50, 40, 3), np.float32)), image.geterror()
    assert image.close(), image.geterror()
    return path


def write_mipmap(path: Path, *, ripmap: bool = False, up: bool = False) -> Path:
    """A levelled file, written by hand: empty-looking chunks, but every one where it must be."""
    header = bytearray(struct.pack("<4sI", b"\x76\x2f\x31\x01", 2 | 0x200))

    def attribute(name: str, kind: str, data: bytes) -> None:
        header.extend(name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data)

    attribute("compression", "compression", b"\0")
    attribute("dataWindow", "box2i", struct.pack("<4i", 0, 0, 36, 16))
    attribute("lineOrder", "lineOrder", b"\0")
    attribute("tiles", "tiledesc", struct.pack("<IIB", 8, 8, (2 if ripmap else 1) | (0x10 if up else 0)))
    header += b"\0"
    wide, high = ([37, 19, 10, 5, 3, 2, 1], [17, 9, 5, 3, 2, 1]) if up else ([37, 18, 9, 4, 2, 1], [17, 8, 4, 2, 1])
    levels = (
        [(x, y) for y in range(len(high)) for x in range(len(wide))]
        if ripmap
        else [(i, min(i, len(high) - 1)) for i in range(len(wide))]
    )
    tiles = [
        struct.pack("<4ii3x", tx, ty, lx, ly, 3)
        for lx, ly in levels
        for ty in range(-(-high[ly] // 8))
        for tx in range(-(-wide[lx] // 8))
    ]
    start = len(header) + 8 * len(tiles)
    table = b"".join(struct.pack("<Q", start + sum(map(len, tiles[:index]))) for index in range(len(tiles)))
    path.write_bytes(bytes(header) + table + b"".join(tiles))
    return path


def passes(path: Path, check: Callable[[Path], None]) -> bool:
    try:
        check(path)
    except OutputInvalid:
        return False
    return True


def is_whole(path: Path) -> bool:
    """By the look at its end; the look at every chunk finds whatever that finds."""
    is_ended = passes(path, check_exr_ended)
    assert is_ended or not passes(path, check_exr)
    return is_ended


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_whole_file_of_any_compression_passes_and_its_truncation_does_not(tmp_path: Path, compression: str) -> None:
    path = write(tmp_path / "a.exr", compression=compression, top=-7)
    check_exr(path)
    data = path.read_bytes()

    path.write_bytes(data[:-1])

    assert not is_whole(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: write(path, tile=16),
        write_parts,
        write_mipmap,
        lambda path: write_mipmap(path, up=True),
        lambda path: write_mipmap(path, ripmap=True),
        lambda path: write_mipmap(path, ripmap=True, up=True),
        lambda path: write(path, openexr__lineOrder="decreasingY"),
        lambda path: write(path, note="x" * 70_000),
    ],
    ids=["tiled", "parts", "mipmap", "mipmap-up", "ripmap", "ripmap-up", "bottom-first", "long-attribute"],
)
def test_every_shape_of_file_passes_whole_and_fails_at_every_kind_of_cut(tmp_path: Path, make: object) -> None:
    path = make(tmp_path / "a.exr")
    check_exr(path)
    data = path.read_bytes()

    whole = [cut for cut in range(0, len(data), max(1, len(data) // 97)) if is_cut_whole(path, data[:cut])]

    assert whole == []


def is_cut_whole(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    return is_whole(path)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("exr")
    made = [write(folder / f"{name}.exr", compression=name, height=90) for name in ("none", "zip", "piz", "dwaa")]
    made += [write(folder / "tiled.exr", tile=32), write_parts(folder / "parts.exr"), write_mipmap(folder / "mip.exr")]
    return [path.read_bytes() for path in made]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 6), part=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_detected(tmp_path: Path, samples: list[bytes], which: int, part: float) -> None:
    data = samples[which]
    path = tmp_path / "cut.exr"

    path.write_bytes(data[: int(part * len(data))])

    assert not is_whole(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 6), place=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=64))
def test_junk_is_judged_never_a_crash(
    tmp_path: Path, samples: list[bytes], which: int, place: float, junk: bytes
) -> None:
    data = bytearray(samples[which])
    start = int(place * min(len(data), 2000))
    data[start : start + len(junk)] = junk
    path = tmp_path / "junk.exr"

    path.write_bytes(data)

    is_whole(path)


def test_a_zero_in_the_offset_table_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "beauty.1014.exr", compression="zips", height=20)
    data = path.read_bytes()
    table = data.rindex(struct.pack("<Q", first_chunk(data)), 0, first_chunk(data))

    path.write_bytes(data[: table + 8] + bytes(8) + data[table + 16 :])

    with pytest.raises(OutputInvalid, match=r"beauty\.1014\.exr is no complete EXR: chunk 2 of 20 was never written"):
        check_exr(path)


def first_chunk(data: bytes) -> int:
    """The smallest offset of a file in single scan lines of 20 lines: its table ends where the first chunk starts."""
    end = 8
    while True:
        (offset,) = struct.unpack_from("<Q", data, end)
        if offset == end + 8 * 20:
            return offset
        end += 1


@pytest.mark.parametrize("make", [write, lambda path: write(path, tile=16), write_mipmap])
def test_a_hole_in_the_middle_is_found_by_the_look_at_every_chunk(tmp_path: Path, make: object) -> None:
    path = make(tmp_path / "a.exr")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(path.stat().st_size // 4))

    assert passes(path, check_exr_ended)
    assert not passes(path, check_exr)


def test_a_file_full_of_holes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(2000)
        file.truncate(size)

    assert not is_whole(path)


@pytest.mark.parametrize("data", [b"", b"v", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\x76\x2f\x31\x01", bytes(4096)])
def test_what_is_no_exr_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(data)

    with pytest.raises(OutputInvalid, match=r"a\.exr is no complete EXR"):
        check_exr(path)


@pytest.mark.shared
def test_real_files_pass_and_their_truncations_do_not(tmp_path: Path, shared_data: Path) -> None:
    real = sorted(shared_data.glob("*/*.exr"))
    assert real
    for source in real:
        check_exr(source)
        data = source.read_bytes()
        cut = tmp_path / source.name
        for end in (len(data) - 1, len(data) // 2, 3000, 9):
            assert not is_cut_whole(cut, data[:end]), (source, end)
