"""What a machine type's name says, as far as a request needs it."""

from __future__ import annotations

import re

from jit_render.model.errors import ConfigError

_NAME = re.compile(r"(?P<family>[a-z]+\d+[a-z]?)-(?P<kind>[a-z]+(?:-[a-z]+)*)-(?P<cores>\d+)(?P<lssd>-lssd)?")
_NO_LOCAL_SSD = {"e2", "t2d", "t2a", "n4", "n4d", "c4a", "f1", "g1"}
_LEAST_LOCAL_SSDS = {("n2", 16): 2}  # partitions, where the type takes no smaller number


def cores_of(machine: str) -> int:
    """How many CPUs the machine has. Raises ConfigError for a name that does not tell."""
    return int(_parse(machine)["cores"])


def has_included_ssds(machine: str) -> bool:
    """Whether local SSDs are part of the type (``c3-standard-8-lssd``); such a machine is given none beside them."""
    return bool(_parse(machine)["lssd"])


def added_ssds(machine: str, wanted: int) -> int:
    """How many local SSDs to ask for where `wanted` are set: none beside included ones, no fewer than the type takes.

    Raises ConfigError for a type that takes none.
    """
    if not wanted or has_included_ssds(machine):
        return 0
    family, cores = _parse(machine)["family"], cores_of(machine)
    if family in _NO_LOCAL_SSD:
        raise ConfigError(f"{machine} takes no local SSD; choose another gcp.machine, or set gcp.local_ssds = 0.")
    return max(wanted, _LEAST_LOCAL_SSDS.get((family, cores), 0))


def _parse(machine: str) -> re.Match[str]:
    match = _NAME.fullmatch(machine)
    if match is None:
        raise ConfigError(f"gcp.machine {machine!r} is no machine type; write it like n2d-standard-8.")
    return match
