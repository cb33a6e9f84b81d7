"""Small scripts through the stand-in's engine, without a process."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jit_render.render.standin.callbacks import Callbacks
from jit_render.render.standin.engine import Engine, upstream
from jit_render.render.standin.image import Box, Format, Image
from jit_render.render.standin.layers import in_order
from jit_render.render.standin.names import FileNames, FilterTiming
from jit_render.render.standin.reader import Reader
from jit_render.render.standin.writer import WriteOptions, write
from jit_render.script import Evaluator, parse

ROOT = 'Root {\n format "16 8 0 0 16 8 1 tiny"\n first_frame 1\n last_frame 10\n}\n'


def engine_for(text: str, node: str, *, callbacks: Callbacks | None = None, timing=FilterTiming.PATTERN) -> Engine:
    script = parse(text if "Root {" in text else ROOT + text)
    evaluator = Evaluator(script, script_path="/show/comp/shot.nk")
    names = FileNames(script, evaluator, callbacks or Callbacks(), timing)
    needed = upstream([script.find(node)])
    return Engine(script, evaluator, names, Reader(), views=evaluator.views, needed=needed)


def pull(text: str, node: str, *, frame: float = 1, view: str = "") -> Image:
    """The picture of one node of a script."""
    engine = engine_for(text, node)
    with np.errstate(all="ignore"):
        return engine.pull(engine.script.find(node), frame, view or engine.views[0])


def value(image: Image, channel: str, x: int = 0, y: int = 0) -> float:
    """One pixel; y counts from the bottom, as in Nuke."""
    if not Box(x, y, x + 1, y + 1).intersect(image.box).width:
        return 0.0
    return float(image.plane(channel)[image.box.top - 1 - y, x - image.box.x])


def constant(colour: str, name: str, channels: str = "rgba") -> str:
    return f"Constant {{\n inputs 0\n channels {channels}\n color {{{colour}}}\n name {name}\n}}\n"


def save(path: Path, pixels: np.ndarray, names: tuple[str, ...], *, box: Box | None = None, fmt: Format | None = None):
    """Write an EXR of float32."""
    height, width, _ = pixels.shape
    fmt = fmt or Format(width, height)
    image = Image.from_pixels(pixels.astype(np.float32), names, box or fmt.box, fmt)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(str(path), {"main": image}, in_order(names), WriteOptions("exr", datatype="32 bit float"))
