"""Nuke scripts: text in, nodes and values out. Pure: nothing here reads a disk, a clock or an environment."""

from jit_render.script.evaluate import Evaluator, script_views
from jit_render.script.nodes import Command, Node, Script, UserKnob
from jit_render.script.parse import parse

__all__ = ["Command", "Evaluator", "Node", "Script", "UserKnob", "parse", "script_views"]
