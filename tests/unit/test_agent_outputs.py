"""Write leases while a file is being taken in."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jit_render.agent.attempts import AttemptKey
from jit_render.agent.jobs import Job
from jit_render.agent.outputs import TAKEN_ON_THE_LOOP, Outputs, Publication
from jit_render.agent.spool import Spool
from jit_render.cache import ViewTree
from jit_render.cache.layout import Layout
from jit_render.model.errors import OutputBusy, OutputInvalid
from jit_render.model.identity import ObjectUrl
from jit_render.model.pathmap import PathMap
from jit_render.model.script_place import script_place

HOME = ObjectUrl.parse("gs://state/jobs/j")
OUTPUT = ("main", ObjectUrl.parse("gs://b/a.1.dpx"))
PUBLICATION = Publication(AttemptKey(str(HOME), 1, 1), "Write1", (1,), (OUTPUT,), (), 0.0)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    layout = Layout(tmp_path)
    layout.make()
    view = ViewTree(layout, lambda aside: None)
    return Job(HOME, "j", PathMap(), latest=False, view=view, script=script_place(PathMap(), "/s.nk", "s.nk"))


def test_a_connection_that_goes_while_its_files_are_taken_in_keeps_others_out_until_they_are(
    tmp_path: Path, job: Job
) -> None:
    views = [(f"view{number}", ObjectUrl.parse(f"gs://b/a{number}.1.dpx")) for number in range(TAKEN_ON_THE_LOOP + 1)]

    async def scenario() -> None:
        may_work = threading.Event()
        with ThreadPoolExecutor(1) as disk:
            outputs = Outputs(Spool(tmp_path / "spool"), disk)
            places = outputs.begin(job, 1, "Write1", views, keep=False)
            for place in places:
                place.write_bytes(b"pixels")
            disk.submit(may_work.wait)
            try:
                publishing = asyncio.ensure_future(outputs.publish(job, 1, replace(PUBLICATION, outputs=tuple(views))))
                await asyncio.sleep(0)

                outputs.release(1)
                with pytest.raises(OutputBusy):
                    outputs.begin(job, 2, "Write1", views, keep=False)
            finally:
                may_work.set()
            entries = await publishing

            assert [file.path.read_bytes() for entry in entries for file in entry.files] == [b"pixels"] * len(views)
            assert outputs.begin(job, 2, "Write1", views, keep=False) == places
            assert not any(place.is_symlink() for place in places)

    asyncio.run(scenario())


def test_a_refused_file_keeps_its_lease_until_its_session_ends(tmp_path: Path, job: Job) -> None:
    async def scenario() -> None:
        with ThreadPoolExecutor(1) as disk:
            outputs = Outputs(Spool(tmp_path / "spool"), disk)
            (place,) = outputs.begin(job, 1, "Write1", [OUTPUT], keep=False)
            place.write_bytes(b"")
            with pytest.raises(OutputInvalid):
                await outputs.publish(job, 1, PUBLICATION)
            assert outputs.holder(job, OUTPUT[1]) == 1

            outputs.release(1)

            assert outputs.holder(job, OUTPUT[1]) is None

    asyncio.run(scenario())
