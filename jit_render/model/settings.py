"""Settings: their names, types, defaults and where each value came from. Reading files is the command's job.

Layers, strongest first: flags, environment (``JIT_RENDER_<SECTION>_<KEY>``), project file
(``jit-render.toml`` found upward from the working folder, or ``JIT_RENDER_CONFIG``), user file, default.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jit_render.model.errors import ConfigError
from jit_render.model.pathmap import PathRule

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*$", re.IGNORECASE)
_EXPONENT = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(value: object) -> object:
    """Bytes from ``200G``, ``1.5TiB``, ``4096``; units are powers of 1024. Raises ValueError."""
    if not isinstance(value, str):
        return value
    match = _SIZE.match(value)
    if match is None:
        raise ValueError(f"{value!r} is no size; write it like 200G or 512M")
    return int(float(match[1]) * 1024 ** _EXPONENT[match[2].upper()])


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobSettings(_Section):
    state: str = ""
    """URL of the folder that holds the jobs' records."""
    show: str = ""
    chunk: int = Field(default=8, ge=1)


class CacheSettings(_Section):
    root: str = "~/.cache/jit-render"
    limit: Size = 200 * 1024**3
    free_space: Size = 1024**3
    """Bytes of the disk that are left free."""
    fetchers: int = Field(default=8, ge=1, le=256)
    """Objects that are fetched at a time; eight small ones (256 KiB) count as one."""
    lookahead: int = Field(default=4, ge=0)
    """Frames whose planned inputs are fetched ahead; 0: none."""
    uploaders: int = Field(default=4, ge=1, le=256)
    spool_limit: Size = 50 * 1024**3
    verify_rate: Size = 16 * 1024**2
    """Bytes per second that an idle agent re-reads against their checksums; 0: none."""


class IngestSettings(_Section):
    uploaders: int = Field(default=8, ge=1, le=256)
    """Files that are read and uploaded at once."""
    hashes: str = "~/.cache/jit-render/hashes"
    """Folder that remembers the checksums of files on this disk; private, one per machine in it."""
    hashes_limit: Size = 256 * 1024**2


class RenderSettings(_Section):
    renderer: Literal["nuke", "standin"] = "nuke"
    nuke: str = ""
    """Nuke's executable or version (``15.1``); empty: the newest installed."""
    threads: int = Field(default=0, ge=0)
    memory: Size = 0
    gizmo_path: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)


class FarmSettings(_Section):
    workers: int = Field(default=2, ge=1)
    grace: float = Field(default=30.0, ge=0)
    """Seconds between a preemption notice and the end."""
    heartbeat: float = Field(default=10.0, gt=0)
    licence_wait: float = Field(default=3830.0, ge=0)
    """Seconds that a node of a service waits for a free licence before the service may try another node."""
    hang_limit: float = Field(default=4500.0, ge=0)
    """Seconds for which a renderer may do and say nothing (a callback may wait an hour for bytes); 0: for ever."""
    frame_limit: float = Field(default=0.0, ge=0)
    """Seconds that one frame may take; 0: as long as it takes."""


