"""A small show for whole-system tests: two sequences with different offsets, stereo views, a still and a LUT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - the name everybody gives it

VIEWS = ("left", "right")
FIRST = 1001


def write_exr(path: Path, pixels: np.ndarray, *, half: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, "half" if half else "float")
    spec.attribute("compression", "zips")
    out = oiio.ImageOutput.create(str(path))
    assert out.open(str(path), spec)
    assert out.write_image(pixels.astype(np.float32))
    assert out.close()


def make_show(folder: Path, *, frames: int = 12, size: tuple[int, int] = (160, 90), seed: int = 7) -> None:
    """Plates, a still and a LUT under `folder`; the same bytes for the same arguments."""
    width, height = size
    rng = np.random.default_rng(seed)
    for index in range(frames):
        for view in VIEWS:
            plate = rng.random((height, width, 4), dtype=np.float32)
            write_exr(folder / f"plates/bg/bg.{view}.{FIRST + index:04d}.exr", plate)
        element = rng.random((height, width, 4), dtype=np.float32)
        write_exr(folder / f"plates/fx/fx.{1 + index:04d}.exr", element)
    write_exr(folder / "stills/still.exr", rng.random((height, width, 4), dtype=np.float32))
    lut = folder / "luts/grade.cube"
    lut.parent.mkdir(parents=True, exist_ok=True)
    corners = [(r, g, b) for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    rows = "\n".join(f"{r * 0.9:.6f} {g * 0.95:.6f} {b:.6f}" for r, g, b in corners)
    lut.write_text(f"LUT_3D_SIZE 2\n{rows}\n", encoding="utf-8")


def script(root: str, *, out: str, frames: int = 12, on_error: str = "error", size: tuple[int, int] = (160, 90)) -> str:
    """The comp over `make_show`'s files under `root`, writing below `out`."""
    last = FIRST + frames - 1
    width, height = size
    return f"""#! nuke -nx
version 13.1 v3
Root {{
 inputs 0
 name {root}/comp/small.nk
 first_frame {FIRST}
 last_frame {last}
 format "{width} {height} 0 0 {width} {height} 1 small"
 views "left #ff0000
right #00ff00"
}}
Read {{
 inputs 0
 file {root}/plates/fx/fx.####.exr
 first 1
 last {frames}
 origfirst 1
 origlast {frames}
 on_error {on_error}
 name ReadFx
}}
TimeOffset {{
 time_offset {FIRST - 1}
 name Offset
}}
set N1 [stack 0]
Read {{
 inputs 0
 file {root}/stills/still.exr
 name ReadStill
}}
Read {{
 inputs 0
 file {root}/plates/bg/bg.%V.%04d.exr
 first {FIRST}
 last {last}
 origfirst {FIRST}
 origlast {last}
 on_error {on_error}
 name ReadBg
}}
Merge2 {{
 inputs 2
 operation plus
 mix 0.5
 name MergeStill
}}
Merge2 {{
 inputs 2
 operation screen
 name MergeFx
}}
Vectorfield {{
 vfield_file {root}/luts/grade.cube
 name Lut
}}
Grade {{
 white {{{{curve x{FIRST} 0.5 x{last} 1.5}}}}
 name Grade1
}}
Write {{
 file {out}/small.%V.%04d.exr
 file_type exr
 compression zips
 create_directories true
 views "left right"
 name Write1
}}
"""
