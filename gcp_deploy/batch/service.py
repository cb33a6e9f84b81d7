"""The Batch service as the engine needs it. The only place that sees the client library and its exceptions.

``gcp.endpoint`` names a service without TLS and without credentials, for tests; the client's own ``api_endpoint`` would
force TLS on it. The client neither fills `request_id` nor tries CreateJob again: both are done here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jit_render.model.clock import Clock
from jit_render.model.errors import (
    CloudConflict,
    CloudDenied,
    CloudError,
    CloudNotFound,
    CloudUnavailable,
)
from jit_render.model.settings import GcpSettings

CALL_SECONDS = 60.0
WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before a call that may succeed later is made again."""

ACTIVE = frozenset({"QUEUED", "SCHEDULED", "RUNNING"})
OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class ServiceJob:
    """A job as the service has it."""

    name: str
    uid: str
    state: str
    counts: dict[str, int]
    """Tasks by state."""
    events: tuple[str, ...]
    request: dict[str, Any]
    """All of its fields, as JSON has them."""

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_over(self) -> bool:
        """Nothing of it runs any more; a cancellation or deletion under way is neither this nor active."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task that the service has given up."""

    index: int
    message: str
    exit_code: int | None


class BatchService:
    """Calls the service, again where that can help. Raises CloudError and its kin."""

    def __init__(self, gcp: GcpSettings, clock: Clock) -> None:
        self._clock = clock
        self._endpoint = gcp.endpoint
        self._client: Any = None

    def create(self, parent: str, job_id: str, request: dict[str, Any], request_id: str) -> ServiceJob:
        """Raises CloudConflict where a job of that id is there (and is not the answer to the same request)."""
        batch_v1 = _library()
        asked = batch_v1.CreateJobRequest(parent=parent, job_id=job_id, job=as_proto(request), request_id=request_id)
        return _service_job(self._call("create_job", asked, f"{parent}/jobs/{job_id}"))

    def get(self, name: str) -> ServiceJob | None:
        """None where there is no such job (any more)."""
        batch_v1 = _library()
        try:
            return _service_job(self._call("get_job", batch_v1.GetJobRequest(name=name), name))
        except CloudNotFound:
            return None

    def cancel(self, name: str) -> None:
        """Have it cancelled. Over or gone already: nothing happens."""
        batch_v1 = _library()
        found = self.get(name)
        if found is None or not found.is_active:
            return
        with contextlib.suppress(CloudNotFound, CloudConflict):  # it ended meanwhile
            self._call("cancel_job", batch_v1.CancelJobRequest(name=name), name)

    def jobs(self, parent: str) -> list[ServiceJob]:
        """All jobs of one region, whoever made them."""
        batch_v1 = _library()
        request = batch_v1.ListJobsRequest(parent=parent, page_size=1000)
        return [_service_job(job) for job in self._call("list_jobs", request, parent)]

    def failures(self, name: str) -> list[TaskFailure]:
        """The tasks that the service gave up, with its last word on each."""
        batch_v1 = _library()
        request = batch_v1.ListTasksRequest(parent=f"{name}/taskGroups/group0", page_size=1000)
        failed = batch_v1.TaskStatus.State.FAILED
        tasks = self._call("list_tasks", request, name)
        return [_failure(task) for task in tasks if task.status.state == failed]

    def exit_codes(self, name: str) -> list[int | None]:
        """Of the tasks that the service gave up; none where the job is gone."""
        try:
            return [task.exit_code for task in self.failures(name)]
        except CloudNotFound:
            return []

    def close(self) -> None:
        if self._client is not None:
            self._client.transport.close()
            self._client = None

    def _call(self, method: str, request: Any, name: str) -> Any:
        from google.api_core import retry

        waits = WAITS if method == "create_job" else WAITS[:1]  # who only looks can look again
        for wait in (*waits, None):
            try:
                with _told(method, name):
                    client = self._connected()
                    call = getattr(client, method)
                    answer = call(request, timeout=CALL_SECONDS, retry=retry.Retry(predicate=lambda _: False))
                    return list(answer) if method.startswith("list_") else answer
            except CloudUnavailable:
                if wait is None:
                    raise
                self._clock.sleep(wait)
        raise AssertionError  # the last round returns or raises

    def _connected(self) -> Any:
        if self._client is None:
            self._client = _connect(self._endpoint)
        return self._client


