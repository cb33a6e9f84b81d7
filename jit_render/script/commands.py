"""The Tcl commands that change text only: no knobs, no files, no clock."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

from jit_render.model.errors import ScriptError, Undecided
from jit_render.script.words import list_words

LONGEST_TEXT = 1_000_000

_INDEX = re.compile(r"(end|\d{1,9})(?:([+-])(\d{1,9}))?\Z|(-\d{1,9})\Z")
_FORMAT = re.compile(r"%(?:%|([-+ 0#]*)(\d{0,4})(?:\.(\d{1,4}))?([dixXosfgeGEc]))")


def run_text_command(words: Sequence[str]) -> str | None:
    """The result of a command on text alone; None for any other command. Raises Undecided where it cannot be told."""
    command = _COMMANDS.get(words[0])
    if command is None:
        return None
    try:
        return command(list(words[1:]))
    except (IndexError, ValueError, ScriptError, OverflowError):
        raise Undecided(f"[{' '.join(words)[:80]}] does not say what Tcl wants", text=" ".join(words)) from None


def join_list(elements: Sequence[str]) -> str:
    """`elements` as one Tcl list."""
    return " ".join(
        element if element and not re.search(r'[\s"{}\[\]\\$;]', element) else f"{{{element}}}" for element in elements
    )


def _index(text: str, count: int) -> int:
    match = _INDEX.match(text)
    if match is None:
        raise ValueError(text)
    if match[4]:
        return int(match[4])
    start = count - 1 if match[1] == "end" else int(match[1])
    return start + int(f"{match[2] or '+'}{match[3] or 0}")


def _slice(first: str, last: str, count: int) -> slice:
    start, end = max(0, _index(first, count)), _index(last, count)
    return slice(start, max(start, end + 1))


def _file(arguments: list[str]) -> str:
    """Tcl's `file`: the parts of a path; what asks the disk is not decided here."""
    what, *names = arguments
    name = names[0]
    if what == "join":
        joined = ""
        for part in names:
            joined = part if part.startswith("/") or not joined else f"{joined.rstrip('/')}/{part}"
        return joined
    if what == "normalize" and name.startswith("/"):
        return posixpath.normpath(name)
    if what == "split":
        parts = [part for part in name.split("/") if part]
        return join_list((["/"] if name.startswith("/") else []) + parts)
    trimmed = name.rstrip("/") or name[:1]
    base = trimmed.rpartition("/")[2]
    dot = base.rfind(".")
    simple = {
        "dirname": posixpath.dirname(trimmed).rstrip("/") or ("/" if trimmed.startswith("/") else "."),
        "tail": base,
        "rootname": name if dot < 0 else name[: len(trimmed) - len(base) + dot],
        "extension": "" if dot < 0 else base[dot:],
        "nativename": name,
    }
    if what not in simple:
        raise Undecided(f"[file {what}] asks the disk", text=" ".join(["file", *arguments]))
    return simple[what]


def _split(arguments: list[str]) -> str:
    text, separators = arguments[0], arguments[1] if len(arguments) > 1 else " \t\n"
    if not text:
        return ""
    if not separators:
        return join_list(list(text))
    return join_list(re.split(f"[{re.escape(separators)}]", text))


def _join(arguments: list[str]) -> str:
    return (arguments[1] if len(arguments) > 1 else " ").join(list_words(arguments[0]))


def _lindex(arguments: list[str]) -> str:
    elements = list_words(arguments[0])
    index = _index(arguments[1], len(elements))
    return elements[index] if 0 <= index < len(elements) else ""


def _lrange(arguments: list[str]) -> str:
    elements = list_words(arguments[0])
    return join_list(elements[_slice(arguments[1], arguments[2], len(elements))])


def _string(arguments: list[str]) -> str:
    what, *rest = arguments
    if what not in _STRING:
        raise Undecided(f"[string {what}] is not known", text=" ".join(["string", *arguments]))
    return _STRING[what](rest)


def _string_index(arguments: list[str]) -> str:
    text = arguments[0]
    index = _index(arguments[1], len(text))
    return text[index] if 0 <= index < len(text) else ""


def _map(arguments: list[str]) -> str:
    pairs, text = list_words(arguments[0]), arguments[1]
    if len(text) * max(map(len, pairs), default=0) > LONGEST_TEXT:
        raise OverflowError
    table = dict(reversed(list(zip(pairs[::2], pairs[1::2], strict=True))))
    keys = [key for key in pairs[::2] if key]
    if not keys:
        return text
    return re.sub("|".join(map(re.escape, keys)), lambda match: table[match[0]], text)


def _replace(arguments: list[str]) -> str:
    text, first, last = arguments[:3]
    part = _slice(first, last, len(text))
    return text[: part.start] + (arguments[3] if len(arguments) > 3 else "") + text[part.stop :]


def _repeat(arguments: list[str]) -> str:
    text, count = arguments[0], int(arguments[1])
    if len(text) * count > LONGEST_TEXT:
        raise OverflowError
    return text * count


def _format(arguments: list[str]) -> str:
    values = iter(arguments[1:])

    def formatted(match: re.Match[str]) -> str:
        flags, width, precision, kind = match.groups()
        if kind is None:
            return "%"
        value = next(values, None)
        if value is None:
            raise ValueError
        spell = f"%{flags}{width}{'.' + precision if precision else ''}{kind}"
        if kind == "s":
            return spell % value
        if kind in "fgeGE":
            return spell % float(value)
        number = float(value)
        if number != int(number):
            raise ValueError
        return spell % int(number)

    return _FORMAT.sub(formatted, arguments[0])


_STRING: dict[str, Callable[[list[str]], str]] = {
    "range": lambda rest: rest[0][_slice(rest[1], rest[2], len(rest[0]))],
    "index": _string_index,
    "length": lambda rest: str(len(rest[0])),
    "trim": lambda rest: rest[0].strip(*rest[1:2]),
    "trimleft": lambda rest: rest[0].lstrip(*rest[1:2]),
    "trimright": lambda rest: rest[0].rstrip(*rest[1:2]),
    "tolower": lambda rest: rest[0].lower(),
    "toupper": lambda rest: rest[0].upper(),
    "totitle": lambda rest: rest[0].capitalize(),
    "map": _map,
    "replace": _replace,
    "first": lambda rest: str(rest[1].find(rest[0])),
    "last": lambda rest: str(rest[1].rfind(rest[0])),
    "repeat": _repeat,
    "equal": lambda rest: str(int(rest[0] == rest[1])),
}

_COMMANDS: dict[str, Callable[[list[str]], str]] = {
    "file": _file,
    "split": _split,
    "join": _join,
    "lindex": _lindex,
    "lrange": _lrange,
    "llength": lambda arguments: str(len(list_words(arguments[0]))),
    "list": join_list,
    "concat": lambda arguments: " ".join(argument.strip() for argument in arguments if argument.strip()),
    "string": _string,
    "format": _format,
    "return": lambda arguments: arguments[0] if arguments else "",
}
