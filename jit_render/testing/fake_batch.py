"""A Google Batch service that runs jobs: the real client and the real protos talk to it over gRPC.

It validates what is asked as the service does (`fake_batch_rules`), runs each task's script in processes of this
machine (`fake_batch_run`) on nodes with a local disk and a metadata server of their own (`fake_batch_node`), retries
by exit code, and takes nodes away at a given rate. With `nodes=0` jobs stay queued, as without quota.

Side doors for tests: `jobs`, `created` (every CreateJob that made a job), `wait`, `end`, `tell`, `forget`; `halt`,
which lets the next CreateJob stand still "before" the service takes it or "after", until its client is gone.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, Self

import grpc
from google.cloud import batch_v1
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2

from jit_render.testing.fake_batch_rules import Refused, check_request
from jit_render.testing.fake_batch_run import OVER, FakeTask, JobRun, JobState, Preemption, TaskState

__all__ = ["FakeBatch", "JobState", "Preemption"]

REGIONS = {"us-central1": "abcf", "europe-west1": "bcd"}
_SERVICE = "google.cloud.batch.v1.BatchService"


class FakeBatch:
    """Use with ``with``. `places` rewrites paths of the real node's image to paths of this machine; `variables` are
    what the image has in its environment; a change is for the jobs that are made after it."""

    def __init__(
        self,
        folder: Path,
        *,
        places: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        nodes: int = 4,
        preemption: Preemption | None = None,
        regions: Mapping[str, Sequence[str]] = REGIONS,
    ) -> None:
        self.jobs: dict[str, JobRun] = {}
        self.created: list[str] = []
        self.refused: list[str] = []
        self.halt = ""
        self.halted = threading.Event()
        self._requests: dict[str, str] = {}
        self._folder = folder
        self._places = dict(places or {})
        self.variables = dict(variables or {})
        self._nodes = nodes
        self._preemption = preemption
        self._regions = regions
        self._changed = threading.Condition()
        self._server = grpc.server(futures.ThreadPoolExecutor(8, thread_name_prefix="fake-batch"))
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()
        for run in list(self.jobs.values()):
            run.stop(JobState.CANCELLED)

    def wait(self, name: str = "", seconds: float = 120.0) -> Any:
        """Until the job (default: the last) is over; its state."""
        with self._changed:
            run = self.jobs[name or self.created[-1]]
            assert self._changed.wait_for(lambda: run.state in OVER, seconds), f"{name} is still {run.state.name}"
            return run.state

    def end(self, name: str, state: Any, exit_code: int = 1) -> None:
        """Have a queued job be over without having run; every task has failed with that code."""
        run = self.jobs[name]
        with self._changed:
            for task in run.tasks:
                task.move(TaskState.FAILED, f"Task failed with exit code {exit_code}.", exit_code)
            run.state = state
            self._changed.notify_all()

    def tell(self, name: str, words: str) -> None:
        """Have the service say something about a job, as of a quota that keeps it waiting."""
        with self._changed:
            self.jobs[name].events.append(batch_v1.StatusEvent(type_="OPERATIONAL_INFO", description=words))

    def forget(self, name: str) -> None:
        """Delete a job at once, as somebody at the console does."""
        run = self.jobs.pop(name)
        run.stop(JobState.CANCELLED)

    def _handlers(self) -> Any:
        types: dict[str, tuple[Callable[[Any], Any], Any, Callable[[Any], bytes]]] = {
            "CreateJob": (self._create, batch_v1.CreateJobRequest, batch_v1.Job.serialize),
            "GetJob": (self._get, batch_v1.GetJobRequest, batch_v1.Job.serialize),
            "ListJobs": (self._list, batch_v1.ListJobsRequest, batch_v1.ListJobsResponse.serialize),
            "GetTask": (self._task, batch_v1.GetTaskRequest, batch_v1.Task.serialize),
            "ListTasks": (self._tasks, batch_v1.ListTasksRequest, batch_v1.ListTasksResponse.serialize),
            "CancelJob": (self._cancel, batch_v1.CancelJobRequest, operations_pb2.Operation.SerializeToString),
            "DeleteJob": (self._delete, batch_v1.DeleteJobRequest, operations_pb2.Operation.SerializeToString),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(call), request_deserializer=request.deserialize, response_serializer=serialize
            )
            for name, (call, request, serialize) in types.items()
        }
        return grpc.method_handlers_generic_handler(_SERVICE, handlers)

    def _guarded(self, call: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                self._halt("before", request, context)
                with self._changed:
                    answer = call(request)
                self._halt("after", request, context)
                return answer
            except Refused as refused:
                self.refused.append(refused.message)
                context.abort(refused.code, refused.message)

        return guarded

    def _halt(self, moment: str, request: Any, context: grpc.ServicerContext) -> None:
        """Let the CreateJob that a test waits for stand still until its client is gone."""
        if moment != self.halt or not isinstance(request, batch_v1.CreateJobRequest):
            return
        self.halt = ""
        gone = threading.Event()
        if context.add_callback(gone.set):
            self.halted.set()
            gone.wait()
        if moment == "before":
            raise Refused("the client is gone", grpc.StatusCode.CANCELLED)

    def _create(self, request: batch_v1.CreateJobRequest) -> batch_v1.Job:
        check_request(request, self._regions)
        name = f"{request.parent}/jobs/{request.job_id}"
        if request.request_id and self._requests.get(request.request_id) == name and name in self.jobs:
            return self._shown(self.jobs[name])
        if name in self.jobs:
            raise Refused(f"Resource '{name}' already exists", grpc.StatusCode.ALREADY_EXISTS)
        job = batch_v1.Job.deserialize(batch_v1.Job.serialize(request.job))
        job.name, job.uid = name, f"{request.job_id[:40]}-{uuid.uuid4().hex[:12]}"
        _fill_in(job)
        region = request.parent.rpartition("/")[2]
        run = JobRun(
            job,
            folder=self._folder,
            places=self._places,
            variables=dict(self.variables),
            nodes=self._nodes,
            zone=f"{region}-{self._regions[region][0]}",
            preemption=self._preemption,
            changed=self._changed,
        )
        self.jobs[name] = run
        self.created.append(name)
        self._requests[request.request_id] = name
        if self._nodes:
            run.start()
        return self._shown(run)

    def _find(self, name: str) -> JobRun:
        if name not in self.jobs:
            raise Refused(f"Resource '{name}' was not found", grpc.StatusCode.NOT_FOUND)
        return self.jobs[name]

    def _get(self, request: batch_v1.GetJobRequest) -> batch_v1.Job:
        return self._shown(self._find(request.name))

    def _list(self, request: batch_v1.ListJobsRequest) -> batch_v1.ListJobsResponse:
        found = [self._shown(run) for name, run in self.jobs.items() if name.startswith(f"{request.parent}/")]
        page, token = _page(found, request)
        return batch_v1.ListJobsResponse(jobs=page, next_page_token=token)

    def _task(self, request: batch_v1.GetTaskRequest) -> batch_v1.Task:
        group, _, index = request.name.rpartition("/tasks/")
        run = self._find(group.partition("/taskGroups/")[0])
        if not index.isdigit() or int(index) >= len(run.tasks):
            raise Refused(f"Resource '{request.name}' was not found", grpc.StatusCode.NOT_FOUND)
        return _shown_task(run, run.tasks[int(index)])

    def _tasks(self, request: batch_v1.ListTasksRequest) -> batch_v1.ListTasksResponse:
        run = self._find(request.parent.partition("/taskGroups/")[0])
        page, token = _page([_shown_task(run, task) for task in run.tasks], request)
        return batch_v1.ListTasksResponse(tasks=page, next_page_token=token)

    def _cancel(self, request: batch_v1.CancelJobRequest) -> operations_pb2.Operation:
        run = self._find(request.name)
        if run.state in OVER:
            raise Refused(f"job is {run.state.name} already", grpc.StatusCode.FAILED_PRECONDITION)
        run.state = JobState.CANCELLATION_IN_PROGRESS
        self._changed.notify_all()
        threading.Thread(target=run.stop, args=(JobState.CANCELLED,), daemon=True).start()
        return _operation(request.name, batch_v1.CancelJobResponse.pb(batch_v1.CancelJobResponse()))

    def _delete(self, request: batch_v1.DeleteJobRequest) -> operations_pb2.Operation:
        run = self._find(request.name)
        del self.jobs[request.name]
        threading.Thread(target=run.stop, args=(JobState.CANCELLED,), daemon=True).start()
        return _operation(request.name, empty_pb2.Empty())

    @staticmethod
    def _shown(run: JobRun) -> batch_v1.Job:
        job: batch_v1.Job = batch_v1.Job.deserialize(batch_v1.Job.serialize(run.job))
        group = batch_v1.JobStatus.TaskGroupStatus(counts=run.counts())
        job.status = batch_v1.JobStatus(state=run.state, status_events=run.events, task_groups={"group0": group})
        return job


def _fill_in(job: Any) -> None:
    """What the service answers with beside what it was given: its own names and defaults."""
    group = job.task_groups[0]
    group.name = f"{job.name}/taskGroups/group0"
    group.task_count = group.task_count or 1
    group.scheduling_policy = group.scheduling_policy or batch_v1.TaskGroup.SchedulingPolicy.AS_SOON_AS_POSSIBLE
    resource = group.task_spec.compute_resource
    resource.cpu_milli = resource.cpu_milli or 2000
    resource.memory_mib = resource.memory_mib or 2000
    job.create_time = job.update_time = {"seconds": int(time.time())}
    for instances in job.allocation_policy.instances:
        disk = instances.policy.boot_disk
        disk.type_ = disk.type_ or "pd-balanced"
        disk.size_gb = disk.size_gb or 30


def _shown_task(run: JobRun, task: FakeTask) -> batch_v1.Task:
    status = batch_v1.TaskStatus(state=task.state, status_events=task.events)
    return batch_v1.Task(name=f"{run.job.name}/taskGroups/group0/tasks/{task.index}", status=status)


def _page(items: list[Any], request: Any) -> tuple[list[Any], str]:
    start = int(request.page_token or 0)
    end = start + (request.page_size or 100)
    return items[start:end], str(end) if end < len(items) else ""


def _operation(name: str, answer: Any) -> operations_pb2.Operation:
    packed = any_pb2.Any()
    packed.Pack(answer)
    return operations_pb2.Operation(name=f"{name}/operations/{uuid.uuid4()}", done=True, response=packed)