def _library() -> Any:
    try:
        from google.cloud import batch_v1
    except ImportError as error:
        raise CloudError(f"Google Batch needs a library ({error}): pip install 'jit-render[gcp]'.") from None
    return batch_v1


def _connect(endpoint: str) -> Any:
    batch_v1 = _library()
    if not endpoint:
        return batch_v1.BatchServiceClient()
    import grpc
    from google.cloud.batch_v1.services.batch_service.transports import BatchServiceGrpcTransport

    transport = BatchServiceGrpcTransport(channel=grpc.insecure_channel(endpoint))
    return batch_v1.BatchServiceClient(transport=transport)


def as_proto(request: dict[str, Any]) -> Any:
    """The request as the library's own message. Raises CloudError for a field that the installed one does not know."""
    batch_v1 = _library()
    try:
        return batch_v1.Job.from_json(json.dumps(request), ignore_unknown_fields=False)
    except Exception as error:  # the parser's own error class lives in a place that has moved before
        raise CloudError(f"the installed google-cloud-batch does not know this request: {error}.") from None


def as_request(job: Any) -> dict[str, Any]:
    """A message's fields as JSON has them: enums by name, what is not set left out."""
    batch_v1 = _library()
    how = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}
    found: dict[str, Any] = json.loads(batch_v1.Job.to_json(job, preserving_proto_field_name=False, **how))
    return found


def agrees(asked: Any, found: Any) -> bool:
    """Whether all that was asked for is in what was found; the service adds fields of its own."""
    if isinstance(asked, dict):
        return isinstance(found, dict) and all(key in found and agrees(asked[key], found[key]) for key in asked)
    if isinstance(asked, list):
        same_length = isinstance(found, list) and len(asked) == len(found)
        return same_length and all(agrees(one, other) for one, other in zip(asked, found, strict=True))
    return bool(asked == found)


def _service_job(job: Any) -> ServiceJob:
    groups = job.status.task_groups.values()
    counts: dict[str, int] = {}
    for group in groups:
        for state, count in group.counts.items():
            counts[state] = counts.get(state, 0) + int(count)
    return ServiceJob(
        name=job.name,
        uid=job.uid,
        state=job.status.state.name,
        counts=counts,
        events=tuple(event.description for event in job.status.status_events),
        request=as_request(job),
    )


def _failure(task: Any) -> TaskFailure:
    last = task.status.status_events[-1] if task.status.status_events else None
    code = last.task_execution.exit_code if last is not None and "task_execution" in last else None
    index = int(task.name.rpartition("/")[2])
    return TaskFailure(index, last.description if last is not None else "", code)


@contextlib.contextmanager
def _told(method: str, name: str) -> Iterator[None]:
    """Google's exceptions as ours."""
    from google.api_core import exceptions
    from google.auth import exceptions as auth

    where = f"Google Batch: {method.replace('_', ' ')} {name}"
    try:
        yield
    except exceptions.NotFound as error:
        raise CloudNotFound(f"{where}: {error.message}.") from None
    except (exceptions.Conflict, exceptions.FailedPrecondition) as error:
        raise CloudConflict(f"{where}: {error.message}.") from None
    except (exceptions.Forbidden, exceptions.Unauthorized, auth.DefaultCredentialsError, auth.RefreshError) as error:
        raise CloudDenied(f"{where}: {error}; 'jit-deploy doctor' says what is missing.") from None
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, auth.TransportError) as error:
        raise CloudUnavailable(f"{where}: {error}.") from None
    except exceptions.GoogleAPICallError as error:
        raise CloudError(f"{where}: {error.message}.") from None
