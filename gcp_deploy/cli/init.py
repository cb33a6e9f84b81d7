"""``jit-deploy init``: questions, each with a default, and the settings file they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gcp_deploy.cli.opened import Yes, agreed
from jit_render.model.errors import ConfigError

if TYPE_CHECKING:
    from gcp_deploy.cli.questions import Questions
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
    node_nuke: Annotated[str, typer.Option(help="Nuke on nodes: executable or version; default: the job's.")] = "",
    node_gizmo_path: Annotated[str, typer.Option(help="Gizmo folders of the nodes' image, with : between.")] = "",
    licence: Annotated[str, typer.Option(help="port@host of the licence server.")] = "",
    budget: Budget = None,
    file: Output = Path("jit-render.toml"),
    yes: Yes = False,
    force: Force = False,
) -> None:
    """Write the [gcp] section of jit-render.toml, asking for what no flag says. Other sections stay as they are."""
    from gcp_deploy import wizard
    from gcp_deploy.cli.questions import bucket, names
    from jit_render.cli.output import note, say

    text = _read(file)
    if wizard.has_gcp(text) and not force and (yes or not agreed(f"{file} has a [gcp] section; replace it?")):
        raise ConfigError(f"{file} has a [gcp] section already; --force replaces it. Nothing was changed.")
    given: dict[str, Any] = {
        "project": project,
        "region": region,
        "zones": names(zones),
        "name": name,
        "assets": bucket(assets),
        "outputs": bucket(outputs),
        "state": bucket(state),
        "machine": machine,
        "nodes": nodes,
        "nuke": nuke,
        "node_nuke": node_nuke,
        "node_gizmo_path": names(node_gizmo_path, ":"),
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
    from gcp_deploy.cli.questions import Questions, bucket, names, validated
    from gcp_deploy.naming import check
    from gcp_deploy.wizard import Answers, completed, default_settings, undone

    questions = Questions(given, undone(_old(text)), yes=yes)
    questions.gcp = questions.gcp.model_copy(update={"project": _default_project(questions.gcp.project)})
    project = questions.set("project", "Project")
    if not project:
        raise ConfigError("gcp.project: no project was given; add --project.")
    questions.gcp = default_settings(questions.gcp, project)
    region = questions.set("region", "Region")
    zones = tuple(zone for zone in questions.gcp.zones if zone.startswith(f"{region}-"))
    questions.gcp = questions.gcp.model_copy(update={"zones": zones})
    questions.set("zones", f"Zones of {region} (comma-separated, empty: all)", names)
    questions.set("name", "Name of this deployment")
    questions.set("assets", "Bucket that is read", bucket)
    questions.set("outputs", "Bucket that is written", bucket)
    questions.set("state", "Bucket of the jobs' records", bucket)
    paths = _rules(rules, questions)
    _ask_machines(questions, region)
    questions.set("nuke", "Nuke archive (gs://..., empty: none)")
    questions.set("node_nuke", "Nuke on nodes: executable or version (empty: the job's)")
    questions.set("node_gizmo_path", "Gizmo folders of the image (like /opt/nuke/gizmos:/opt/show)", _folders)
    questions.set("licence", "Licence server (port@host, empty: none)")
    questions.set("budget", "USD that one job may cost (0: no limit)", float)
    gcp = completed(validated(questions.gcp.model_dump()))
    check(gcp)
    return Answers(gcp, paths)


def _ask_machines(questions: Questions, region: str) -> None:
    """Local SSDs come first, so that the prices shown contain them."""
    questions.set_local_ssds()
    questions.show_machines(region)
    questions.set("machine", "Machine type")
    questions.fit_local_ssds()
    questions.set("provisioning", "VMs (spot or standard)")
    questions.set("nodes", "Most nodes of one job", int)


def _rules(rules: list[str], questions: Questions) -> tuple[PathRule, ...]:
    """Path rules of the flags, else one that is read and one that is written below it. Raises ConfigError."""
    if rules:
        return tuple(_rule(text) for text in rules)
    read = questions.folder("Folder of the show, as Nuke names it", "/mnt/show", _folder)
    write = questions.folder("Folder that renders go to", f"{read.rstrip('/')}/renders", _folder)
    targets = (
        (read, f"gs://{questions.gcp.assets}", "read"),
        (write, f"gs://{questions.gcp.outputs}/renders", "write"),
    )
    return tuple(_path_rule(*target) for target in targets)


def _folder(text: str) -> str:
    """`text`, where it can begin a path rule. Raises ConfigError."""
    _path_rule(text, "gs://bucket", "read")
    return text


def _folders(text: str) -> tuple[str, ...]:
    """Folders as Linux lists them."""
    from gcp_deploy.cli.questions import names

    return names(text, ":")


def _rule(text: str) -> PathRule:
    prefix, _, rest = text.partition("=")
    target, _, mode = rest.partition("=")
    try:
        return _path_rule(prefix, target, mode or "read")
    except ConfigError as error:
        raise ConfigError(f"--path {text!r}: {error}; write it like /mnt/show=gs://show=write.") from None


def _path_rule(prefix: str, target: str, mode: str) -> PathRule:
    from pydantic import ValidationError

    from jit_render.model.pathmap import PathRule

    try:
        return PathRule.model_validate({"prefix": prefix, "target": target, "mode": mode})
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _old(text: str) -> GcpSettings:
    """What the file says of Google Cloud already. Raises ConfigError."""
    import tomllib

    from jit_render.model.settings import Layer, resolve

    try:
        return resolve([Layer("the settings file", {"gcp": tomllib.loads(text).get("gcp", {})})]).settings.gcp
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the settings file cannot be read: {error}; mend it first.") from None


def _default_project(old: str) -> str:
    import os

    return old or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
