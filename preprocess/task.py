"""The images of one task: what must be made, in which order, and the three things that go on at once.

While the operations work on one image, the source of the next is on its way (one thread), and what is finished is
being encoded, uploaded and committed (a pool). Both are bounded, by number and by the memory plan, so a slow bucket
slows the work down instead of filling the memory.

Frames that look at their neighbours go camera by camera, so that each source is decoded once per task; without them it
is frame by frame, so that a frame is complete as early as it can be. An image that fails (its source is damaged, an
operation cannot work on it) fails by name and the others go on; what is wrong with the store or the machine ends the
task, and the farm tries it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jit_render.model.errors import GenerationGone, JitRenderError, ObjectNotFound, RenderError
from jit_render.model.frames import expand, has_view
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.job import CommitKey
from jit_render.store import Store
from preprocess.assets import Assets, Locate, asset_urls
from preprocess.chain import Chain
from preprocess.fetching import Fetcher
from preprocess.hands import Hands
from preprocess.listener import ImageKey, Listener, Written
from preprocess.made import find_made, input_of
from preprocess.memory import estimate
from preprocess.memory_file import MemoryFile
from preprocess.operations.port import Context
from preprocess.passes import Leaf, Tree, recipe
from preprocess.picture import Told, make_data, make_outputs
from preprocess.pipeline import Pipeline
from preprocess.publish import Place, Publisher
from preprocess.source import SourceFile

PENDING = 4  # files that wait to be encoded or uploaded
PUBLISHERS = 2

_OF_THE_IMAGE = (RenderError, ObjectNotFound, GenerationGone)
"""What is wrong with one image, and no reason to stop the others."""


@dataclass(frozen=True)
class Surroundings:
    """What a task works in."""

    store: Store
    publisher: Publisher
    pins: Mapping[ObjectUrl, ObjectInfo]
    """The version of each input; what is not here is not there."""
    locate: Locate
    assets: Assets
    budget_bytes: int
    band_rows: int | None = None
    """Rows of a band; None: as the memory plan says."""
    turns: Path | None = None
    """The lock of large frames (`turns.py`); None: nobody waits."""
    may_skip: bool = True
    """False: make what was made already, too."""


@dataclass
class Task:
    """Some frames of some cameras of one pipeline. `wanted` says which outputs lack a commit record."""

    pipeline: Pipeline
    around: Surroundings
    listener: Listener = field(default_factory=Listener)
    failures: dict[ImageKey, JitRenderError] = field(default_factory=dict)
    found: dict[ImageKey, dict[str, Any]] = field(default_factory=dict)
    """What operations before this pipeline's source have found out."""
    whole: Task | None = None
    """The task that this one is a stage of: it knows what outputs are made of."""
    tree: Tree = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(PENDING))
    _fatal: JitRenderError | None = None

    def __post_init__(self) -> None:
        self.tree = Tree.of(self.pipeline)

    def run(self, frames: Iterable[int], cameras: Iterable[str], wanted: Callable[[CommitKey], bool]) -> None:
        """Make all that is wanted. `failures` has what could not be; raises what no image is to blame for."""
        images = self.order(frames, cameras)
        with (
            Fetcher(self.around.store, keeps_last=not has_view(self.pipeline.source.file)) as fetcher,
            ThreadPoolExecutor(PUBLISHERS, "publish") as pool,
            Hands(fetcher, pool, self.around.budget_bytes, self.around.turns) as hands,
        ):
            for place, image in enumerate(images):
                if self._fatal is not None:
                    break
                later = images[place + 1 :]
                leaves = self._left(image, wanted)
                if leaves and image not in self.failures:
                    self._make(image, leaves, hands, later[:1])
                hands.leave(image, is_last=not any(one.camera == image.camera for one in later))
        if self._fatal is not None:
            raise self._fatal

    def order(self, frames: Iterable[int], cameras: Iterable[str]) -> list[ImageKey]:
        ascending, all_cameras = sorted(frames), list(cameras)
        if self.tree.radius:
            return [ImageKey(frame, camera) for camera in all_cameras for frame in ascending]
        return [ImageKey(frame, camera) for frame in ascending for camera in all_cameras]

    def source_url(self, frame: int, camera: str) -> ObjectUrl:
        return self.around.locate(expand(self.pipeline.source.file, frame, camera))

    def _left(self, image: ImageKey, wanted: Callable[[CommitKey], bool]) -> dict[Leaf, Place]:
        """The outputs that must be made, with their places; what was made before is committed here."""
        left = {}
        for leaf in self.tree.leaves:
            key = CommitKey(write=leaf.output.name, view=image.camera, frame=image.frame)
            if not wanted(key):
                continue
            place = self.place(leaf, image, key)
            made = None
            if self.around.may_skip:
                made = find_made(self.around.store, self.around.publisher.state, place.url, place.recipe, place.inputs)
            if made is None:
                left[leaf] = place
            else:
                self.around.publisher.adopt(place, made)
                self.listener.written(Written(image, place.url, made.output.size_bytes, 0.0, made_before=True))
        return left

    def place(self, leaf: Leaf, image: ImageKey, key: CommitKey) -> Place:
        """Where an output goes, and the recipe and inputs that it is made of."""
        url = self.around.locate(expand(leaf.output.file, image.frame, image.camera))
        if self.whole is not None:
            twin = next((one for one in self.whole.tree.leaves if one.output.name == leaf.output.name), None)
            return Place(url, key, "", (), is_final=False) if twin is None else self.whole.place(twin, image, key)
        radius = self.tree.radius_of(leaf.step)
        urls = [self.source_url(image.frame + offset, image.camera) for offset in range(-radius, radius + 1)]
        urls += asset_urls(self.tree.way_to(leaf.step), image.frame, image.camera, self.around.locate)
        pins = self.around.pins
        inputs = tuple(input_of(pins[one]) for one in dict.fromkeys(urls) if one in pins)
        return Place(url, key, recipe(self.pipeline, self.tree, leaf, image.camera), inputs)

    def _make(self, image: ImageKey, leaves: dict[Leaf, Place], hands: Hands, later: list[ImageKey]) -> None:
        began = time.monotonic()
        self.listener.begun(image)
        records = self.found.setdefault(image, {})
        try:
            hands.make_room(image.camera)
            chain = self._chain(image, hands)
            chain.make_context = self._contexts(image.camera, records, image.frame)
            hands.take_turn(image, self.listener.waits, keeps_window=bool(self.tree.radius))
            self._prefetch(image, chain, hands, later)

            def submit(leaf: Leaf, encode: Callable[[], MemoryFile]) -> None:
                self._slots.acquire()
                job = hands.pool.submit(self._publish, image, leaves[leaf], encode, began)
                job.add_done_callback(self._settle(image))
                hands.pending.append(job)

            make_outputs(chain, image.frame, leaves, submit)
            for leaf in leaves:
                if not leaf.output.is_image:
                    told = self._told(image)
                    file = make_data(chain, image.frame, leaf, told, records)
                    submit(leaf, lambda file=file: file)  # type: ignore[misc]
        except _OF_THE_IMAGE as error:
            self._fail(image, error)

    def _chain(self, image: ImageKey, hands: Hands) -> Chain:
        """The camera's chain, banded as its first frame asks for."""
        if image.camera not in hands.chains:
            hands.chains[image.camera] = Chain(
                self.tree,
                lambda frame: self._open(frame, image.camera, hands.fetcher),
                self._contexts(image.camera, {}, image.frame),
            )
        chain = hands.chains[image.camera]
        source = chain.source(image.frame)
        if source is None:
            url = self.source_url(image.frame, image.camera)
            raise ObjectNotFound(f"{image}: {url} was not in the bucket when the job was submitted.")
        around = self.around
        plan = estimate(self.tree, source.layout, source.stored_bytes, budget=around.budget_bytes, camera=image.camera)
        hands.planned[image.camera] = plan
        chain.band_rows = plan.band_rows if around.band_rows is None else around.band_rows
        return chain

    def _prefetch(self, image: ImageKey, chain: Chain, hands: Hands, later: list[ImageKey]) -> None:
        """Have the source of the next image fetched meanwhile, where the budget has room for it."""
        plan = hands.planned[image.camera]
        source = chain.source(image.frame)
        assert source is not None
        if plan.total + source.stored_bytes > self.around.budget_bytes:
            return
        radius = self.tree.radius
        for one in later:
            ahead = one.frame if one.camera != image.camera else one.frame + radius
            info = self.around.pins.get(self.source_url(ahead, one.camera))
            if info is not None:
                hands.fetcher.begin(info)

    def _open(self, frame: int, camera: str, fetcher: Fetcher) -> SourceFile | None:
        failed = self.failures.get(ImageKey(frame, camera))
        if failed is not None:  # a neighbour, in an earlier stage
            raise failed
        url = self.source_url(frame, camera)
        info = self.around.pins.get(url)
        if info is None:
            return None
        try:
            return SourceFile(fetcher.take(info), str(url), self.pipeline.source.channels_of(camera))
        except _OF_THE_IMAGE as error:
            raise type(error)(f"frame {frame}, camera {camera}: {error}") from None

    def _contexts(self, camera: str, records: dict[str, Any], frame: int) -> Callable[[int, int], Context]:
        """Contexts whose findings count for `frame` alone."""

        def make(place: int, one: int) -> Context:
            operation = self.tree.steps[place].operation

            def load(name: str) -> Any:
                return self.around.assets.load(operation, name, one, camera)

            kept = records if one == frame else {}
            return Context(frame=one, camera=camera, view=camera, load=load, records=kept)

        return make

    def _told(self, image: ImageKey) -> Told:
        whole = self.whole or self
        info = whole.around.pins[whole.source_url(image.frame, image.camera)]
        return Told(image.frame, image.camera, str(info.url), info.id.generation)

    def _publish(self, image: ImageKey, place: Place, encode: Callable[[], MemoryFile], began: float) -> None:
        with encode() as file:
            size = file.size_bytes
            self.around.publisher.publish(place, file, time.monotonic() - began)
        self.listener.written(Written(image, place.url, size, time.monotonic() - began, made_before=False))

    def _settle(self, image: ImageKey) -> Callable[[Future[None]], None]:
        def settle(done: Future[None]) -> None:
            self._slots.release()
            error = done.exception()
            if isinstance(error, _OF_THE_IMAGE):
                self._fail(image, error)
            elif isinstance(error, JitRenderError):
                self._fatal = self._fatal or error
            elif error is not None:
                self._fatal = self._fatal or RenderError(f"{image}: {type(error).__name__}: {error}")

        return settle

    def _fail(self, image: ImageKey, error: JitRenderError) -> None:
        with self._lock:
            is_first = image not in self.failures
            self.failures.setdefault(image, error)
        if is_first:
            self.listener.failed(image, error)
