"""The questions of ``jit-deploy init``: each answered by a flag, else by a person, else (``--yes``) by its default.

An answer is looked at when it is given, beside those of before: who typed a wrong name is asked again at once, and not
sent away after the last question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gcp_deploy.cli.opened import ask
from jit_render.model.errors import ConfigError

if TYPE_CHECKING:
    from jit_render.cost import Prices
    from jit_render.model.settings import GcpSettings

SSDS = "Local SSDs of 375 GB a node, for the cache (0: none)"


class Questions:
    """`gcp` holds the answers so far on top of what the file said."""

    def __init__(self, given: Mapping[str, Any], old: GcpSettings, *, yes: bool) -> None:
        self.gcp = old
        self.yes = yes
        self._given = given

    def set(self, key: str, words: str, read: Callable[[str], Any] = str) -> Any:
        """Ask for ``gcp.<key>``; `read` makes a value of what was typed. The default is the value of before."""
        value = getattr(self.gcp, key)
        if key in self._given:
            value = self._given[key]
        elif not self.yes:
            value = ask(words, spelled(value), lambda text: self._fits(key, read(text)))
        self.gcp = self.gcp.model_copy(update={key: value})
        return value

    def folder(self, words: str, default: str, check: Callable[[str], str]) -> str:
        """A folder of the path rules."""
        return default if self.yes else ask(words, default, check)

    def is_asked(self, key: str) -> bool:
        return key not in self._given and not self.yes

    def set_local_ssds(self) -> int:
        """How many are wanted; not asked where the machine is settled and leaves no choice."""
        settled = not self.is_asked("machine")
        if "local_ssds" not in self._given and settled and not _taken(self.gcp.machine, 1):
            return self.gcp.local_ssds
        return int(self.set("local_ssds", SSDS, int))

    def fit_local_ssds(self) -> None:
        """As many as the chosen machine can have. Raises ConfigError where a flag asks for what cannot be."""
        from gcp_deploy.batch.machines import added_ssds, has_included_ssds
        from jit_render.cli.output import note

        wanted, machine = self.gcp.local_ssds, self.gcp.machine
        fitting = added_ssds(machine, wanted) if "local_ssds" in self._given else _taken(machine, wanted)
        if fitting != wanted and not self.yes:
            why = "brings its own" if has_included_ssds(machine) else "takes no fewer" if fitting else "takes none"
            note(f"  {machine} {why}; local SSDs added: {fitting}.")
        self.gcp = self.gcp.model_copy(update={"local_ssds": fitting})

    def show_machines(self, region: str) -> None:
        """The table of machines, where one has to be chosen, with the local SSDs that are wanted."""
        from jit_render.cli.output import note, table

        if not self.is_asked("machine"):
            return
        try:
            prices = _prices(region)
        except ConfigError as error:
            note(str(error))
            return
        from gcp_deploy.wizard import machine_rows

        note(f"USD an hour, local SSDs: {self.gcp.local_ssds}, list prices of {prices.as_of}:")
        headers = ("MACHINE", "CPUS", "GIB", "SPOT $/H", "ON DEMAND", "LOCAL SSD", "NETWORK")
        right = ("CPUS", "GIB", "SPOT $/H", "ON DEMAND", "NETWORK")
        for line in table(headers, machine_rows(prices, self.gcp.local_ssds), right=right):
            note(line)

    def _fits(self, key: str, value: Any) -> Any:
        """`value`, where it may be one of ``gcp.<key>``. Raises ConfigError."""
        from gcp_deploy.batch.machines import cores_of
        from gcp_deploy.naming import check

        trial = validated({**self.gcp.model_dump(), key: value})
        if key == "machine":
            cores_of(value)
        try:
            check(trial)
        except ConfigError as error:
            if str(error).startswith(f"gcp.{key}:"):  # what another answer lacks is told at the end
                raise
        return getattr(trial, key)


def validated(values: Mapping[str, Any]) -> GcpSettings:
    """The section [gcp] of `values`. Raises ConfigError."""
    from jit_render.model.settings import Layer, resolve

    return resolve([Layer("the answers", {"gcp": dict(values)})]).settings.gcp


def spelled(value: Any) -> str:
    """A default as it would be typed."""
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def names(text: str, separator: str = ",") -> tuple[str, ...]:
    """``a, b`` as a tuple."""
    return tuple(name.strip() for name in text.split(separator) if name.strip())


def bucket(text: str) -> str:
    """A bucket's name, also where it was typed as a URL."""
    return text.removeprefix("gs://").rstrip("/")


def _taken(machine: str, wanted: int) -> int:
    """How many of `wanted` the machine gets; 0 where it takes none. Raises ConfigError for what is no machine."""
    from gcp_deploy.batch.machines import added_ssds, cores_of

    cores_of(machine)
    try:
        return added_ssds(machine, wanted)
    except ConfigError:
        return 0


def _prices(region: str) -> Prices:
    from gcp_deploy.prices import user_prices

    return user_prices(region)
