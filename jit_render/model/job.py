"""A job's specification and records, as they stand in the bucket.

Layout under ``<state>/jobs/<job id>/`` (see `JobPaths`); JSON, UTF-8, one object each::

    job.json                               JobSpec, created once
    inputs.json, inputs/<digest>/…         the pinned inputs (`model.manifest`), created before it
    script/<name>                          the script as submitted
    frames/<write>/<view>/<frame>.json     CommitRecord, created once: the first attempt wins
    attempts/<task>/<n>.json               AttemptRecord, rewritten by its own worker only
    logs/<task>/<n>.log                    the renderer's output
    cancelled.json                         present once somebody cancelled the job
    budget.json                            BudgetRecord: what the job may cost, rewritten by whoever raises it
    held.json                              HoldRecord, present once the job had cost as much as that
    estimate.json                          EstimateRecord: what was expected when it was submitted
    engine.json                            which engine runs it; absent: the local one
    rounds/<n>.json                        RoundRecord (`model.rounds`): what a service was asked to run

Unknown fields are kept out (an older reader refuses a newer record by `schema_version`, by name).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jit_render.model.frames import FrameSet
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import PathMap


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FailureClass(StrEnum):
    """Why an attempt ended without finishing its frames; each has a budget of its own."""

    PREEMPTED = "preempted"
    LICENCE = "licence"
    MISSING_INPUT = "missing_input"
    OUT_OF_MEMORY = "out_of_memory"
    NODE = "node"
    """The machine, the agent, the network or the store: not the shot's fault."""
    RENDER_ERROR = "render_error"
    CANCELLED = "cancelled"


class WriteTarget(_Record):
    """One Write node of the job: its full name, its file pattern as the script says it, its views."""

    name: str
    file: str
    views: tuple[str, ...] = ("main",)
    per_frame: bool = True
    """False for a movie: one file holds all frames, so one task renders them all."""
    limit: tuple[int, int] | None = None
    """First and last frame that the Write allows itself (``use_limit``); None: every frame."""

    def covers(self, frame: int) -> bool:
        """True where the Write writes `frame`."""
        return self.limit is None or self.limit[0] <= frame <= self.limit[1]


class Budgets(_Record):
    """How often a task may be tried again, by class of failure."""

    preempted: int = 100
    licence: int = 20
    node: int = 5
    out_of_memory: int = 2
    render_error: int = 1
    missing_input: int = 0
    cancelled: int = 0

    def of(self, failure: FailureClass) -> int:
        return int(getattr(self, failure.value))


class JobSpec(_Record):
    """What a job is; immutable once submitted."""

    schema_version: Literal[1] = 1
    id: str
    shot: str
    show: str = ""
    user: str = ""
    created: float
    script_name: str
    script_source: str
    """Where the script came from on the artist's machine; Root's name for relative paths."""
    script_sha256: str
    fingerprint: str
    """Equal for jobs whose same frame has the same pixels, given the same inputs."""
    frames: str
    """Canonical frame set."""
    writes: tuple[WriteTarget, ...]
    chunk: int = Field(default=8, ge=1)
    renderer: Literal["nuke", "standin", "preprocess"] = "nuke"
    """``preprocess``: the script is a pipeline, its outputs are the Writes, its cameras their views."""
    renderer_version: str = ""
    path_map: PathMap
    environment: dict[str, str] = Field(default_factory=dict)
    proxy: bool = False
    allow_missing: bool = False
    latest: bool = False
    """Follow overwrites instead of reading one version for the whole job."""
    inputs: str = ""
    """The object beside this one that says which version of each planned input is read by which frame (``inputs.json``
    unless an interrupted submission has left another one); empty: the job was submitted without a plan."""
    inputs_missing: int = 0
    """Planned inputs that the bucket lacked when the job was submitted all the same (``allow_missing``)."""
    budgets: Budgets = Budgets()

    @property
    def frame_set(self) -> FrameSet:
        return FrameSet.parse(self.frames)

    def tasks(self) -> list[tuple[int, ...]]:
        """The frames of each task, in order. A movie is one task."""
        frames = tuple(self.frame_set)
        step = self.chunk if all(write.per_frame for write in self.writes) else len(frames)
        return [frames[start : start + step] for start in range(0, len(frames), step)]

    def commits(self, frame: int) -> list[CommitKey]:
        """Everything that must be committed before `frame` is done."""
        covering = [write for write in self.writes if write.covers(frame)]
        return [CommitKey(write=write.name, view=view, frame=frame) for write in covering for view in write.views]


class CommitKey(_Record):
    """What a commit record is about."""

    write: str
    view: str
    frame: int


class OutputRecord(_Record):
    """One verified object in the bucket."""

    url: str
    generation: str
    size_bytes: int
    crc32c: int


class InputRecord(_Record):
    """One version of one input that was read for a frame."""

    url: str
    generation: str
    """``0``: the bucket had none when the frame asked for it. Empty: the version that was read is in no bucket."""


class CommitRecord(_Record):
    """The frame is done: these outputs, from these inputs, by this attempt."""

    schema_version: Literal[1] = 1
    write: str
    view: str
    frame: int
    outputs: tuple[OutputRecord, ...]
    inputs: tuple[InputRecord, ...] = ()
    task: int
    attempt: int
    host: str = ""
    render_seconds: float = 0.0
    committed: float
    adopted_from: str = ""
    """The earlier job whose frame this is, when nothing that it depends on has changed."""


