"""What ``jit-deploy init`` asks for, and the settings file it makes of the answers.

The file is edited as text, table by table: what is in it for others stays to the letter, comments included. Only
``[gcp]`` is replaced as a whole; ``job.state`` is set where it is not, and path rules are added where there are none.
The result is read back and compared before it takes the old file's place.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gcp_deploy.accounts import own_account
from jit_render.cost import Prices
from jit_render.model.errors import ConfigError
from jit_render.model.pathmap import PathRule
from jit_render.model.settings import GcpSettings, Layer, resolve

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<name>[\w.\"'-]+)\s*\]\]?\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that goes into the file."""

    gcp: GcpSettings
    paths: tuple[PathRule, ...] = field(default=())


def default_settings(gcp: GcpSettings, project: str) -> GcpSettings:
    """`gcp` with names for what is not named yet, made from the project's."""
    names = {key: getattr(gcp, key) or name for key, name in _bucket_names(project).items()}
    return gcp.model_copy(update={"project": project, **names})


def completed(gcp: GcpSettings) -> GcpSettings:
    """`gcp` with the names of what ``up`` makes spelled out, so that the engine needs to guess nothing."""
    return gcp.model_copy(update={key: getattr(gcp, key) or name for key, name in _made_names(gcp).items()})


def undone(gcp: GcpSettings) -> GcpSettings:
    """`gcp` without the names that follow from its project, region and name: another project has others."""
    ours = {**_made_names(gcp), **_bucket_names(gcp.project)}
    return gcp.model_copy(update={key: "" for key, name in ours.items() if getattr(gcp, key) == name})


def _bucket_names(project: str) -> dict[str, str]:
    base = project.replace(":", "-").replace(".", "-")[:40]
    return {key: f"{base}-jit-{key}" for key in ("assets", "outputs", "state")}


def _made_names(gcp: GcpSettings) -> dict[str, str]:
    return {
        "network": gcp.name,
        "subnetwork": f"{gcp.name}-{gcp.region}",
        "account": own_account(gcp),
        "image": f"projects/{gcp.project}/global/images/family/{gcp.name}",
    }


def machine_rows(prices: Prices, ssds: int) -> list[tuple[str, ...]]:
    """One row a machine: name, CPUs, memory, USD an hour spot and on demand with local SSDs, local SSD, bandwidth."""
    rows: list[tuple[str, ...]] = []
    for name, row in prices.machines.items():
        built_in = f"{row.local_ssd_gib} GiB" if row.local_ssd_gib else ""
        added = f"{max(ssds, row.local_ssds_least) * 375} GiB" if row.takes_local_ssd and ssds else "none"
        speed = f"{row.network_gbps:.0f} Gb/s" if row.network_gbps else "?"
        spot, full = (f"{prices.hour(name, kind, ssds):.4f}" for kind in ("spot", "standard"))
        rows.append((name, str(row.vcpus), f"{row.memory_gib:.0f}", spot, full, built_in or added, speed))
    return rows


def has_gcp(text: str) -> bool:
    """Whether a settings file says anything of Google Cloud already."""
    return any(name == "gcp" for name, _ in _tables(text))


def written(text: str, answers: Answers) -> str:
    """The file `text` with the answers in it. Raises ConfigError where it could not be edited safely."""
    before = _parsed(text)
    tables = [(name, body) for name, body in _tables(text) if name != "gcp"]
    state = json.dumps(f"gs://{answers.gcp.state}")
    if "job" not in before:
        tables.append(("job", f"[job]\nstate = {state}\n"))
    elif before["job"].get("state") in {None, "", f"gs://{before.get('gcp', {}).get('state', '')}"}:
        tables = [(name, _with_state(body, state) if name == "job" else body) for name, body in tables]
    if not before.get("paths"):
        tables += [("paths", _spell_rule(rule)) for rule in answers.paths]
    tables.append(("gcp", _spell_gcp(answers.gcp)))
    result = _joined(tables)
    _compare(before, result)
    return result


def _joined(tables: list[tuple[str, str]]) -> str:
    parts = [body.strip("\n") for _, body in tables if body.strip()]
    return "\n\n".join(parts) + "\n"


def write(path: Path, text: str) -> None:
    """Replace the file as a whole, with its own permissions. Raises ConfigError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def _tables(text: str) -> list[tuple[str, str]]:
    """The file in pieces, each with the first part of its table's name; "" for what comes before any."""
    pieces: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines(keepends=True):
        match = _TABLE.match(line)
        if match is not None:
            above = pieces[-1][1]
            comments = len(above)
            while comments and above[comments - 1].lstrip()[:1] in {"", "#"}:
                comments -= 1  # what is said above a table is about that table
            pieces.append((match["name"].strip("\"'").partition(".")[0], above[comments:]))
            del above[comments:]
        pieces[-1][1].append(line)
    return [(name, "".join(lines)) for name, lines in pieces]


def _with_state(body: str, state: str) -> str:
    lines = [line for line in body.splitlines(keepends=True) if not re.match(r"^\s*state\s*=", line)]
    header = next(number for number, line in enumerate(lines) if _TABLE.match(line))
    lines[header] = lines[header].rstrip("\n") + "\n"
    return "".join([*lines[: header + 1], f"state = {state}\n", *lines[header + 1 :]])


def _spell_rule(rule: PathRule) -> str:
    prefixes = json.dumps(list(rule.prefix), ensure_ascii=False)
    target, mode = json.dumps(rule.target, ensure_ascii=False), json.dumps(rule.mode)
    return f"[[paths]]\nprefix = {prefixes}\ntarget = {target}\nmode = {mode}\n"


def _spell_gcp(gcp: GcpSettings) -> str:
    """Every key that differs from its default, and those that a reader looks for."""
    always = {"project", "region", "name", "machine", "local_ssds", "provisioning", "nodes", "budget"}
    standard = GcpSettings()
    lines = ["[gcp]"]
    for key, value in gcp.model_dump(mode="json").items():
        if key in always or value != standard.model_dump(mode="json")[key]:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the settings file cannot be read: {error}; mend it first.") from None


def _compare(before: dict[str, Any], result: str) -> None:
    """What belongs to others must say what it said. Raises ConfigError."""
    after = _parsed(result)
    for name, value in before.items():
        if name == "gcp":
            continue
        same = value == after.get(name) or (
            name == "job" and {**value, "state": ""} == {**after.get("job", {}), "state": ""}
        )
        if not same and value:
            raise ConfigError(f"[{name}] of the settings file cannot be kept as it is; write [gcp] into it by hand.")
    resolve([Layer("the new settings", {key: after[key] for key in ("gcp", "paths", "job") if key in after})])
