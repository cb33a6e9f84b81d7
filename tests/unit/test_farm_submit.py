"""Submission: everything wrong is said before anything is stored; ids, fingerprints, races."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_render.farm.pinning import index_of, pinned
from jit_render.farm.records import JobReader, concurrently, list_jobs
from jit_render.farm.submit import ID_LIMIT, Options, Submission, job_id, prepare, submit
from jit_render.model.errors import (
    BadFrameRange,
    HostilePath,
    JitRenderError,
    JobError,
    MissingInput,
    ScriptError,
    UnmappedPath,
    UsageError,
)
from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import Settings
from jit_render.store import open_store
from jit_render.testing.fake_clock import FakeClock

WRITE = "Write {{\n inputs 0\n file {file}\n name {name}\n{more}}}\n"


def write(file: str = "/show/renders/out.####.exr", name: str = "Write1", more: str = "") -> str:
    return WRITE.format(file=file, name=name, more=more)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "job": {"state": f"file://{tmp_path}/bucket/state", "show": "nova"},
            "paths": [
                {"prefix": "/show/renders", "target": f"file://{tmp_path}/bucket/renders", "mode": "write"},
                {"prefix": "/show", "target": f"file://{tmp_path}/bucket/assets"},
            ],
        }
    )


@pytest.fixture
def prepared(settings, tmp_path):
    def prepare_text(text: str, *, frames="1-4", name="sh010.nk", writes=(), views=(), **options) -> Submission:
        path = tmp_path / name
        path.write_text(text)
        return prepare(
            settings, path, frames=frames, clock=FakeClock(), writes=writes, views=views, options=Options(**options)
        )

    return prepare_text


@pytest.fixture
def store(settings):
    opened = open_store(settings.store)
    yield opened
    opened.close()


def test_a_submission_holds_what_the_script_says(prepared):
    spec = prepared(write()).spec
    assert (spec.shot, spec.show, spec.frames, spec.chunk) == ("sh010", "nova", "1-4", 8)
    (target,) = spec.writes
    assert (target.name, target.file, target.views, target.per_frame) == (
        "Write1",
        "/show/renders/out.####.exr",
        ("main",),
        True,
    )
    assert re.fullmatch(r"sh010-[0-9a-f]{8}", spec.id)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", ScriptError, "no Nuke script"),
        ("Constant {\n inputs 0\n}\n", UsageError, "has no Write node"),
        (write(more=" disable true\n"), UsageError, "all 1 Write nodes are disabled"),
        (write(file="{}"), UsageError, r"Write1.file is empty"),
        (write(file="out.####.exr"), UsageError, "is relative and the script has no project directory"),
        (write(file="/elsewhere/out.####.exr"), UnmappedPath, "Write1.file: .*under no mapped prefix"),
        (write(file="/show/plates/out.####.exr"), UsageError, "mapped for reading only"),
        (write(file="/show/renders/../../etc/out.####.exr"), HostilePath, "Write1.file: "),
        (write(file="/show/renders/out.exr"), UsageError, "has no frame number"),
        (write() + write(name="Write2"), UsageError, "Write1 and Write2 both write"),
        (write() + write("/show/comp/../renders/out.####.exr", "Write2"), UsageError, "Write1 and Write2 both write"),
        (write(more=" views {[python {my_views()}]}\n"), UsageError, "Write1.views cannot be told"),
        ('Write {\n file "/show', ScriptError, r"sh010\.nk"),
        (write(more=" use_limit true\n first 100\n last 200\n"), UsageError, "outside every Write's own limit"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_script_is_said(prepared, text, error, words):
    with pytest.raises(error, match=words) as caught:
        prepared(text)
    assert "\n" not in str(caught.value)


def test_a_script_that_is_not_there_or_no_script_is_named(settings, tmp_path):
    for path, words in [
        (tmp_path / "missing.nk", "No such file"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(ScriptError, match=words):
            prepare(settings, path, frames="1", clock=FakeClock())


@pytest.mark.parametrize("frames", ["", "ten", "1-10:2"])
def test_a_bad_frame_range_is_refused(prepared, frames):
    with pytest.raises(BadFrameRange):
        prepared(write(), frames=frames)


def test_without_a_place_for_records_nothing_goes(settings, tmp_path):
    bare = settings.model_copy(update={"job": settings.job.model_copy(update={"state": ""})})
    with pytest.raises(JobError, match="no place for the jobs' records"):
        prepare(bare, tmp_path / "x.nk", frames="1", clock=FakeClock())


def test_chosen_writes_are_found_by_name_and_near_names_are_told(prepared):
    text = write() + write("/show/renders/b.####.exr", "Beauty") + write("/x", "Off", " disable true\n")
    assert [target.name for target in prepared(text).spec.writes] == ["Write1", "Beauty"]
    assert [target.name for target in prepared(text, writes=["Beauty"]).spec.writes] == ["Beauty"]
    with pytest.raises(UsageError, match=r"no Write node 'Beuty'; did you mean 'Beauty'\?"):
        prepared(text, writes=["Beuty"])
    with pytest.raises(UsageError, match="Off is disabled"):
        prepared(text, writes=["Off"])


def test_writes_in_groups_have_full_names_and_a_disabled_group_hides_them(prepared):
    group = "Group {\n inputs 0\n name Group1\n%s}\n" + write() + "end_group\n"
    assert [target.name for target in prepared(group % "").spec.writes] == ["Group1.Write1"]
    with pytest.raises(UsageError, match="are disabled"):
        prepared(group % " disable true\n")


def test_views_are_the_writes_own_restricted_to_those_asked_for(prepared):
    root = 'Root {\n views "left #ff0000\nright #00ff00"\n}\n'
    text = root + write("/show/renders/%V/out.####.exr")
    assert prepared(text).spec.writes[0].views == ("left", "right")
    assert prepared(text, views=["right"]).spec.writes[0].views == ("right",)
    only_left = root + write("/show/renders/%V/out.####.exr", more=" views left\n")
    assert prepared(only_left).spec.writes[0].views == ("left",)
    for said in ('"\\[value root.label]"', "{default {left right} right left}", "{{left} {}}", '"left gone"'):
        label = root.replace("views", "label left\n views")
        spec = prepared(label + write("/show/renders/%V/out.####.exr", more=f" views {said}\n")).spec
        assert spec.writes[0].views == (("left", "right") if "default" in said else ("left",)), said
    with pytest.raises(UsageError, match="no view 'middle'; it has left, right"):
        prepared(text, views=["middle"])
    with pytest.raises(UsageError, match="renders any of the views right"):
        prepared(only_left, views=["right"])


def test_a_frame_that_an_expression_puts_into_the_name_needs_no_placeholder(prepared):
    (target,) = prepared(write('"/show/renders/out.\\[format %04d \\[frame]].exr"')).spec.writes
    assert target.per_frame
    assert "[frame]" in target.file
    assert prepared(write("/show/renders/still.exr"), frames="7").spec.writes[0].file == "/show/renders/still.exr"


def test_a_movie_is_one_task_and_needs_no_frame_number(prepared):
    spec = prepared(write("/show/renders/out.mov"), frames="1-20").spec
    assert not spec.writes[0].per_frame
    assert spec.tasks() == [tuple(range(1, 21))]


def test_a_limit_leaves_frames_out_and_says_so(prepared):
    submission = prepared(write(more=" use_limit true\n first 3\n last 10\n"), frames="1-4")
    assert submission.spec.frames == "3-4"
    assert submission.notes == ("2 frames are outside every Write's limit: left out.",)


def test_a_name_that_only_nuke_can_tell_is_left_to_the_render(prepared):
    submission = prepared(write("{[python {make_name()}]}"))
    assert "is checked when it renders" in submission.notes[0]


def test_the_fingerprint_is_of_what_makes_the_pixels(prepared):
    base = prepared(write()).spec.fingerprint
    assert prepared(write(), frames="1-100", chunk=3, show="x").spec.fingerprint == base
    assert prepared(write() + "# a comment\n").spec.fingerprint != base
    assert prepared(write(), proxy=True).spec.fingerprint != base
    assert prepared(write(), environment={"LUT": "b"}).spec.fingerprint != base
    assert prepared(write(), renderer="standin").spec.fingerprint != base


@given(st.text(max_size=200), st.integers(1, 9999))
def test_every_shot_name_makes_a_legal_id(shot, number):
    made = job_id(shot, "0123456789abcdef", number)
    assert re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", made)
    assert len(made) <= ID_LIMIT


def test_submitting_stores_the_script_and_the_spec_and_lists_the_job(prepared, store):
    submission = prepared(write())
    submitted = submit(store, submission, FakeClock())
    reader = JobReader(store, submitted.home)
    assert reader.spec() == submitted.spec
    assert store.read(reader.paths.script("sh010.nk"))[0] == submission.script
    assert [job.id for job in list_jobs(store, submission.state)] == [submitted.spec.id]
    assert submitted.message == f"job {submitted.spec.id}: 4 frames, 1 to 4 (1-4)."


def test_a_submission_that_was_cut_short_is_finished_by_the_next(prepared, store):
    submission = prepared(write())
    submitted = submit(store, submission, FakeClock())
    store.delete(ObjectUrl.parse(f"{submitted.home}/job.json"))
    again = submit(store, submission, FakeClock())
    assert (again.action, again.home) == ("new", submitted.home)


def test_an_unfinished_job_goes_on_and_other_frames_make_another(prepared, store):
    first = submit(store, prepared(write()), FakeClock())
    assert submit(store, prepared(write()), FakeClock()).action == "resumed"
    other = submit(store, prepared(write(), frames="1-5"), FakeClock())
    assert (other.action, other.spec.id) == ("new", f"{first.spec.id}-2")


def test_many_submissions_at_once_make_one_job(prepared, store):
    submission = prepared(write())
    results = concurrently(lambda _: submit(store, submission, FakeClock()), range(8))
    assert len({result.home for result in results}) == 1
    assert sorted(result.action for result in results).count("new") == 1


@pytest.mark.parametrize("name", ["sh 010 (copy).nk", "šotů.nk", "-x.nk", "a" * 200 + ".nk", '\'quoted "name".nk'])
def test_scripts_with_strange_names_can_be_submitted(prepared, store, name):
    submitted = submit(store, prepared(write(), name=name), FakeClock())
    assert JobReader(store, submitted.home).spec().script_name == name


def test_a_script_with_a_line_break_in_its_name_is_refused(prepared):
    with pytest.raises(JitRenderError, match="control character"):
        prepared(write(), name="a\nb.nk")


READ = "Read {\n inputs 0\n file /show/plates/p.####.exr\n name Read1\n}\n"


@pytest.fixture
def plates(tmp_path):
    folder = tmp_path / "bucket" / "assets" / "plates"
    folder.mkdir(parents=True)
    for frame in range(1, 5):
        (folder / f"p.{frame:04d}.exr").write_bytes(b"plate %d" % frame)
    return folder


def connected(more: str = "") -> str:
    return READ + write(more=more).replace("inputs 0\n", "")


def test_a_job_pins_what_its_frames_read_before_it_exists(prepared, store, plates):
    submitted = submit(store, prepared(connected()), FakeClock())
    reader = JobReader(store, submitted.home)
    found = pinned(reader, index_of(reader), [2, 3])
    assert submitted.spec.inputs == "inputs.json"
    assert {frame: [info.url.name for info in infos] for frame, infos in found.items()} == {
        2: ["p.0002.exr"],
        3: ["p.0003.exr"],
    }
    live = store.stat(next(iter(found[2])).url)
    assert {(info.id, info.size_bytes) for info in found[2]} == {(live.id, 7)}


def test_a_missing_input_stops_a_submit_before_anything_is_stored(prepared, store, plates):
    (plates / "p.0003.exr").unlink()
    submission = prepared(connected())
    with pytest.raises(MissingInput, match=r"1 input is not in the bucket: frame 3: .*p\.0003\.exr \(Read1\.file\)"):
        submit(store, submission, FakeClock())
    assert list_jobs(store, submission.state) == []
    allowed = submit(store, prepared(connected(), allow_missing=True), FakeClock())
    assert (allowed.spec.allow_missing, allowed.spec.inputs_missing) == (True, 1)


def test_an_unfinished_job_whose_pins_were_overwritten_does_not_go_on(prepared, store, plates):
    first = submit(store, prepared(connected()), FakeClock())
    assert submit(store, prepared(connected()), FakeClock()).action == "resumed"
    assert submit(store, prepared(connected(), latest=True), FakeClock()).action == "new"
    (plates / "p.0004.exr").write_bytes(b"a newer plate 4")
    again = submit(store, prepared(connected()), FakeClock())
    assert again.action == "new"
    assert again.home != first.home
    reader = JobReader(store, again.home)
    assert {info.size_bytes for info in pinned(reader, index_of(reader), [4])[4]} == {15}


def test_a_manifest_that_an_interrupted_submission_left_is_passed_by(prepared, store, plates):
    first = submit(store, prepared(connected()), FakeClock())
    store.delete(JobReader(store, first.home).paths.spec)
    (plates / "p.0004.exr").write_bytes(b"a newer plate 4")
    again = submit(store, prepared(connected()), FakeClock())
    reader = JobReader(store, again.home)
    assert (again.home, again.action) == (first.home, "new")
    assert re.fullmatch(r"inputs-[0-9a-f]{16}\.json", again.spec.inputs)
    assert {info.size_bytes for info in pinned(reader, index_of(reader), [4])[4]} == {15}