class GcpSettings(_Section):
    """A studio's place on Google Cloud; ``jit-deploy init`` writes it."""

    project: str = ""
    region: str = "us-central1"
    zones: tuple[str, ...] = ()
    """Empty: every zone of the region."""
    name: str = "jit-render"
    """Names what ``jit-deploy up`` makes, and is the value of its label ``jit-render``."""
    assets: str = ""
    """Bucket that is read."""
    outputs: str = ""
    """Bucket that is written."""
    state: str = ""
    """Bucket of the jobs' records and of scratch."""
    machine: str = "n2d-standard-8"
    local_ssds: int = Field(default=1, ge=0, le=24)
    """Disks of 375 GiB, striped, that hold the cache."""
    provisioning: Literal["spot", "standard"] = "spot"
    fallback: Literal["none", "on-demand"] = "none"
    """What renders the frames that are left once the preemption retries are spent."""
    retries: int = Field(default=10, ge=0, le=10)
    """How often Batch itself tries a task again, on the same kind of machine, before a round is over."""
    nodes: int = Field(default=20, ge=1, le=4000)
    """Most nodes of one job at once."""
    budget: float = Field(default=0.0, ge=0)
    """USD that one job may cost; 0: no limit."""
    notice: int = Field(default=120, ge=0, le=120)
    """Seconds between a Spot VM's notice and its end (an instance template's preemptionNoticeDuration)."""
    idle: float = Field(default=15.0, ge=0)
    """Minutes without work after which a node outside Batch turns itself off; 0: never."""
    network: str = ""
    subnetwork: str = ""
    account: str = ""
    """E-mail of the nodes' service account; empty: one of our own, made by ``jit-deploy up``."""
    submitters: tuple[str, ...] = ()
    """Who may submit, as IAM spells it: ``user:ann@studio.example``, ``group:lighting@studio.example``."""
    image: str = ""
    nuke: str = ""
    """URL of the studio's own Nuke archive."""
    node_nuke: str = ""
    """``render.nuke`` on nodes: executable or version; empty: what the job was submitted with."""
    node_gizmo_path: tuple[str, ...] = ()
    """``render.gizmo_path`` on nodes: folders of the image."""
    licence: str = ""
    """``port@host`` of the licence server."""
    endpoint: str = ""
    """``host:port`` of another Batch service, without TLS, for tests."""
    compute_endpoint: str = ""
    """URL that answers for Compute, IAM and the other services of ``jit-deploy``, for tests."""


class StoreSettings(_Section):
    endpoint: str = ""
    """Another GCS endpoint; ``STORAGE_EMULATOR_HOST`` is honoured too."""
    project: str = ""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds without a byte before a request is tried again."""
    deadline: float = Field(default=300.0, gt=0)
    """Seconds after which retrying one request ends."""


class Settings(_Section):
    """Everything that can be configured."""

    job: JobSettings = JobSettings()
    paths: tuple[PathRule, ...] = ()
    cache: CacheSettings = CacheSettings()
    ingest: IngestSettings = IngestSettings()
    render: RenderSettings = RenderSettings()
    farm: FarmSettings = FarmSettings()
    store: StoreSettings = StoreSettings()
    gcp: GcpSettings = GcpSettings()


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place, e.g. ``jit-render.toml`` or ``environment``, nested as the sections are."""

    origin: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings and, per dotted key, the origin of its value."""

    settings: Settings
    origins: Mapping[str, str]


def resolve(layers: Iterable[Layer]) -> Resolved:
    """Merge `layers`, strongest first. Raises ConfigError naming key, origin and a suggestion."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in reversed(list(layers)):
        for section, values in layer.values.items():
            _check_section(section, layer.origin)
            if isinstance(values, Mapping):
                for key, value in values.items():
                    _check_key(section, key, layer.origin)
                    merged.setdefault(section, {})[key] = value
                    origins[f"{section}.{key}"] = layer.origin
            else:
                merged[section] = values
                origins[section] = layer.origin
    try:
        return Resolved(Settings.model_validate(merged), origins)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        origin = origins.get(".".join(str(part) for part in first["loc"][:2])) or origins.get(
            str(first["loc"][0]), "settings"
        )
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{origin}: {where}: {message}.") from None


def _check_section(section: str, origin: str) -> None:
    if section not in Settings.model_fields:
        raise ConfigError(f"{origin}: unknown section {section!r}{_suggest(section, Settings)}")


def _check_key(section: str, key: str, origin: str) -> None:
    kind = Settings.model_fields[section].annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise ConfigError(f"{origin}: {section!r} is a list; write it as [[{section}]].")
    if key not in kind.model_fields:
        raise ConfigError(f"{origin}: unknown key {section}.{key}{_suggest(key, kind)}")


def _suggest(word: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(word, model.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(model.model_fields)}."
