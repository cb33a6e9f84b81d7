"""The image libraries are an extra: a node that renders in Nuke does without them."""

from __future__ import annotations

from importlib.util import find_spec

from jit_render.model.errors import ConfigError


def need_images() -> None:
    """Raises ConfigError saying what to install."""
    if find_spec("OpenImageIO") is None or find_spec("numpy") is None:
        raise ConfigError("pictures need OpenImageIO and NumPy: pip install 'jit-render[image]'.")
