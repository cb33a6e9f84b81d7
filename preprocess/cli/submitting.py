"""From a checked request to a job that runs, as for a script; then the sequence files."""

from __future__ import annotations

import contextlib
import itertools

from jit_render.cli.engine_options import Given
from jit_render.cli.output import note
from jit_render.cli.session import Session
from jit_render.cli.submitting import Here, How, submit_prepared
from jit_render.farm.engines import open_engine
from jit_render.farm.preparing import job_id
from jit_render.farm.records import JobReader
from jit_render.farm.submit import Submission
from jit_render.model.errors import JobNotFound
from jit_render.model.job import JobPaths
from preprocess.gather import gather
from preprocess.names import locate
from preprocess.pipeline import Pipeline
from preprocess.submission import Request, submission_of


def submit_pipeline(
    given: Session,
    pipeline: Pipeline,
    data: bytes,
    request: Request,
    *,
    engine: Given,
    plan_only: bool,
    run: bool,
    json: bool,
) -> int:
    """Submit and, on this machine, run. The exit code."""
    submission = submission_of(given.settings, pipeline, data, request, given.clock)
    here = Here(given.settings.farm.workers, own_caches=False, chaos=0.0, seed=0, chaos_grace=0.0, scout=False)
    how = How(engine, here, sheet=None, plan_only=plan_only, may_upload=False, run=run, json=json)
    opened = open_engine(engine.engine, given.settings, given.store, given.clock)
    exit_code = submit_prepared(given, opened, submission, how)
    if exit_code == 0 and run and engine.is_local and not plan_only:
        _gather(given, pipeline, submission)
    return exit_code


def _gather(given: Session, pipeline: Pipeline, submission: Submission) -> None:
    """Also where a task that should have done it was killed, or where nothing was left to do."""
    spec = submission.spec
    written: dict[str, None] = {}
    with contextlib.suppress(JobNotFound):
        for number in itertools.count(1):  # the job's own id may count on; the last one has the last word
            job = job_id(spec.shot, spec.fingerprint, number)
            reader = JobReader(given.store, JobPaths.of(submission.state, job).home)
            if reader.spec().fingerprint == spec.fingerprint and reader.spec().frames == spec.frames:
                written.update(
                    (str(url), None) for url in gather(reader, pipeline, lambda name: locate(name, spec.path_map))
                )
    for url in written:
        note(f"sequence: {url}")
