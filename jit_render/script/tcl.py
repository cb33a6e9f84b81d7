r"""Tcl in string knobs: what stands in brackets is a command whose result takes its place.

This is the grammar only; what a command does, its caller says. Outside brackets a text is taken as it is,
but for ``\[`` and ``\]``, which stand for the brackets themselves. An escaped bracket before a command that
everybody uses was escaped once too often on its way into the script, and counts as a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from jit_render.model.errors import Undecided
from jit_render.script.words import unescape

DEEPEST = 30  # brackets in brackets

Call = Callable[[list[str]], str]
Variable = Callable[[str], str]

_USUAL = r"(?:value|knob|file|getenv|python|lindex|lrange|split|join|string|expr|format|frame|argv|topnode)\b"
_PLAIN = re.compile(r"(?:[^\[\]\\]|\\(?![\[\]]))++", re.DOTALL)
_ESCAPED_COMMAND = re.compile(r"\\\[\s*" + _USUAL)
_SPACE = re.compile(r"(?:\s|\\\n)*+")
_SPACE_HERE = re.compile(r"\s|\\\n")
_BARE_PART = re.compile(r'(?:[^\s\[\]$\\"{}]|\\[^\n])++|["{}]')
_QUOTED_PART = re.compile(r'(?:[^\[$\\"]|\\.)++', re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([\w:]+)(?:\(([^)]*)\))?)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def substitute(text: str, call: Call, variable: Variable) -> str:
    """`text` with its commands replaced by what `call` answers for their words.

    Raises Undecided for text that no reading makes sense of, and whatever `call` and `variable` raise.
    """
    if "[" not in text:
        return text
    return _Reader(text, call, variable).whole()


class _Reader:
    def __init__(self, text: str, call: Call, variable: Variable) -> None:
        self.text = text
        self.call = call
        self.variable = variable
        self.position = 0
        self.depth = 0

    def whole(self) -> str:
        parts: list[str] = []
        while self.position < len(self.text):
            plain = _PLAIN.match(self.text, self.position)
            if plain is not None:
                parts.append(plain[0])
                self.position = plain.end()
            elif self.text[self.position] == "[":
                parts.append(self._command())
            elif _ESCAPED_COMMAND.match(self.text, self.position):
                parts.append(self._escaped_command())
            elif self.text[self.position] == "\\":
                parts.append(self.text[self.position + 1])
                self.position += 2
            else:  # a closing bracket by itself
                parts.append("]")
                self.position += 1
        return "".join(parts)

    def _escaped_command(self) -> str:
        """A command that was escaped once too often, up to its own (escaped or plain) bracket."""
        rest = self.text[self.position :].replace("\\[", "[").replace("\\]", "]")
        inner = _Reader(rest, self.call, self.variable)
        value = inner._command()
        self.text = self.text[: self.position] + rest
        self.position += inner.position
        return value

    def _command(self) -> str:
        """The value of the bracketed command at the position."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._error("brackets nest too deeply")
        self.position += 1
        words: list[str] = []
        while True:
            self._skip_space()
            if self.position >= len(self.text):
                raise self._error("a bracket is never closed")
            if self.text[self.position] == "]":
                self.position += 1
                self.depth -= 1
                return self.call(words)
            words.append(self._word())

    def _word(self) -> str:
        mark = self.text[self.position]
        if mark == "{":
            return self._braced()
        if mark == '"':
            self.position += 1
            word = self._parts(_QUOTED_PART, '"')
            self.position += 1
            return word
        return self._parts(_BARE_PART, "]")

    def _parts(self, plain_part: re.Pattern[str], end: str) -> str:
        parts: list[str] = []
        while self.position < len(self.text) and self.text[self.position] != end:
            plain = plain_part.match(self.text, self.position)
            if plain is not None:
                parts.append(unescape(plain[0]))
                self.position = plain.end()
            elif self.text[self.position] == "[":
                parts.append(self._command())
            elif self.text[self.position] == "$":
                parts.append(self._variable())
            elif _SPACE_HERE.match(self.text, self.position) and end != '"':
                break
            else:  # a backslash before the text's end
                parts.append(self.text[self.position])
                self.position += 1
        if end == '"' and not self.text.startswith('"', self.position):
            raise self._error("a quote is never closed")
        return "".join(parts)

    def _variable(self) -> str:
        match = _VARIABLE.match(self.text, self.position)
        if match is None:
            self.position += 1
            return "$"
        self.position = match.end()
        return self.variable(match[1] or (f"{match[2]}({match[3]})" if match[3] is not None else match[2]))

    def _braced(self) -> str:
        depth = 0
        for match in _BRACE.finditer(self.text, self.position):
            depth += {"{": 1, "}": -1}.get(match[0], 0)
            if depth == 0:
                word = self.text[self.position + 1 : match.start()]
                self.position = match.end()
                return word
        raise self._error("a brace is never closed")

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.position)
        self.position = space.end() if space is not None else self.position

    def _error(self, why: str) -> Undecided:
        return Undecided(why, text=self.text)
