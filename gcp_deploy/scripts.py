"""The scripts that machines run, each as one text: a line ``# include NAME`` stands for that file of this package.

A VM gets its start-up script as metadata and a Batch task its script in the request, so neither can read a second file.
"""

from __future__ import annotations

import re
from importlib import resources

_INCLUDE = re.compile(r"^# include (?P<name>[a-z]+\.sh)\n", re.MULTILINE)


def script(name: str) -> str:
    """The script `name` with what it includes."""
    return _INCLUDE.sub(lambda match: _text(match["name"]), _text(name))


def _text(name: str) -> str:
    return resources.files("gcp_deploy").joinpath(name).read_text(encoding="utf-8")
