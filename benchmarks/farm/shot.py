"""The shot of the farm: a few layers of plates, each frame of each layer a file of noise, and one still for all.

The pictures are uncompressed, so that reading them costs bytes and hardly any computing, and the frame that is written
is a small part of them. Noise is seeded by the file's name: every run of every machine makes the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

FIRST = 1001
OUTPUT = "comp.%04d.exr"
STILL = "stills/grade.exr"
_OUT_SIZE = (256, 128)
_CHANNELS = 4


def layer_file(layer: int, frame: int) -> str:
    """Name below the show's folder."""
    return f"plates/layer{layer}/layer{layer}.{frame:04d}.exr"


def files(frames: int, layers: int) -> list[str]:
    """All inputs of the shot."""
    numbers = range(FIRST, FIRST + frames)
    return [STILL, *(layer_file(layer, frame) for layer in range(layers) for frame in numbers)]


def make(
    folder: Path, *, frames: int, layers: int, size: tuple[int, int], told: Callable[[int, int], None]
) -> list[str]:
    """Write the inputs below `folder`; their names. `told` hears how many of how many are there."""
    names = files(frames, layers)
    for done, name in enumerate(names, start=1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, name, size)
        told(done, len(names))
    return names


def script(show: str, out: str, frames: int, layers: int, size: tuple[int, int]) -> str:
    """The .nk with its files below `show` and its outputs in `out`.

    Every layer is merged over the one before, a still on top, and the whole cropped small.
    """
    width, height = size
    span = f"first {FIRST}\n last {FIRST + frames - 1}"
    plate = f' format "{width} {height} 0 0 {width} {height} 1 plate"'
    parts = [
        "version 13.2 v5",
        f"Root {{\n inputs 0\n frame {FIRST}\n first_frame {FIRST}\n last_frame {FIRST + frames - 1}\n{plate}\n}}",
    ]
    for layer in range(layers):
        pattern = f"{show}/plates/layer{layer}/layer{layer}.%04d.exr"
        parts.append(f"Read {{\n inputs 0\n file_type exr\n file {pattern}\n {span}\n name Read{layer}\n}}")
        if layer:
            parts.append(f"Merge2 {{\n inputs 2\n operation average\n name Merge{layer}\n}}")
    parts.append(f"Read {{\n inputs 0\n file_type exr\n file {show}/{STILL}\n name ReadStill\n}}")
    parts.append("Merge2 {\n inputs 2\n operation average\n name MergeStill\n}")
    parts.append(f"Crop {{\n box {{0 0 {_OUT_SIZE[0]} {_OUT_SIZE[1]}}}\n reformat true\n name CropOut\n}}")
    parts.append(
        f"Write {{\n file {out}/{OUTPUT}\n file_type exr\n compression none\n create_directories true\n name Write1\n}}"
    )
    return "\n".join(parts) + "\n"


def _write(path: Path, name: str, size: tuple[int, int]) -> None:
    import numpy as np
    import OpenImageIO

    width, height = size
    spec = OpenImageIO.ImageSpec(width, height, _CHANNELS, "half")
    spec.attribute("compression", "none")
    spec.attribute("DateTime", "2026:01:01 00:00:00")  # else it is now, and no two runs make the same bytes
    noise = np.random.default_rng(zlib.crc32(name.encode())).random((height, width, _CHANNELS), dtype=np.float32)
    out = OpenImageIO.ImageOutput.create(str(path))
    if not (out and out.open(str(path), spec) and out.write_image(noise.astype(np.float16)) and out.close()):
        raise OSError(f"{path}: the plate cannot be written ({OpenImageIO.geterror()}); is the disk full?")


def output_bytes() -> int:
    """About what one frame writes: three channels of half floats, which are not compressed."""
    return _OUT_SIZE[0] * _OUT_SIZE[1] * 3 * 2
