"""Tcl words.

A .nk file is Tcl: commands made of words, and a node's body is again a list of words in pairs. A word is
braced (verbatim), quoted or bare (both with backslash escapes). Everything here works on positions in one
text with compiled expressions, so that the cost is linear and nothing is copied but the words themselves.

Braces count whatever stands between them, quotes too: only a backslash hides one. So one scan finds the end
of a body together with the ends of the braced words directly in it, and deeper braces are never looked at
again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from jit_render.model.errors import ScriptError


class Braced(str):
    """A word that stood in braces: its backslashes have not been read."""

    __slots__ = ()


class Body(NamedTuple):
    """Where a braced word's partner stands, and those of the braces directly inside."""

    end: int
    partners: dict[int, int]


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_SPACE = re.compile(r"(?:\s|\\\n)*+")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_BARE = re.compile(r"(?:[^\s\\]|\\[^\n]|\\\Z)++")
# The common pair of a body: a name and a value without anything to unescape or to match.
_PLAIN_PAIR = re.compile(r'\s*+([^\s"{}\\]++)[ \t]++(?:([^\s"{}\\]++)|"([^"\\]*+)"|\{([^{}\\]*+)\})(?=\s)')
_USUAL_WORD = re.compile(r'([^\s"{}]++)|"([^"]*+)"|\{((?:[^{}]++|\{[^{}]*+\})*+)\}')
_FOLD = re.compile(r"\\\n[ \t]*")
_ESCAPE = re.compile(r"\\(?:\n[ \t]*|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|([0-7]{1,3})|(.)|\Z)", re.DOTALL)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def line_at(text: str, position: int) -> int:
    """The line of `position`, from 1."""
    return text.count("\n", 0, position) + 1


def matching_brace(text: str, start: int) -> Body:
    """The partner of the brace at `start`. Raises ScriptError naming the line that opens it."""
    depth = 0
    opened = start
    partners: dict[int, int] = {}
    for match in _BRACE.finditer(text, start):
        mark = match[0]
        if mark == "{":
            depth += 1
            if depth == 2:
                opened = match.start()
        elif mark == "}":
            depth -= 1
            if depth == 1:
                partners[opened] = match.start()
            elif depth == 0:
                return Body(match.start(), partners)
    line = line_at(text, start)
    raise ScriptError(f"line {line}: the brace opened here is never closed; the script is truncated.", line=line)


def usual_pairs(body: str, line: int) -> list[tuple[str, str]]:
    """The pairs of a body, begun at `line`, in which nothing is escaped and quotes and braces stand apart."""
    if "{" in body or '"' in body:
        words = [bare or quoted or Braced(braced) for bare, quoted, braced in _USUAL_WORD.findall(body)]
    else:
        words = body.split()
    if len(words) % 2:
        raise _no_value(words[-1], line + body.rstrip().count("\n"))
    return list(zip(words[::2], words[1::2], strict=True))


def body_pairs(text: str, start: int, body: Body) -> list[tuple[str, str]]:
    """Name and value of each pair of words inside the braces `text[start]` to `text[body.end]`."""
    pairs: list[tuple[str, str]] = []
    position, end = start + 1, body.end
    match_pair = _PLAIN_PAIR.match
    while True:
        plain = match_pair(text, position, end)
        if plain is not None:
            name, bare, quoted, braced = plain.groups()
            pairs.append((name, bare or (quoted if braced is None else Braced(braced))))
            position = plain.end()
            continue
        found = _next_word(text, position, end, body.partners)
        if found is None:
            return pairs
        value = _next_word(text, found[1], end, body.partners)
        if value is None:
            raise _no_value(found[0], line_at(text, found[1]))
        pairs.append((found[0], value[0]))
        position = value[1]


def list_words(text: str) -> list[str]:
    """The elements of a Tcl list; braced ones are `Braced`. Raises ScriptError where it is none."""
    if not text.isascii() or any(mark in text for mark in '{"\\'):
        partners = matching_brace("{" + text + "}", 0) if "{" in text else None
        inside = {k - 1: v - 1 for k, v in partners.partners.items()} if partners else {}
        if partners is not None and partners.end != len(text) + 1:
            raise ScriptError(f"{text[:60]!r} closes a brace that it does not open.")
        words: list[str] = []
        position = 0
        while (found := _next_word(text, position, len(text), inside)) is not None:
            words.append(found[0])
            position = found[1]
        return words
    return text.split()


def unescape(text: str) -> str:
    """`text` with Tcl's backslash escapes read."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def quote(value: str) -> str:
    """`value` as one bare or quoted word, as Nuke writes it."""
    if value and not re.search(r'[\s"{}\[\]\\$;]', value) and not value.startswith("#"):
        return value
    return '"' + re.sub(r'([\\"\[\]{}$])', r"\\\1", value) + '"'


def next_word(text: str, position: int, end: int) -> tuple[str, int] | None:
    """The word at or after `position` and where it ends; None where only space is left."""
    start = _space_end(text, position, end)
    partners = {start: matching_brace(text, start).end} if start < end and text[start] == "{" else {}
    return _next_word(text, start, end, partners)


def _space_end(text: str, position: int, end: int) -> int:
    space = _SPACE.match(text, position, end)
    return space.end() if space is not None else position


def _next_word(text: str, position: int, end: int, partners: dict[int, int]) -> tuple[str, int] | None:
    start = _space_end(text, position, end)
    if start >= end:
        return None
    if text[start] == "{":
        stop = partners[start]
        word: str = Braced(_FOLD.sub(" ", text[start + 1 : stop]))
        return word, _word_end(text, stop + 1, end, "brace")
    if text[start] == '"':
        quoted = _QUOTED.match(text, start, end)
        if quoted is None:
            line = line_at(text, start)
            raise ScriptError(f"line {line}: the quote opened here is never closed.", line=line)
        return unescape(quoted[1]), _word_end(text, quoted.end(), end, "quote")
    bare = _BARE.match(text, start, end)
    if bare is None:  # a lone backslash before the body's end
        return "\\", end
    return unescape(bare[0]), bare.end()


def _word_end(text: str, position: int, end: int, what: str) -> int:
    if position < end and not text[position].isspace() and not text.startswith("\\\n", position):
        line = line_at(text, position)
        raise ScriptError(
            f"line {line}: {text[position : position + 20]!r} stands right after a closing {what}.", line=line
        )
    return position


def _no_value(name: str, line: int) -> ScriptError:
    return ScriptError(
        f"line {line}: {name[:40]!r} has no value; a node's body is pairs of a knob and its value.", line=line
    )


def _unescaped(match: re.Match[str]) -> str:
    if match[1] or match[2]:
        return chr(int(match[1] or match[2], 16))
    if match[3]:
        return chr(int(match[3], 8))
    if match[4]:
        return _NAMED.get(match[4], match[4])
    return " " if match[0].startswith("\\\n") else "\\"
