"""What commands print: lines, one JSON document, aligned tables."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any


def say(text: str = "") -> None:
    """One line for people, on standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line beside the result, on standard error, so that ``--json`` stays clean."""
    sys.stderr.write(text + "\n")


@contextlib.contextmanager
def busy(text: str) -> Iterator[None]:
    """Say on a terminal what goes on while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def say_json(value: object) -> None:
    """The one JSON document that a command prints with ``--json``."""
    json.dump(plain(value), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def plain(value: object) -> Any:
    """`value` as JSON has it: dataclasses, records, sets, paths and URLs included."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if type(value).__str__ is not object.__str__ and type(value).__module__.endswith("identity"):
            return str(value)
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {plain_key(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def plain_key(key: object) -> str:
    return str(getattr(key, "value", key))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> list[str]:
    """Lines of an aligned table; the columns named in `right` are numbers."""
    cells = [list(headers), *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    flush = [header in right for header in headers]

    def line(row: list[str]) -> str:
        columns = zip(row, widths, flush, strict=True)
        done = (cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in columns)
        return "  ".join(done).rstrip()

    return [line(row) for row in cells]


def say_table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    for line in table(headers, rows, right=right):
        say(line)
