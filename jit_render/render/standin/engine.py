"""Pulls images through the graph.

Every output is asked for by node, frame and view and asks its inputs in turn. Within a frame some images are kept
(`kept.py` says which), of most nodes they are not: a chain of operations holds two images at a time, not all of them.
Decoded files are kept over frames by the reader.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from jit_render.model.errors import JitRenderError, RenderError, UnsupportedNode
from jit_render.model.frames import has_view
from jit_render.render.standin import registry
from jit_render.render.standin.call import Call, Frame, Pulls, describe
from jit_render.render.standin.image import NUKE_DEFAULT, Format, Image, parse_format
from jit_render.render.standin.kept import KeptPictures, may_share_views
from jit_render.render.standin.names import FileNames
from jit_render.render.standin.reader import Reader
from jit_render.render.standin.transfer import Transfer
from jit_render.script import Evaluator, Node, Script
from jit_render.script.timing import is_disabled

_CALLS_PER_NODE = 16  # a masked operation in a group takes eleven
_CALLS_AROUND = 4_000


class Engine:
    """Renders nodes of one script. `needed`: what is upstream of the Writes to be rendered."""

    def __init__(
        self,
        script: Script,
        evaluator: Evaluator,
        names: FileNames,
        reader: Reader,
        *,
        views: tuple[str, ...],
        needed: Iterable[Node],
    ) -> None:
        self.script = script
        self.root = script.root
        self.evaluator = evaluator
        self.names = names
        self.views = views
        self.format = _script_format(script, evaluator, views[0])
        self._reader = reader
        self._needed = tuple(needed)
        # A chain of nodes is a chain of calls, in Python only: they take no room on the C stack.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _CALLS_PER_NODE * len(self._needed) + _CALLS_AROUND))
        across_views = may_share_views((script.root, *script.nodes), views)
        self._kept = KeptPictures(_shared(self._needed), across_views=across_views)
        self._wanted_words = _wanted_words(self._needed)

    def forget(self) -> None:
        """The frame is done: let its images go."""
        self._kept.clear()

    def pull(self, node: Node, frame: Frame, view: str) -> Image:
        """The node's picture. Raises RenderError naming the node."""
        if is_disabled(node, self.evaluator, frame, view):
            return self._passed(node, frame, view)
        return self._kept.picture(node, frame, view, self._run)

    def file(self, node: Node, knob: str, frame: Frame, view: str) -> str:
        """The file to open for a knob; '' for none."""
        if has_view(self.names.written(node, knob, frame, view)):
            self._kept.look_at_view()
        return self.names.opened(node, knob, frame, view)

    def decode(self, path: str, view: str, *, transfer: Transfer | None, premultiplied: bool) -> Image:
        """A file's picture with the channels that somebody downstream may use."""
        try:
            read = self._reader.read(path, view, wants=self._wants, transfer=transfer, premultiplied=premultiplied)
        except RenderError:  # another view of the same file may be whole
            self._kept.look_at_view()
            raise
        if read.has_views:
            self._kept.look_at_view()
        return read.image

    def _run(self, node: Node, frame: Frame, view: str) -> Image:
        if not registry.is_known(node.cls):
            raise UnsupportedNode(f"the stand-in cannot render {describe(node)}; render it with Nuke.")
        if node.cls == "JoinViews":
            self._kept.look_at_view()
        try:
            return registry.operation(node.cls)(Call(self, node, frame, view))
        except JitRenderError:
            raise
        except MemoryError:
            raise
        except RecursionError:
            raise RenderError(f"frame {frame}: {describe(node)}: its inputs lead back to itself.") from None
        except Exception as error:
            raise RenderError(f"frame {frame}: {describe(node)}: {type(error).__name__}: {error}") from error

    def _passed(self, node: Node, frame: Frame, view: str) -> Image:
        source = node.inputs[0] if node.inputs else None
        return Image.black(self.format) if source is None else self.pull(source, frame, view)

    def _wants(self, channel: str) -> bool:
        layer = channel.partition(".")[0]
        return self._wanted_words is None or layer == "rgba" or any(layer in text for text in self._wanted_words)


def _script_format(script: Script, evaluator: Evaluator, view: str) -> Format:
    text = evaluator.string(script.root, "format", frame=1, view=view, default="")
    return parse_format(text) or NUKE_DEFAULT


def _shared(nodes: tuple[Node, ...]) -> frozenset[Node]:
    """Nodes whose picture several others use, or one at several moments (then `Reader` keeps the files)."""
    uses: Counter[Node] = Counter()
    for node in nodes:
        sources = [*node.inputs, node.output if node.is_group else None]
        if node.cls == "Input":
            sources.append(node.source)
        uses.update(source for source in sources if source is not None)
    return frozenset(node for node, count in uses.items() if count > 1)


def _wanted_words(nodes: tuple[Node, ...]) -> frozenset[str] | None:
    """What the knobs of the script say: a layer that none of them names is not decoded. None: all are."""
    words: set[str] = set()
    for node in nodes:
        for knob, text in node.knobs.items():
            if node.cls == "Write" and knob == "channels" and "all" in text.split():
                return None
            if knob in _PATHS:
                continue
            if "[" in text and knob in _CHANNEL_KNOBS:  # an expression may name any channel
                return None
            words.add(text)
    return frozenset(words)


_PATHS = frozenset({"file", "proxy", "vfield_file", "name", "label", "message", "xpos", "ypos"})
_CHANNEL_KNOBS = frozenset({"channels", "in", "in1", "in2", "Achannels", "Bchannels", "also_merge", "output", "from0"})


def upstream(writes: Iterable[Node]) -> tuple[Node, ...]:
    """Every node that `writes` may need, themselves first; disabled ones count as long as `disable` may change."""
    seen: dict[Node, None] = {}
    todo = list(writes)[::-1]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen[node] = None
        if node.knobs.get("disable", "").strip() in ("true", "1"):
            todo += [source for source in node.inputs[:1] if source is not None]
            continue
        sources = [source for source in node.inputs if source is not None] if not node.is_group else []
        if node.is_group and node.output is not None:
            sources.append(node.output)
        elif node.is_group:
            sources += [source for source in node.inputs[:1] if source is not None]
        if node.cls == "Input" and node.source is not None:
            sources.append(node.source)
        todo += sources
    return tuple(seen)


def check(needed: Iterable[Node], engine: Pulls | None = None, *, frame: Frame = 1, view: str = "main") -> None:
    """Raises UnsupportedNode that names every needed node which cannot be rendered, as far as can be told before.

    With an engine the knobs that choose between ways of working are looked at too.
    """
    refused: list[str] = []
    for node in needed:
        if node.knobs.get("disable", "").strip() in ("true", "1"):
            continue
        if not registry.is_known(node.cls):
            refused.append(f"{describe(node)} is of a class it does not know")
        elif engine is not None:
            refused += _refused_knobs(Call(engine, node, frame, view))
    if refused:
        raise UnsupportedNode(f"the stand-in cannot render this script: {'; '.join(refused)}. Render it with Nuke.")


def _refused_knobs(call: Call) -> list[str]:
    checker = registry.checker(call.node.cls)
    if checker is None:
        return []
    try:
        checker(call)
    except UnsupportedNode as error:
        return [str(error).rstrip(".")]
    except JitRenderError:  # met again, with its frame, when the node is rendered
        pass
    return []
