"""Nuke scripts: text in, nodes and values out. Pure: nothing here reads a disk, a clock or an environment."""

from jit_render.script.nodes import Command, Node, Script, UserKnob
from jit_render.script.parse import parse

__all__ = ["Command", "Node", "Script", "UserKnob", "parse"]
