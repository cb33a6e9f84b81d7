"""The values of knobs: strings with Tcl in them, numbers with curves and expressions in them.

An evaluator holds what a value may depend on beside the script (its path, the environment, the views) and
nothing that changes: asking twice gives the same answer, and threads may share one. What the script alone
cannot tell raises `Undecided` with the text, the node, the knob and the line; it is never guessed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from jit_render.model.errors import ScriptError, Undecided
from jit_render.script.nodes import Node, Script
from jit_render.script.resolve import Resolver, Step, Surroundings
from jit_render.script.values import for_view, read_components
from jit_render.script.words import list_words

_T = TypeVar("_T")


class Evaluator:
    """Values of one script's knobs.

    ``environment`` is all that `[getenv]` sees. ``arguments`` are what `[argv n]` sees (0 is the first one after
    the script's name). ``given`` are further names for expressions, such as ``width`` and ``height``.
    """

    def __init__(
        self,
        script: Script,
        *,
        script_path: str = "",
        environment: Mapping[str, str] | None = None,
        views: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        given: Mapping[str, float] | None = None,
    ) -> None:
        self.script = script
        self.script_path = script_path or script.root.knobs.get("name", "")
        self.views = views or script_views(script)
        self._around = Surroundings(
            script, self.script_path, dict(environment or {}), self.views, arguments, dict(given or {})
        )

        self.still_ranges: dict[tuple[Node, str], tuple[int, int] | None] = {}
        """What `clips.frame_range` has found out that holds at every frame, by node and view."""

    def watched(self) -> Evaluator:
        """The same values, asked through an evaluator of its own that tells afterwards whether `saw_frame`."""
        other = copy.copy(self)
        other._around = self._around._replace(seen=set())  # noqa: SLF001 - its own kind
        return other

    def saw(self, other: Evaluator) -> None:
        """Count what a `watched` one was asked in between as asked of this one."""
        if self._around.seen is not None:
            self._around.seen.update(other._around.seen or ())

    @property
    def saw_frame(self) -> bool:
        """True once a value that a `watched` evaluator told hangs on the frame; all others hold at every frame."""
        return bool(self._around.seen)

    def string(self, node: Node, knob: str, *, frame: float, view: str = "", default: str = "") -> str:
        """The text of a knob; frame and view placeholders stay as they are. Raises Undecided."""
        step = Step(node, knob, 0, frame, view)
        return self._guard(step, lambda: Resolver(self._around).string(step, (), default))

    def number(self, node: Node, knob: str, *, frame: float, view: str = "", default: float = 0.0) -> float:
        """The first number of a knob. Raises Undecided."""
        step = Step(node, knob, 0, frame, view)
        return self._guard(step, lambda: float(Resolver(self._around).number(step, (), default)))

    def numbers(
        self,
        node: Node,
        knob: str,
        count: int,
        *,
        frame: float,
        view: str = "",
        default: tuple[float, ...] | float = 0.0,
    ) -> tuple[float, ...]:
        """`count` numbers of a knob: one that stands alone serves for all; missing ones come from `default`.

        Raises Undecided.
        """
        step = Step(node, knob, 0, frame, view)
        defaults = default if isinstance(default, tuple) else (default,)

        def component(index: int) -> float:
            fallback = defaults[min(index, len(defaults) - 1)]
            return float(Resolver(self._around).number(step._replace(component=index), (), fallback))

        return self._guard(step, lambda: tuple(component(index) for index in range(count)))

    def boolean(self, node: Node, knob: str, *, frame: float, view: str = "", default: bool = False) -> bool:
        """Whether a knob is on. Raises Undecided."""
        return bool(self.number(node, knob, frame=frame, view=view, default=float(default)))

    def choice(
        self, node: Node, knob: str, names: Sequence[str], *, frame: float, view: str = "", default: str = ""
    ) -> str:
        """What an enumeration knob shows: one of `names`, given by name or by index.

        A name that is not in `names` comes back as it is. Without a value: `default`, else the first of `names`.
        Raises Undecided.
        """
        raw = self.raw(node, knob, view)
        if raw is None:
            return default or next(iter(names), "")
        if raw in names:
            return raw
        components = read_components(raw)
        if components and (components[0].expression or components[0].literal is not None):
            index = int(self.number(node, knob, frame=frame, view=view))
            if 0 <= index < len(names):
                return names[index]
            raise self._undecided(Step(node, knob, 0, frame, view), raw, f"{index} is none of {len(names)} choices")
        text = self.string(node, knob, frame=frame, view=view)
        return next((name for name in names if name.lower() == text.lower()), text)

    def expression(self, node: Node, text: str, *, frame: float, view: str = "") -> float:
        """The value that `text` has as an expression on `node`. Raises Undecided."""
        step = Step(node, "", 0, frame, view)
        return self._guard(step, lambda: float(Resolver(self._around).expression(text, step, ())))

    def raw(self, node: Node, knob: str, view: str = "") -> str | None:
        """The raw word of a knob as `view` sees it; None where the script says nothing."""
        raw = node.knobs.get(knob)
        return None if raw is None else for_view(raw, view)

    def is_constant(self, node: Node, knob: str) -> bool:
        """True where a numeric knob is a literal or unsaid: the same at every frame."""
        raw = node.knobs.get(knob)
        return raw is None or all(component.is_constant for component in read_components(raw))

    def path(self, node: Node, knob: str, *, frame: float, view: str = "") -> str:
        """The text of a file knob with forward slashes, a relative name put behind Root's project directory.

        A reader's prefix (``exr:/a/b.exr``) stays. Raises Undecided.
        """
        name = self.string(node, knob, frame=frame, view=view).replace("\\", "/")
        if not name or name.startswith("/") or ":" in name.partition("/")[0]:
            return name
        folder = self.string(self.script.root, "project_directory", frame=frame, view=view).replace("\\", "/")
        return f"{folder.rstrip('/')}/{name}" if folder else name

    def _guard(self, step: Step, compute: Callable[[], _T]) -> _T:
        raw = step.node.knobs.get(step.knob, "")
        try:
            return compute()
        except Undecided as error:
            if error.node:
                raise
            raise self._undecided(step, error.text or raw, str(error)) from None
        except RecursionError:
            raise self._undecided(step, raw, "it nests too deeply") from None
        except (ScriptError, OverflowError, ValueError) as error:
            raise self._undecided(step, raw, str(error)) from None

    def _undecided(self, step: Step, text: str, why: str) -> Undecided:
        node = step.node
        shown = text if len(text) <= 120 else f"{text[:117]}..."
        return Undecided(
            f"{self.script.name} line {node.line}: {node.full_name}.{step.knob} cannot be told from the script: "
            f"{why} ({shown!r}); give it a plain value.",
            text=text,
            node=node.full_name,
            knob=step.knob,
            line=node.line,
        )


def script_views(script: Script) -> tuple[str, ...]:
    """The views that Root declares, in order; ``main`` alone where it says nothing."""
    raw = script.root.knobs.get("views", "")
    names: list[str] = []
    for line in raw.splitlines():
        try:
            words = list_words(line)
        except ScriptError:
            words = line.split()
        names.extend(word for word in words[:1] for word in word.split()[:1])
    return tuple(dict.fromkeys(names)) or ("main",)
