"""The few lines of Python that half of all scripts hold, as the Tcl that means the same.

A `[python …]` is arbitrary code, so it is undecided; but these are so common that a plan without them would be
undecided for most shows.
"""

from __future__ import annotations

import re

_SCRIPT = r"nuke\.root\(\)\s*(?:\.name\(\)|(?:\.knob\(Q(?:name)Q\)|\[Q(?:name)Q\])\.(?:value|getValue|evaluate)\(\))"
_KNOB = r"(?:\.knob\(Q([\w.]+)Q\)|\[Q([\w.]+)Q\])\.(?:value|getValue|evaluate|getText)\(\)"

_IDIOMS = tuple(
    (re.compile(pattern.replace("Q", "[\"']") + r"\Z"), meaning)
    for pattern, meaning in (
        (r"nuke\.script_directory\(\)", "[file dirname [value root.name]]"),
        (_SCRIPT, "[value root.name]"),
        (rf"os\.path\.dirname\(\s*{_SCRIPT}\s*\)", "[file dirname [value root.name]]"),
        (rf"os\.path\.basename\(\s*{_SCRIPT}\s*\)", "[file tail [value root.name]]"),
        (
            rf"os\.path\.splitext\(\s*os\.path\.basename\(\s*{_SCRIPT}\s*\)\s*\)\[0\]",
            "[file rootname [file tail [value root.name]]]",
        ),
        (r"os\.(?:getenv\(|environ\[|environ\.get\()\s*Q(\w+)Q\s*[)\]]", r"[getenv \1]"),
        (r"nuke\.(?:frame\(\)|root\(\)\.frame\(\))", "[frame]"),
        (r"(?:int\()?nuke\.root\(\)\.firstFrame\(\)\)?", "[value root.first_frame]"),
        (r"(?:int\()?nuke\.root\(\)\.lastFrame\(\)\)?", "[value root.last_frame]"),
        (r"nuke\.thisNode\(\)\.name\(\)", "[value this.name]"),
        (r"nuke\.thisNode\(\)" + _KNOB, r"[value this.\1\2]"),
        (r"nuke\.(?:thisParent\(\)|thisGroup\(\)|thisNode\(\)\.parent\(\))" + _KNOB, r"[value parent.\1\2]"),
        (r"nuke\.root\(\)" + _KNOB, r"[value root.\1\2]"),
        (r"nuke\.toNode\(Q([\w.]+)Q\)" + _KNOB, r"[value \1.\2\3]"),
        (r"nuke\.views\(\)\[0\]", "[first_view]"),
        (r"nuke\.thisView\(\)|nuke\.OutputContext\(\)\.viewname\([^()]*\)", "[this_view]"),
    )
)


def as_tcl(code: str) -> str | None:
    """The Tcl that means the same as this Python expression; None where it is not one of the well-known ones."""
    code = code.strip().removeprefix("__import__('nuke').").strip()
    for pattern, meaning in _IDIOMS:
        match = pattern.match(code)
        if match is not None:
            return match.expand(meaning) if match.re.groups else meaning
    return None
