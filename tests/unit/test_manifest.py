"""The manifest: each object once, read back as it was, small, and in pieces."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jit_render.model.errors import JobError
from jit_render.model.identity import ObjectId, ObjectInfo, ObjectUrl
from jit_render.model.manifest import Manifest, PlannedNode, read_index, read_where
from jit_render.model.volume import read_volume, runs_of, spread

MEGABYTE = 1_000_000


def info(key: str, generation: str = "1", size: int = 10, crc32c: int | None = 7) -> ObjectInfo:
    return ObjectInfo(ObjectId(ObjectUrl("gs://show", key), generation), size, crc32c)


def tasks_of(frames: list[int], chunk: int = 8) -> list[list[int]]:
    return [frames[start : start + chunk] for start in range(0, len(frames), chunk)]


class ReadBack:
    """A manifest as a worker reads it."""

    def __init__(self, manifest: Manifest, tasks: list[list[int]]) -> None:
        self.encoded = manifest.encode(tasks)
        self.index = read_index(self.encoded.index, "index")
        self.where = read_where(self.encoded.parts[self.index.place("where")], "where")
        self.read: set[int] = set()

    def volume(self, number: int):
        self.read.add(number)
        return read_volume(number, self.encoded.parts[self.index.place(number)], "volume")

    def of_frame(self, frame: int) -> set[ObjectInfo]:
        volumes = [self.volume(number) for number in self.index.volumes_for([frame])]
        objects = {volume.start + at: one for volume in volumes for at, one in enumerate(volume.objects)}
        ranges = [found for volume in volumes for found in volume.frames.get(frame, ())]
        return {objects[number] for numbers in ranges for number in numbers}


keys = st.one_of(
    st.builds("plates/{}.{:04d}.exr".format, st.sampled_from(["bg", "fx.left", "a-b"]), st.integers(0, 12_000)),
    st.text("ab0129./-é", min_size=1, max_size=12).map(lambda text: "x" + text.replace("//", "/").strip("/.") + "y"),
)
infos = st.builds(
    info,
    keys,
    st.one_of(st.integers(0, 2**63).map(str), st.text("0a1-", min_size=1, max_size=6)),
    st.integers(0, 2**45),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(infos, max_size=40, unique_by=lambda one: one.url), st.randoms(use_true_random=False), st.integers(1, 9)
)
def test_every_frame_reads_back_exactly_its_objects(objects, rng, step):
    frames = list(range(-3, 300, step))
    needed = {frame: [at for at in range(len(objects)) if rng.random() < 0.3] for frame in frames}
    back = ReadBack(Manifest(objects, needed), tasks_of(frames, rng.randint(1, 50)))
    for frame in rng.sample(frames, 5):
        assert back.of_frame(frame) == {objects[at] for at in needed[frame]}
    for one in objects:
        assert any(one in back.volume(number).objects for number in back.where.volumes_of(one.url))
    stored = [one for number in range(len(back.index.parts) + 1) if back.index.place(number) in back.encoded.parts
              for one in back.volume(number).objects]  # fmt: skip
    assert sorted(map(repr, stored)) == sorted(map(repr, objects)), "each object stands there once"


@given(st.sets(st.integers(-50, 50)).map(sorted))
def test_runs_are_the_numbers_they_were_made_of(numbers):
    assert list(spread(runs_of(numbers))) == numbers


def shot(frames: list[int], sequences: int, stills: int) -> Manifest:
    """Plates uploaded one after the other, as a busy studio does; noise in the sizes, as compression makes it."""
    rng = random.Random(4)
    objects: list[ObjectInfo] = []
    needed: dict[int, list[int]] = {frame: [] for frame in frames}
    for sequence in range(sequences):
        generation = 1_700_000_000_000_000 + rng.randrange(10**12)
        for frame in frames:
            generation += rng.randrange(20_000, 900_000)
            needed[frame].append(len(objects))
            key = f"sh010/plates/el{sequence:03}/v003/el{sequence:03}_v003.{frame:04d}.exr"
            size = int(9_000_000 * rng.gauss(1, 0.02))
            objects.append(info(key, str(generation), size, rng.getrandbits(32)))
    for still in range(stills):
        for frame in frames:
            needed[frame].append(len(objects))
        objects.append(
            info(f"assets/tex.{still}.tx", str(rng.getrandbits(50)), rng.getrandbits(26), rng.getrandbits(32))
        )
    return Manifest(objects, needed)


def test_ten_thousand_frames_of_two_hundred_files_stay_under_20_megabytes():
    frames = list(range(1001, 1501))
    encoded = shot(frames, sequences=180, stills=20).encode(tasks_of(frames))
    assert encoded.size_bytes * (10_000 / len(frames)) < 20 * MEGABYTE, "the frames' own share grows with the frames"


def test_a_task_reads_its_own_part_and_what_is_shared_and_nothing_else():
    frames = list(range(1001, 2001))
    back = ReadBack(shot(frames, sequences=3, stills=5), tasks_of(frames))
    assert len(back.of_frame(1500)) == 8
    assert len(back.read) == 2
    assert len(back.index.parts) == 16


def test_a_clip_echoed_by_a_few_parts_is_read_from_the_part_that_has_it_first():
    frames = list(range(1, 1001))
    objects = [info(f"p.{frame:04d}.exr", str(frame)) for frame in frames]
    needed = {frame: [frame - 1, max(0, frame - 101)] for frame in frames}
    back = ReadBack(Manifest(objects, needed), tasks_of(frames))
    assert {one.url.name for one in back.of_frame(700)} == {"p.0700.exr", "p.0600.exr"}
    assert 1 < len(back.read) <= 4
    assert back.index.place(0) not in back.encoded.parts or len(back.volume(0).objects) < 10


def test_the_nodes_come_along_and_a_damaged_manifest_is_named():
    encoded = Manifest([info("a.exr")], {1: [0]}, (PlannedNode("Read1", "file", "gs://show/a.exr", "black"),)).encode(
        [[1]]
    )
    assert read_index(encoded.index, "i").nodes == (PlannedNode("Read1", "file", "gs://show/a.exr", "black"),)
    newer = json.dumps({**json.loads(encoded.index), "schema_version": 2}).encode()
    for data in (b"", b"{}", b"[1]", newer):
        with pytest.raises(JobError, match=r"gs://j/inputs.json cannot be read"):
            read_index(data, "gs://j/inputs.json")
    with pytest.raises(JobError, match="cannot be read"):
        read_volume(1, b"\x1f\x8bnothing", "volume")
