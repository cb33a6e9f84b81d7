"""``jit-deploy init``: questions, each with a default, and the settings file they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gcp_deploy.cli.opened import Yes, agreed, ask
from jit_render.model.errors import ConfigError

if TYPE_CHECKING:
    from jit_render.model.pathmap import PathRule
    from jit_render.model.settings import GcpSettings

Text = Annotated[str, typer.Option()]
Rules = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="PREFIX=URL[=write]", help="A path rule, like /mnt/show=gs://show; repeatable."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the [gcp] section that is there.")]
Output = Annotated[Path, typer.Option("--file", help="The file to write.")]
Spot = Annotated[bool | None, typer.Option("--spot/--on-demand", help="What kind of VMs render.")]
LocalSsds = Annotated[int | None, typer.Option(help="Local SSDs of 375 GB a node for the cache; 0: none.")]
Nodes = Annotated[int | None, typer.Option(help="Most nodes of one job.")]
Budget = Annotated[float | None, typer.Option(help="USD that one job may cost; 0: no limit.")]


def init(
    *,
    project: Text = "",
    region: Text = "",
    zones: Annotated[str, typer.Option(help="Comma-separated; empty: all of the region.")] = "",
    name: Text = "",
    assets: Annotated[str, typer.Option(help="Bucket that is read.")] = "",
    outputs: Annotated[str, typer.Option(help="Bucket that is written.")] = "",
    state: Annotated[str, typer.Option(help="Bucket of the jobs' records.")] = "",
    path: Rules = None,
    machine: Text = "",
    spot: Spot = None,
    local_ssds: LocalSsds = None,
    nodes: Nodes = None,
    nuke: Annotated[str, typer.Option(help="URL of the studio's own Nuke archive.")] = "",
    licence: Annotated[str, typer.Option(help="port@host of the licence server.")] = "",
    budget: Budget = None,
    file: Output = Path("jit-render.toml"),
    yes: Yes = False,
    force: Force = False,
) -> None:
    """Write the [gcp] section of jit-render.toml, asking for what no flag says. Other sections stay as they are."""
    from gcp_deploy import wizard
    from jit_render.cli.output import note, say

    text = _read(file)
    if wizard.has_gcp(text) and not force and (yes or not agreed(f"{file} has a [gcp] section; replace it?")):
        raise ConfigError(f"{file} has a [gcp] section already; --force replaces it. Nothing was changed.")
    given: dict[str, Any] = {
        "project": project,
        "region": region,
        "zones": tuple(zone.strip() for zone in zones.split(",") if zone.strip()),
        "name": name,
        "assets": assets.removeprefix("gs://"),
        "outputs": outputs.removeprefix("gs://"),
        "state": state.removeprefix("gs://"),
        "machine": machine,
        "nodes": nodes,
        "nuke": nuke,
        "licence": licence,
    }
    if spot is not None:
        given["provisioning"] = "spot" if spot else "standard"
    zeros = {"budget": budget, "local_ssds": local_ssds}  # where 0 says something
    said = {key: value for key, value in given.items() if value}
    said |= {key: value for key, value in zeros.items() if value is not None}
    answers = _answers(text, said, path or [], yes=yes)
    wizard.write(file, wizard.written(text, answers))
    say(f"wrote {file}")
    note("Next: jit-deploy doctor, then jit-deploy up.")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None


def _answers(text: str, given: dict[str, Any], rules: list[str], *, yes: bool) -> Any:
    """All answers: flags, else what the file said, else asked for, else defaults. Raises ConfigError."""
    from gcp_deploy.naming import check
    from gcp_deploy.wizard import Answers, completed, default_settings

    questions = _Questions(given, _old(text), yes=yes)
    base = questions.gcp
    project = questions.text("project", "Project", _default_project(base.project))
    if not project:
        raise ConfigError("gcp.project: no project was given; add --project.")
    base = default_settings(base, project)
    region = questions.text("region", "Region", base.region)
    zones = questions.zones(region, base.zones)
    name = questions.text("name", "Name of this deployment", base.name)
    buckets = {
        "assets": questions.text("assets", "Bucket that is read", base.assets),
        "outputs": questions.text("outputs", "Bucket that is written", base.outputs),
        "state": questions.text("state", "Bucket of the jobs' records", base.state),
    }
    paths = _rules(rules, questions, buckets)
    prices = questions.show_machines(region)
    machine = questions.text("machine", "Machine type", base.machine)
    rest = {
        "provisioning": questions.text("provisioning", "VMs (spot or standard)", base.provisioning, _provisioning),
        "local_ssds": questions.local_ssds(machine, prices),
        "nodes": int(questions.text("nodes", "Most nodes of one job", str(base.nodes), int)),
        "nuke": questions.text("nuke", "Nuke archive (gs://..., empty: none)", base.nuke),
        "licence": questions.text("licence", "Licence server (port@host, empty: none)", base.licence),
        "budget": float(questions.text("budget", "USD that one job may cost (0: no limit)", f"{base.budget:g}", float)),
    }
    where = {"region": region, "zones": zones, "name": name, "machine": machine}
    gcp = completed(_validated({**base.model_dump(), **where, **buckets, **rest}))
    check(gcp)
    return Answers(gcp, paths)


class _Questions:
    """Asks what no flag answers; with --yes it takes the default."""

    def __init__(self, given: dict[str, Any], old: GcpSettings, *, yes: bool) -> None:
        self.gcp = old
        self.yes = yes
        self._given = given

    def text(self, key: str, words: str, default: str, check: Any = str) -> Any:
        if key in self._given:
            return self._given[key]
        return default if self.yes else ask(words, default, check)

    def zones(self, region: str, old: tuple[str, ...]) -> tuple[str, ...]:
        if "zones" in self._given or self.yes:
            return tuple(self._given.get("zones", old))
        said = ask(f"Zones of {region} (comma-separated, empty: all)", ",".join(old), str)
        return tuple(zone.strip() for zone in said.split(",") if zone.strip())

    def local_ssds(self, machine: str, prices: Any) -> int:
        """As many as that machine can have; not asked where there is no choice. Raises ConfigError."""
        from gcp_deploy.batch.machines import added_ssds, has_included_ssds
        from gcp_deploy.wizard import fitting_ssds

        wanted = self.gcp.local_ssds
        fitting = fitting_ssds(prices, machine, wanted)
        if "local_ssds" not in self._given and (has_included_ssds(machine) or (wanted and not fitting)):
            return 0
        text = "Local SSDs of 375 GB a node, for the cache (0: none)"
        return added_ssds(machine, int(self.text("local_ssds", text, str(fitting), int)))

    def show_machines(self, region: str) -> Any:
        """The table of machines, where one has to be chosen; the prices, where there are any."""
        from gcp_deploy.prices import user_prices
        from gcp_deploy.wizard import machine_rows
        from jit_render.cli.output import note, table

        try:
            prices = user_prices(region)
        except ConfigError as error:
            note(str(error))
            return None
        if "machine" not in self._given and not self.yes:
            headers = ("MACHINE", "CPUS", "GIB", "SPOT $/H", "ON DEMAND", "LOCAL SSD", "NETWORK")
            right = ("CPUS", "GIB", "SPOT $/H", "ON DEMAND", "NETWORK")
            for line in table(headers, machine_rows(prices, self.gcp.local_ssds), right=right):
                note(line)
        return prices


def _rules(rules: list[str], questions: _Questions, buckets: dict[str, str]) -> tuple[PathRule, ...]:
    """Path rules of the flags, else one that is read and one that is written below it. Raises ConfigError."""
    if not rules:
        read = questions.text("read", "Folder of the show, as Nuke names it", "/mnt/show")
        write = questions.text("write", "Folder that renders go to", f"{read.rstrip('/')}/renders")
        rules = [f"{read}=gs://{buckets['assets']}", f"{write}=gs://{buckets['outputs']}/renders=write"]
    return tuple(_rule(text) for text in rules)


def _rule(text: str) -> PathRule:
    from pydantic import ValidationError

    from jit_render.model.pathmap import PathRule

    prefix, _, rest = text.partition("=")
    target, _, mode = rest.partition("=")
    try:
        return PathRule.model_validate({"prefix": prefix, "target": target, "mode": mode or "read"})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--path {text!r}: {message}; write it like /mnt/show=gs://show=write.") from None


def _old(text: str) -> GcpSettings:
    """What the file says of Google Cloud already. Raises ConfigError."""
    import tomllib

    from jit_render.model.settings import Layer, resolve

    try:
        return resolve([Layer("the settings file", {"gcp": tomllib.loads(text).get("gcp", {})})]).settings.gcp
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the settings file cannot be read: {error}; mend it first.") from None


def _validated(values: dict[str, Any]) -> GcpSettings:
    from jit_render.model.settings import Layer, resolve

    return resolve([Layer("the answers", {"gcp": values})]).settings.gcp


def _provisioning(text: str) -> str:
    if text not in {"spot", "standard"}:
        raise ValueError(text)
    return text


def _default_project(old: str) -> str:
    import os

    return old or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
