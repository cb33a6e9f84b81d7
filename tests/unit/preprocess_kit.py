"""A sequence in a folder, a pipeline over it, and operations whose results are easy to foretell."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np

from jit_render.agent.attempts import AttemptKey
from jit_render.farm.pinning import index_of, pinned
from jit_render.farm.records import JobReader
from jit_render.farm.submit import Submitted, submit
from jit_render.model.clock import SystemClock
from jit_render.model.errors import JitRenderError
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import open_store
from preprocess.assets import Assets
from preprocess.counted import CountedStore
from preprocess.encode import Encoder, Storage
from preprocess.environment import Wishes
from preprocess.image import Image, Window
from preprocess.listener import ImageKey, Listener, Written
from preprocess.memory import DEFAULT_BUDGET
from preprocess.names import locate
from preprocess.operations.port import Context, Operation
from preprocess.pipeline import Pipeline
from preprocess.publish import Publisher
from preprocess.source import SourceFile, fetch
from preprocess.staged import run_staged
from preprocess.submission import Request, submission_of
from preprocess.task import Surroundings, Task


class Doubled(Operation):
    kind: ClassVar[str] = "doubled"
    tileable: ClassVar[bool] = True

    def apply(self, image: Image, context: Context) -> Image:
        return image.with_pixels(image.pixels * np.float32(2))


class Column(Operation):
    """Each pixel becomes the mean of itself, the one above and the one below; the picture's edge repeats."""

    kind: ClassVar[str] = "column"
    tileable: ClassVar[bool] = True

    @property
    def halo(self) -> int:
        return 1

    def apply(self, image: Image, context: Context) -> Image:
        padded = np.pad(image.pixels, ((1, 1), (0, 0), (0, 0)), mode="edge")
        return image.with_pixels((padded[:-2] + padded[1:-1] + padded[2:]) / np.float32(3))


class Around(Operation):
    """The mean of the frames there are, from one before to one after."""

    kind: ClassVar[str] = "around"
    tileable: ClassVar[bool] = True

    @property
    def reads(self) -> int:
        return 1

    def apply(self, image: Image, context: Context) -> Image:
        return image

    def apply_window(self, images, context: Context) -> Image:
        total = sum(images[offset].pixels for offset in sorted(images))
        return images[0].with_pixels(np.asarray(total / np.float32(len(images)), np.float32))


class Halved(Operation):
    """Every second pixel; a smaller picture that needs the whole one. Tells how bright it was."""

    kind: ClassVar[str] = "halved"

    def apply(self, image: Image, context: Context) -> Image:
        context.records[self.kind] = {"mean": float(image.pixels.mean())}
        small = np.ascontiguousarray(image.pixels[::2, ::2])
        window = Window(0, 0, small.shape[1], small.shape[0])
        return image.with_pixels(small, data_window=window, display_window=window)


class Shoot:
    """Cameras and frames of small noisy pictures, made once; every job over it has a folder of its own."""

    def __init__(self, root: Path, *, frames: int = 4, cameras: tuple[str, ...] = ("A001", "A002")) -> None:
        self.root = root
        self.url = f"file://{root}"
        self.frames = f"1001-{1000 + frames}"
        self.cameras = cameras
        self.settings = Settings.model_validate({"job": {"state": f"{self.url}/state"}})
        self.store = CountedStore(open_store(self.settings.store))
        self.clock = SystemClock()
        dice = np.random.default_rng(3)
        for camera in cameras:
            for frame in range(1001, 1001 + frames):
                self.put(camera, frame, dice.random((48, 37, 3)).astype(np.float32))

    def source(self, camera: str, frame: int) -> Path:
        return self.root / "raw" / camera / f"{camera}.{frame}.exr"

    def put(self, camera: str, frame: int, pixels: np.ndarray) -> None:
        path = self.source(camera, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.of(pixels, x=-3, y=5)
        encoder = Encoder("raw", Storage(".exr", "float", "zip"), image.data_window, image)
        encoder.write(image)
        with encoder.finish() as file:
            path.with_suffix(".new").write_bytes(file.read())
        path.with_suffix(".new").replace(path)

    def pipeline(self, *stages: tuple[Operation, ...], outputs: list[dict] | None = None) -> Pipeline:
        full = {"name": "full", "file": f"{self.url}/out/full/%V.####.exr", "type": "float"}
        return Pipeline.model_validate(
            {
                "name": "shoot",
                "source": {"file": f"{self.url}/raw/%V/%V.####.exr"},
                "stages": [{"name": f"s{number}", "operations": list(ops)} for number, ops in enumerate(stages, 1)],
                "outputs": [full] if outputs is None else outputs,
            }
        )

    def submit(self, pipeline: Pipeline, **wishes: bool) -> Submitted:
        data = repr(pipeline.canonical()).encode()
        request = Request(Path("shoot.toml"), self.frames, self.cameras, wishes=Wishes(**wishes))
        return submit(self.store, submission_of(self.settings, pipeline, data, request, self.clock), self.clock)

    def make(
        self,
        pipeline: Pipeline,
        *,
        band_rows: int | None = None,
        heard: Heard | None = None,
        turns: Path | None = None,
        budget_bytes: int = DEFAULT_BUDGET,
        **wishes: bool,
    ) -> Heard:
        """Run the whole job in this process, as its only task would."""
        home = self.submit(pipeline, **wishes).home
        reader = JobReader(self.store, home)
        spec = reader.spec()
        place = lambda name: locate(name, spec.path_map)  # noqa: E731
        found = pinned(reader, index_of(reader), spec.frame_set)
        pins = {info.url: info for infos in found.values() for info in infos}
        publisher = Publisher(self.store, AttemptKey(str(home), 0, 1), self.clock)
        around = Surroundings(
            self.store,
            publisher,
            pins,
            place,
            Assets(self.store, self.root / "assets", pins.__getitem__, place),
            budget_bytes,
            band_rows,
            turns,
            may_skip=not wishes.get("force", False),
        )
        keys = {key for frame in spec.frame_set for key in spec.commits(frame)}
        heard = heard or Heard()
        heard.reader, heard.publisher = reader, publisher
        left = keys - reader.committed_of(list(keys))
        if wishes.get("staged"):
            heard.failures = run_staged(pipeline, around, heard, frames=spec.frame_set, cameras=self.cameras, left=left)
        else:
            task = Task(pipeline, around, heard)
            task.run(spec.frame_set, self.cameras, left.__contains__)
            heard.failures = task.failures
        return heard

    def picture(self, place: str) -> Image:
        info = self.store.stat(ObjectUrl.parse(f"{self.url}/{place}"))
        with SourceFile(fetch(self.store, info), place) as source:
            return source.whole()

    def bytes_of(self, folder: str) -> dict[str, bytes]:
        below = self.root / folder
        return {
            str(path.relative_to(below)): path.read_bytes()
            for path in sorted(below.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }


@dataclasses.dataclass
class Heard(Listener):
    """What a task said."""

    reader: JobReader | None = None
    publisher: Publisher | None = None
    made: list[Written] = dataclasses.field(default_factory=list)
    failures: dict[ImageKey, JitRenderError] = dataclasses.field(default_factory=dict)

    def written(self, written: Written) -> None:
        self.made.append(written)

    @property
    def bytes_same(self) -> int:
        assert self.publisher is not None
        return self.publisher.bytes_same

    @property
    def new(self) -> list[str]:
        return sorted(one.url.name for one in self.made if not one.made_before and "/staged/" not in str(one.url))
