"""The layers and textures that a USD layer names, where it is text (.usda, or .usd that begins with ``#usda``).

Every asset path counts: ``@./geo.usda@``, ``@@@name@with@at@@@``. Sub-layers are always opened; references, payloads
and textures may hang on a variant that is not chosen. Binary layers (.usdc) are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jit_render.script.companions.found import Link, Look

_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*"|@@@.*?@@@|@[^@\n]*@)|#[^\n]*')
_ASSET = re.compile(r"@@@(.+?)@@@|@([^@\n]+)@")
_SUB_LAYERS = re.compile(r"\bsubLayers\s*=\s*\[([^\]]*)\]")


def of_layer(look: Look) -> Iterator[Link]:
    if not look.data.startswith(b"#usda"):
        return
    text = _COMMENT.sub(lambda match: match[1] or "", look.text)
    below = {path for block in _SUB_LAYERS.findall(text) for path in _paths(block)}
    why = f"{look.base} names it; whether it is loaded hangs on variants and purposes."
    for path in dict.fromkeys(_paths(text)):
        yield Link(look.beside(path), "usda", "" if path in below else why)


def _paths(text: str) -> Iterator[str]:
    """Asset paths that name files: no expressions, no addresses of a resolver's own, without a package's inside."""
    for tripled, single in _ASSET.findall(text):
        path = (tripled or single).partition("[")[0].strip()
        if path and not path.startswith("`") and ":" not in path[2:]:
            yield path
