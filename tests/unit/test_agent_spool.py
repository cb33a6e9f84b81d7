"""What stands on the disk at any moment of an entry's life is either whole or swept."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import pytest

from jit_render.agent.attempts import AttemptKey
from jit_render.agent.entry import UNKNOWN, Entry, SpoolFile
from jit_render.agent.spool import Spool
from jit_render.model.errors import CacheError, OutputInvalid, PermissionDenied
from jit_render.model.identity import ObjectUrl
from jit_render.store.crc import crc32c_of_bytes


def entry(*outputs: Path, crc32c: int = 7) -> Entry:
    files = [
        SpoolFile(
            ObjectUrl.parse(f"gs://b/{path.parent.name}/{path.name}"), path, path.stat().st_size, crc32c, ("main",)
        )
        for path in outputs
    ]
    key = AttemptKey("gs://state/jobs/j", 3, 1)
    return Entry("", key, "Write1", (1, 2), ("main",), files, inputs=[("gs://b/in", "5")], render_seconds=1.5, host="h")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "view" / "a.0001.exr"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def test_an_entry_comes_back_as_it_was(spool: Spool, output: Path) -> None:
    kept = entry(output)
    spool.add(kept, [output])
    kept.files[0].session, kept.files[0].condition = "https://upload/1", "99"
    spool.save_sessions(kept)

    (found,) = Spool(spool.folder).recover()

    assert found == kept
    assert found.files[0].path.read_bytes() == b"pixels"
    assert found.keys == [("Write1", "main", 1), ("Write1", "main", 2)]
    assert found.job_id == "j"
    assert output.read_bytes() == b"pixels"


def test_what_was_taken_only_is_summed_by_the_next_agent(spool: Spool, output: Path) -> None:
    spool.add(entry(output, crc32c=UNKNOWN), [output])

    (found,) = Spool(spool.folder).recover()
    spool.sum(found)
    spool.seal(found)

    (again,) = Spool(spool.folder).recover()
    assert again.files[0].crc32c == crc32c_of_bytes(b"pixels")


def test_after_a_loss_of_power_only_sealed_entries_are_believed(spool: Spool, output: Path) -> None:
    sealed = entry(output)
    spool.add(sealed, [output])
    spool.seal(sealed)
    spool.add(entry(output, crc32c=UNKNOWN), [output])
    resumable = entry(output)
    spool.add(resumable, [output])
    spool.save_sessions(resumable)

    found = Spool(spool.folder, boot="another").recover()

    assert [one.name for one in found] == [sealed.name]
    kept = {f"{sealed.name}.{kind}" for kind in ("json", "sealed", "0.a.0001.exr")}
    assert {path.name for path in spool.folder.iterdir()} == {"failed", *kept}


def test_sealing_does_not_bring_back_what_is_in_the_bucket(spool: Spool, output: Path) -> None:
    done = entry(output)
    spool.add(done, [output])
    spool.remove(done)

    spool.seal(done)

    assert [path.name for path in spool.folder.iterdir()] == ["failed"]


def test_what_cannot_be_read_is_removed(spool: Spool, output: Path) -> None:
    taken = entry(output, crc32c=UNKNOWN)
    spool.add(taken, [output])
    taken.files[0].path.unlink()

    with pytest.raises(CacheError, match=r"a\.0001\.exr: its bytes cannot be kept"):
        spool.sum(taken)

    assert not list(spool.folder.glob(f"{taken.name}*"))


@pytest.mark.parametrize(
    ("met", "told"), [(OSError(errno.EIO, "Input/output error"), CacheError), (OutputInvalid("a hole"), OutputInvalid)]
)
def test_what_does_not_pass_the_look_is_removed(
    spool: Spool, output: Path, met: Exception, told: type[Exception]
) -> None:
    taken = entry(output, crc32c=UNKNOWN)
    spool.add(taken, [output])

    def look(path: Path) -> None:
        assert path.read_bytes() == b"pixels"
        raise met

    with pytest.raises(told):
        spool.sum(taken, look)

    assert not list(spool.folder.glob(f"{taken.name}*"))


def test_entries_come_back_oldest_first(spool: Spool, output: Path) -> None:
    names = []
    for _ in range(5):
        kept = entry(output)
        spool.add(kept, [output])
        names.append(kept.name)

    assert [found.name for found in spool.recover()] == names


def test_two_outputs_of_one_name_keep_apart(spool: Spool, output: Path) -> None:
    other = output.parent.parent / "mask" / output.name
    other.parent.mkdir()
    other.write_bytes(b"mask")
    kept = entry(output, other)

    spool.add(kept, [output, other])

    (found,) = spool.recover()
    assert [file.path.read_bytes() for file in found.files] == [b"pixels", b"mask"]


def test_an_entry_that_is_done_leaves_nothing(spool: Spool, output: Path) -> None:
    kept = entry(output)
    spool.add(kept, [output])

    spool.remove(kept)
    spool.remove(kept)

    assert [path.name for path in spool.folder.iterdir()] == ["failed"]


def test_a_sealed_entry_needs_no_other_record_and_an_unsealed_one_no_session(spool: Spool, output: Path) -> None:
    sealed, resumable = entry(output), entry(output)
    for kept in (sealed, resumable):
        spool.add(kept, [output])
        kept.files[0].session = "https://upload/1"
        spool.save_sessions(kept)
    spool.seal(sealed)
    (spool.folder / f"{sealed.name}.json").write_bytes(b"")  # as the disk may show it after a loss of power
    half = spool.folder / f"{resumable.name}.session"
    half.write_bytes(half.read_bytes()[:-9])

    first, second = Spool(spool.folder).recover()

    assert (first.name, first.sealed, first.files[0].session) == (sealed.name, True, "https://upload/1")
    assert (second.name, second.sealed, second.files[0].session) == (resumable.name, False, None)


def test_a_base_name_as_long_as_the_disk_takes_is_kept_by_its_extension(spool: Spool, tmp_path: Path) -> None:
    output = tmp_path / ("n" * 251 + ".exr")
    output.write_bytes(b"pixels")
    spool.add(entry(output), [output])

    (found,) = spool.recover()

    assert found.files[0].path.name == f"{found.name}.0.exr"
    assert found.files[0].path.read_bytes() == b"pixels"


@pytest.mark.parametrize("name", ["json", "sealed", "part", "0.json"])
def test_an_output_may_be_called_as_the_spool_calls_its_own(spool: Spool, tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    output.write_bytes(b"pixels")
    spool.add(entry(output), [output])

    (found,) = spool.recover()

    assert found.files[0].path.read_bytes() == b"pixels"


def test_without_its_json_an_entry_never_was(spool: Spool, output: Path) -> None:
    kept = entry(output)
    spool.add(kept, [output])
    (spool.folder / f"{kept.name}.json").unlink()

    assert spool.recover() == []
    assert [path.name for path in spool.folder.iterdir()] == ["failed"]
    assert output.read_bytes() == b"pixels"


@pytest.mark.parametrize("harm", ["cut", "gone", "shorter"])
def test_an_entry_whose_bytes_or_words_are_lost_is_dropped(spool: Spool, output: Path, harm: str) -> None:
    kept = entry(output)
    spool.add(kept, [output])
    file = spool.folder / f"{kept.name}.json"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif harm == "gone":
        kept.files[0].path.unlink()
    else:
        kept.files[0].path.chmod(0o600)
        kept.files[0].path.write_bytes(b"pix")

    assert spool.recover() == []


def test_what_had_failed_is_kept_with_its_reason_and_tried_by_the_next_agent(spool: Spool, output: Path) -> None:
    kept = entry(output)
    spool.add(kept, [output])

    spool.fail(kept, PermissionDenied("403 on gs://b"))

    said = json.loads((spool.failed / f"{kept.name}.json").read_bytes())
    assert said["failure"] == {"kind": "PermissionDenied", "message": "403 on gs://b"}
    (found,) = Spool(spool.folder).recover()
    assert found.files[0].path.read_bytes() == b"pixels"
    assert list(spool.failed.iterdir()) == []


def test_what_failed_long_ago_is_dropped(spool: Spool, output: Path) -> None:
    for age_days in (29, 31):
        kept = entry(output)
        spool.add(kept, [output])
        spool.fail(kept, PermissionDenied("403 on gs://b"))
        when = f"{time.time_ns() - age_days * 86_400 * 10**9:020d}-{age_days:08x}"
        for path in spool.failed.glob(f"{kept.name}*"):
            path.rename(path.with_name(path.name.replace(kept.name, when)))

    (found,) = spool.recover()

    assert found.name.endswith(f"{29:08x}")
    assert list(spool.failed.iterdir()) == []


def test_a_kill_in_the_middle_of_putting_aside_loses_nothing(spool: Spool, output: Path) -> None:
    kept = entry(output)
    spool.add(kept, [output])
    kept.files[0].path.rename(spool.failed / kept.files[0].path.name)

    (found,) = Spool(spool.folder).recover()

    assert found.files[0].path.read_bytes() == b"pixels"


def test_an_output_that_is_gone_makes_no_entry(spool: Spool, output: Path) -> None:
    kept = entry(output)
    output.unlink()

    with pytest.raises(CacheError, match=r"gs://b/view/a\.0001\.exr: its bytes cannot be kept"):
        spool.add(kept, [output])

    assert [path.name for path in spool.folder.iterdir()] == ["failed"]


def test_a_disk_that_does_not_answer_keeps_its_entries_for_the_next_agent(
    spool: Spool, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.add(entry(output), [output])
    with monkeypatch.context() as sick:
        sick.setattr(Path, "read_bytes", _does_not_answer)
        assert Spool(spool.folder).recover() == []
    (found,) = Spool(spool.folder).recover()
    assert found.files[0].path.read_bytes() == b"pixels"


def _does_not_answer(_path: Path) -> bytes:
    raise OSError(errno.EIO, "Input/output error")
