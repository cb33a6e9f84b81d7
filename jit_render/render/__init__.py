"""Renderers behind one port (`port.Renderer`); `process.run` starts one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jit_render.model.errors import UsageError

if TYPE_CHECKING:  # records and their validation library would cost the stand-in's process a quarter of its start
    from jit_render.render.port import Renderer


def find_renderer(name: str, version: str = "") -> Renderer:
    """The renderer called `name`; `version` is a version or, for Nuke, an executable. Raises UsageError."""
    if name == "nuke":
        from jit_render.render.nuke import NukeRenderer

        return NukeRenderer(version)
    if name == "standin":
        from jit_render.render.standin_renderer import StandinRenderer

        return StandinRenderer()
    if name == "preprocess":
        from jit_render.render.preprocess_renderer import PreprocessRenderer

        return PreprocessRenderer()
    raise UsageError(f"{name!r} is no renderer; known: nuke, standin, preprocess.")
