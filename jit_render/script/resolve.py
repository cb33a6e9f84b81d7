"""From a knob's raw word to its value: Tcl, curves, expressions, and the references between knobs.

A reference is followed with the chain of knobs that led to it. A knob that meets itself in its own chain (same
component, frame and view) hangs on itself; the error names both ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from jit_render.model.errors import Undecided
from jit_render.script.commands import run_text_command
from jit_render.script.defaults import default_of
from jit_render.script.expression import compile_expression
from jit_render.script.idioms import as_tcl
from jit_render.script.lookup import Reference, look_up
from jit_render.script.nodes import Node, Script
from jit_render.script.tcl import substitute
from jit_render.script.values import Component, for_view, read_components, read_literal
from jit_render.script.words import list_words

LONGEST_CHAIN = 40  # knobs that hang on each other
MOST_STEPS = 10_000  # knobs looked at for one value: references that fan out are not followed for ever
LONGEST_TEXT = 1_000_000


class Step(NamedTuple):
    """One component of one knob at one frame, as one view sees it."""

    node: Node
    knob: str
    component: int
    frame: float
    view: str


_EXPRESSION = re.compile(r"[-+*/%()<>?]")

Chain = tuple[Step, ...]


class Surroundings(NamedTuple):
    """All that a value may depend on beside the script."""

    script: Script
    script_path: str
    environment: Mapping[str, str]
    views: tuple[str, ...]
    arguments: tuple[str, ...]
    given: Mapping[str, float]
    seen: set[str] | None = None
    """Where it is a set, ``frame`` is put in as soon as a value hangs on the frame."""


class Resolver:
    """Tells one value; made anew for each."""

    __slots__ = ("around", "script", "steps_left")

    def __init__(self, surroundings: Surroundings) -> None:
        self.around = surroundings
        self.script = surroundings.script
        self.steps_left = MOST_STEPS

    def string(self, step: Step, chain: Chain, default: str | None) -> str:
        """The text of a knob; `default` where the script says nothing (None: what its class says)."""
        step, raw = self._raw(step, follow_default=default is None)
        if raw is None:
            if default is None:
                raise _unsaid(step)
            return default
        return self._substitute(raw, step, _longer(chain, step)) if "[" in raw else raw

    def number(self, step: Step, chain: Chain, default: float | None) -> float:
        """One number of a knob; `default` as in `string`."""
        step, raw = self._raw(step, follow_default=default is None)
        components = read_components(raw) if raw is not None else ()
        if len(components) == 1:
            component = components[0]
        elif step.component < len(components):
            component = components[step.component]
        elif default is not None:
            return default
        else:
            raise _unsaid(step)
        if component.literal is not None:
            return component.literal
        chain = _longer(chain, step)
        if not component.expression:
            return self._number_of_text(raw or "", component, step, chain)
        return self.expression(component.expression, step, chain, component)

    def expression(
        self, text: str, step: Step, chain: Chain, component: Component | None = None, *, integers: bool = False
    ) -> float:
        """The value of an expression that stands at `step`."""
        if component is not None and text == "curve" and component.curve is not None:
            return component.curve.at(self.frame_of(step))
        text = self._substitute(text, step, chain) if "[" in text else text
        return compile_expression(text, integers=integers)(_Names(self, step, chain, component))

    def frame_of(self, step: Step) -> float:
        """The frame of `step`, for a value that hangs on it."""
        if self.around.seen is not None:
            self.around.seen.add("frame")
        return step.frame

    def referred(self, path: str, step: Step, chain: Chain, at: float) -> float:
        """The number of the knob that `path` means at `step`, at frame `at`."""
        reference = look_up(self.script, step.node, path)
        if reference is None or not reference.knob:
            raise Undecided(f"{path} is no knob that the script holds", text=path)
        if reference.node is self.script.root:
            special = self._root_number(reference.knob, step._replace(frame=at))
            if special is not None:
                return special
        component = step.component if reference.component is None else reference.component
        return self.number(Step(reference.node, reference.knob, component, at, step.view), chain, None)

    def value_text(self, path: str, step: Step, chain: Chain) -> str:
        """What ``[value path]`` gives."""
        reference = look_up(self.script, step.node, path)
        if reference is None:
            if path == "frame":
                return spell(self.frame_of(step))
            raise Undecided(f"{path} is no knob that the script holds", text=path)
        return self._text(reference, step, chain)

    def _text(self, reference: Reference, step: Step, chain: Chain) -> str:
        node, knob, component = reference
        if knob in {"", "name"} and node is not self.script.root:
            return node.name
        if node is self.script.root and knob == "frame":
            return spell(self.frame_of(step))
        target, raw = self._raw(Step(node, knob, component or 0, step.frame, step.view), follow_default=True)
        if raw is None:
            raise _unsaid(target)
        components = read_components(raw)
        if component is not None:
            return spell(self.number(target, chain, None))
        if any(one.expression for one in components):
            return " ".join(
                spell(self.number(target._replace(component=index), chain, None)) for index in range(len(components))
            )
        return self.string(target, chain, None)

    def _raw(self, step: Step, *, follow_default: bool) -> tuple[Step, str | None]:
        """The knob that really holds the value (a link knob shows another's) and its raw word."""
        node, knob = step.node, step.knob
        self.steps_left -= 1
        if self.steps_left < 0:
            raise Undecided(f"more than {MOST_STEPS:,} knobs take part in it", text=node.knobs.get(knob, ""))
        if node is self.script.root and knob == "name":
            return step, self.around.script_path.replace("[", "\\[")
        raw = node.knobs.get(knob)
        if raw is None and node.declared and (own := node.user_knobs.get(knob)) is not None and own.target:
            target = look_up(self.script, node, own.target, inside=True)
            if target is None or not target.knob:
                raise Undecided(f"it shows {own.target}, which the script does not hold", text=own.target)
            step = step._replace(node=target.node, knob=target.knob)
            raw = target.node.knobs.get(target.knob)
            follow_default = True
        if raw is None and follow_default:
            raw = default_of(step.node, step.knob)
        return step, None if raw is None else for_view(raw, step.view)

    def _number_of_text(self, raw: str, component: Component, step: Step, chain: Chain) -> float:
        own = step.node.user_knobs.get(step.knob) if step.node.declared else None
        menu = list_words(own.option("M")) if own is not None else []
        if raw in menu:
            return float(menu.index(raw))
        text = self._substitute(raw if "[" in raw else component.text, step, chain)
        value = read_literal(text)
        if value is not None:
            return value
        if _EXPRESSION.search(text) or text in {"frame", "x", "t"}:  # a text knob that Nuke computes, as Read.frame
            return self.expression(text, step, chain)
        raise Undecided("it is no number", text=raw)

    def _root_number(self, knob: str, step: Step) -> float | None:
        if knob == "frame":
            return self.frame_of(step)
        format_words = self.script.root.knobs.get("format", "").split()
        if knob in {"width", "height"} and len(format_words) > 1:
            return read_literal(format_words[0 if knob == "width" else 1])
        return None

    def _substitute(self, text: str, step: Step, chain: Chain) -> str:
        value = substitute(text, lambda words: self._command(words, step, chain), self._variable)
        if len(value) > LONGEST_TEXT:
            raise Undecided(f"its text is longer than {LONGEST_TEXT:,} characters", text=text)
        return value

    def _variable(self, name: str) -> str:
        if name.startswith("env(") and name.endswith(")"):
            return self._environment(name[4:-1])
        raise Undecided(f"the variable ${name} is Tcl's own", text=f"${name}")

    def _environment(self, name: str) -> str:
        value = self.around.environment.get(name)
        if value is None:
            raise Undecided(f"the environment variable {name} is not set for the job", text=f"[getenv {name}]")
        return value

    def _command(self, words: list[str], step: Step, chain: Chain) -> str:
        """The result of one bracketed command."""
        if not words:
            return ""
        name, arguments = words[0], words[1:]
        if name in {"value", "knob"} and len(arguments) == 1:
            return self.value_text(arguments[0], step, chain)
        if name == "python":
            meaning = as_tcl(" ".join(arguments))
            if meaning is not None:
                return self._substitute(meaning, step, chain)
        elif name == "expr":
            return spell(self.expression(" ".join(arguments), step, chain, integers=True))
        elif name == "getenv" and len(arguments) == 1:
            return self._environment(arguments[0])
        elif name == "argv" and len(arguments) == 1 and arguments[0].isdigit():
            return self._argument(arguments[0])
        elif name == "topnode" and not arguments:
            return _top(step.node).full_name
        elif name in {"frame", "first_view", "this_view"} and not arguments:
            views = self.around.views
            if name == "frame":
                return spell(self.frame_of(step))
            return (views[0] if views else "main") if name == "first_view" else step.view
        else:
            result = run_text_command(words)
            if result is not None:
                return result
        text = f"[{' '.join(words)}]"
        raise Undecided(f"only Nuke can run {text[:80]}", text=text)

    def _argument(self, number: str) -> str:
        index = int(number) if len(number) < 6 else len(self.around.arguments)
        if index >= len(self.around.arguments):
            raise Undecided(f"the command line has no argument {number}", text=f"[argv {number}]")
        return self.around.arguments[index]


class _Names:
    """The surroundings of one expression."""

    __slots__ = ("chain", "component", "resolver", "step")

    def __init__(self, resolver: Resolver, step: Step, chain: Chain, component: Component | None) -> None:
        self.resolver = resolver
        self.step = step
        self.chain = chain
        self.component = component

    def variable(self, name: str) -> float | None:
        if name in {"frame", "x", "t"}:
            return self.resolver.frame_of(self.step)
        return self.resolver.around.given.get(name)

    def knob(self, path: str, at: float | None) -> float:
        return self.resolver.referred(path, self.step, self.chain, self.step.frame if at is None else at)

    def curve(self, at: float | None) -> float:
        if self.component is None or self.component.curve is None:
            raise Undecided("there is no curve behind it")
        return self.component.curve.at(self.resolver.frame_of(self.step) if at is None else at)


def spell(value: float) -> str:
    """A number as Nuke puts it into text: whole ones without a point."""
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return str(int(value))
    return f"{value:.10g}"


def _longer(chain: Chain, step: Step) -> Chain:
    if step in chain:
        first, last = chain[-1], step
        raise Undecided(
            f"{last.node.full_name}.{last.knob} and {first.node.full_name}.{first.knob} hang on each other",
            text=last.node.knobs.get(last.knob, ""),
        )
    if len(chain) >= LONGEST_CHAIN:
        raise Undecided(f"more than {LONGEST_CHAIN} knobs hang on each other", text=step.knob)
    return (*chain, step)


def _unsaid(step: Step) -> Undecided:
    name = f"{step.node.full_name}.{step.knob}"
    return Undecided(f"the script does not say what {name} is", text=name)


def _top(node: Node) -> Node:
    seen = {id(node)}
    while (above := next((one for one in node.inputs if one is not None), None)) is not None and id(above) not in seen:
        seen.add(id(above))
        node = above
    return node
