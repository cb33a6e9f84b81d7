"""A job's life: submit, engines, worker, records in the bucket.

What commands call (import from the submodules; nothing is imported here, so that ``--help`` stays quick)::

    from jit_render.farm.submit import Options, prepare, submit
        Options(chunk=0, proxy=False, allow_missing=False, latest=False, force=False, show="", user="",
                environment={}, renderer="", budgets=None)                        0 and "": what the settings say
        prepare(settings, script_path, *, frames: str, clock: Clock, writes=(), views=(), options=None) -> Submission
            .spec .notes (echo them) .script          raises UsageError and its kin; touches no bucket
        submit(store, submission, clock) -> Submitted
            .spec .home .action ("new" | "resumed" | "nothing") .there .message
    from jit_render.farm.local import LocalEngine, LocalOptions, Chaos, Progress
        LocalOptions(workers=2, shared_cache=True, chaos=None, on_progress=None)
        LocalEngine(settings, store, clock, options)
            .run(home: ObjectUrl) -> JobStatus      until nothing is left to try; KeyboardInterrupt: drains, re-raises
            .submit(home) .status(home) .cancel(home) .logs(home, ...)            the engine port (farm/engine.py)
    from jit_render.farm.status import JobStatus, StatusFollower
        StatusFollower(store, home, clock).refresh() -> JobStatus                 incremental; JobStatus is a dataclass
    from jit_render.farm.records import JobReader, find_job, job_home, list_jobs
        find_job(store, settings, "id or URL") -> ObjectUrl                       raises JobNotFound with near names
        list_jobs(store, state: ObjectUrl) -> list[JobSummary]                    newest first
        JobReader(store, home): .spec() .committed() .commit_records(keys) .attempts() .is_cancelled()
    from jit_render.farm.control import cancel, retry, read_logs, frame_rows
        cancel(store, home, clock, by) -> None     retry(store, home) -> FrameSet | None (what is left; un-cancels)
        read_logs(store, home, task=None, attempt=None) -> Iterator[Log]          .task .attempt .text
        frame_rows(store, home, clock, frames=None) -> list[FrameRow]              .frame .state .task .attempt .seconds
    from jit_render.farm.verify import verify_job
        verify_job(store, home, scratch: Path, frames=None) -> VerifyReport       .ok .frames_verified .problems
    from jit_render.farm.pull import pull
        pull(store, home, folder: Path, frames=None, writes=(), on_file=None) -> PullReport
    from jit_render.farm.worker import WorkOptions, work
        work(settings, home: ObjectUrl, task: int, options: WorkOptions, clock) -> exit code (0, 1, 2, 3, 75)
        The same as ``python -m jit_render.farm.work_main --job URL --task N --settings JSON``.
"""