class Spent(_Record):
    """What an attempt used, by kind."""

    start_seconds: float = 0.0
    render_seconds: float = 0.0
    fetch_wait_seconds: float = 0.0
    upload_wait_seconds: float = 0.0
    bytes_fetched: int = 0
    bytes_from_cache: int = 0
    bytes_uploaded: int = 0
    bytes_same: int = 0
    """Of outputs that came out as what the bucket held: they were made, and not sent again."""
    hits: int = 0
    misses: int = 0
    unplanned: int = 0
    """Inputs of frames that the job's plan does not hold."""
    prefetch_useful: int = 0
    """Objects that were fetched before a frame asked for them,"""
    prefetch_late: int = 0
    """that were still on their way when it did,"""
    prefetch_wasted: int = 0
    """and that no frame asked for."""
    peak_memory_bytes: int = 0
    """The most that the renderer held."""
    cpu_seconds: float = 0.0


class AttemptRecord(_Record):
    """One try at one task. Without `ended`, `heartbeat` says when it was last alive, by the clock of its own node."""

    schema_version: Literal[1] = 1
    task: int
    attempt: int
    host: str
    pid: int
    started: float
    heartbeat: float
    heartbeat_seconds: float = 10.0
    """How often the heartbeat is meant to come."""
    ended: float | None = None
    state: Literal["running", "done", "failed"] = "running"
    failure: FailureClass | None = None
    message: str = ""
    exit_code: int | None = None
    frames_asked: str = ""
    frames_done: str = ""
    frame_in_hand: int | None = None
    """The frame being rendered now, or when the attempt ended."""
    frames_lost: int = 0
    """Frames begun and not committed when the attempt ended: at most the one in hand per preemption."""
    spent: Spent = Spent()
    machine: str = ""
    """Its machine type, where the node was told; it says what the attempt cost."""
    provisioning: Literal["", "spot", "standard"] = ""
    booted: float | None = None
    """When the machine began to be paid for, where the node was told."""
    seen: float | None = Field(default=None, exclude=True)
    """No part of the record: when its object was last written, by the store's own clock."""


class BudgetRecord(_Record):
    """What a job may cost, and what an hour of a node is reckoned at, so that every worker counts alike."""

    schema_version: Literal[1] = 1
    usd: float = Field(gt=0, allow_inf_nan=False)
    machine: str
    provisioning: Literal["spot", "standard"]
    spot_hour: float = Field(ge=0)
    standard_hour: float = Field(ge=0)
    """USD an hour of one node, with its disks."""


class HoldRecord(_Record):
    """The job had cost `spent_usd` of `budget_usd`; it stands still until its budget is larger than that."""

    schema_version: Literal[1] = 1
    budget_usd: float
    spent_usd: float
    at: float


class RangeRecord(_Record):
    """An expectation, and what it lies between."""

    low: float
    mid: float
    high: float


class EstimateRecord(_Record):
    """What a job was expected to take and to cost."""

    schema_version: Literal[1] = 1
    machine: str
    provisioning: Literal["spot", "standard"]
    nodes: int
    frames: int
    hours: RangeRecord
    """From the first node's start to the last one's end."""
    node_hours: RangeRecord
    usd: RangeRecord
    basis: str
    """What it was reckoned from, in words."""


@dataclass(frozen=True, slots=True)
class JobPaths:
    """Where each record of a job lies. ``home`` is ``<state>/jobs/<job id>``."""

    home: ObjectUrl

    @classmethod
    def of(cls, state: ObjectUrl, job_id: str) -> JobPaths:
        return cls(state / "jobs" / job_id)

    @property
    def job_id(self) -> str:
        return self.home.name

    @property
    def spec(self) -> ObjectUrl:
        return self.home / "job.json"

    @property
    def inputs(self) -> ObjectUrl:
        return self.home / "inputs.json"

    @property
    def cancelled(self) -> ObjectUrl:
        return self.home / "cancelled.json"

    @property
    def engine(self) -> ObjectUrl:
        return self.home / "engine.json"

    @property
    def rounds(self) -> ObjectUrl:
        return self.home / "rounds"

    def round(self, number: int) -> ObjectUrl:
        return self.rounds / f"{number}.json"

    @property
    def budget(self) -> ObjectUrl:
        return self.home / "budget.json"

    @property
    def held(self) -> ObjectUrl:
        return self.home / "held.json"

    @property
    def estimate(self) -> ObjectUrl:
        return self.home / "estimate.json"

    @property
    def frames(self) -> ObjectUrl:
        return self.home / "frames"

    @property
    def attempts(self) -> ObjectUrl:
        return self.home / "attempts"

    def script(self, name: str) -> ObjectUrl:
        return self.home / "script" / name

    def commit(self, key: CommitKey) -> ObjectUrl:
        return self.frames / key.write / key.view / f"{key.frame}.json"

    def attempt(self, task: int, number: int) -> ObjectUrl:
        return self.attempts / str(task) / f"{number}.json"

    def log(self, task: int, number: int) -> ObjectUrl:
        return self.home / "logs" / str(task) / f"{number}.log"

    def thumbnail(self, key: CommitKey) -> ObjectUrl:
        return self.home / "thumbs" / key.write / key.view / f"{key.frame}.png"
