"""The fake Batch service, by the real client: what it refuses, how it runs tasks, how its nodes go away."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from batch_kit import GCP
from google.api_core import exceptions
from google.cloud import batch_v1
from google.cloud.batch_v1.services.batch_service.transports import BatchServiceGrpcTransport

from gcp_deploy.batch.service import BatchService, as_proto
from jit_render.model.clock import SystemClock
from jit_render.model.settings import GcpSettings
from jit_render.testing.fake_batch import FakeBatch, Preemption
from jit_render.testing.fake_batch_node import Fate

PARENT = "projects/studio/locations/us-central1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeBatch]:
    with FakeBatch(tmp_path) as running:
        yield running


def client_of(server: FakeBatch) -> Any:
    transport = BatchServiceGrpcTransport(channel=grpc.insecure_channel(server.endpoint))
    return batch_v1.BatchServiceClient(transport=transport)


def job(text: str = "true", *, tasks: int = 1, retries: int = 2, spot: bool = False) -> dict[str, Any]:
    return {
        "taskGroups": [
            {
                "taskCount": str(tasks),
                "taskSpec": {
                    "runnables": [{"script": {"text": text}}],
                    "maxRetryCount": retries,
                    "lifecyclePolicies": [{"action": "RETRY_TASK", "actionCondition": {"exitCodes": [75, 50001]}}],
                    "environment": {"variables": {"DISK": "/mnt/disks/cache"}},
                    "volumes": [{"deviceName": "cache", "mountPath": "/mnt/disks/cache"}],
                },
            }
        ],
        "allocationPolicy": {
            "location": {"allowedLocations": ["regions/us-central1"]},
            "instances": [
                {
                    "policy": {
                        "machineType": "n2d-standard-8",
                        "provisioningModel": "SPOT" if spot else "STANDARD",
                        "disks": [{"newDisk": {"type": "local-ssd", "sizeGb": "375"}, "deviceName": "cache"}],
                    }
                }
            ],
        },
        "labels": {"job": "a"},
    }


def create(server: FakeBatch, request: dict[str, Any], job_id: str = "a-job", request_id: str = "") -> Any:
    asked = batch_v1.CreateJobRequest(parent=PARENT, job_id=job_id, job=as_proto(request), request_id=request_id)
    return client_of(server).create_job(asked)


def states(server: FakeBatch, name: str) -> list[str]:
    tasks = client_of(server).list_tasks(parent=f"{name}/taskGroups/group0")
    return [task.status.state.name for task in tasks]


def _two_groups(request: dict[str, Any]) -> None:
    request["taskGroups"] *= 2


def _two_policies(request: dict[str, Any]) -> None:
    request["taskGroups"][0]["taskSpec"]["lifecyclePolicies"] *= 2


BREACHES: dict[str, Callable[[dict[str, Any]], object]] = {
    "exactly one task group": _two_groups,
    "only one lifecycle policy": _two_policies,
    "max_retry_count": lambda r: r["taskGroups"][0]["taskSpec"].update(maxRetryCount=11),
    "task_count": lambda r: r["taskGroups"][0].update(taskCount="100001"),
    "parallelism": lambda r: r["taskGroups"][0].update(parallelism="5001"),
    "larger than 1 MiB": lambda r: r["taskGroups"][0]["taskSpec"]["environment"].update(variables={"A": "x" * 2**20}),
    "no disk 'fast'": lambda r: r["taskGroups"][0]["taskSpec"]["volumes"][0].update(deviceName="fast"),
    "not in us-central1": lambda r: r["allocationPolicy"]["location"].update(allowedLocations=["zones/europe-west1-b"]),
    "one region or several zones": lambda r: r["allocationPolicy"]["location"].update(
        allowedLocations=["regions/us-central1", "zones/us-central1-a"]
    ),
    "multiple of 375": lambda r: r["allocationPolicy"]["instances"][0]["policy"]["disks"][0]["newDisk"].update(
        sizeGb="400"
    ),
    "breaks the rules for labels": lambda r: r["labels"].update(Shot="A"),
    "priority": lambda r: r.update(priority="100"),
    "needs a runnable": lambda r: r["taskGroups"][0]["taskSpec"].update(runnables=[]),
}


@pytest.mark.parametrize("said", BREACHES)
def test_a_job_that_breaks_a_rule_is_refused(server: FakeBatch, said: str) -> None:
    request = copy.deepcopy(job())
    BREACHES[said](request)

    with pytest.raises(exceptions.InvalidArgument, match=said):
        create(server, request)


@pytest.mark.parametrize("name", ["", "1a", "A", "a_b", "a-", "a" * 64])
def test_a_name_that_is_none_is_refused(server: FakeBatch, name: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="job_id"):
        create(server, job(), name)


def test_the_same_request_is_answered_with_the_same_job_and_another_is_refused(server: FakeBatch) -> None:
    mine = str(uuid.uuid4())
    first = create(server, job(), request_id=mine)

    assert create(server, job(), request_id=mine).uid == first.uid
    with pytest.raises(exceptions.AlreadyExists):
        create(server, job(), request_id=str(uuid.uuid4()))
    assert [one.name for one in client_of(server).list_jobs(parent=PARENT)] == [first.name]
    assert len(server.created) == 1


def test_tasks_have_the_documented_environment_and_a_disk_of_their_node(server: FakeBatch, tmp_path: Path) -> None:
    told = "$BATCH_TASK_INDEX $BATCH_TASK_COUNT $BATCH_TASK_RETRY_ATTEMPT"
    text = f'echo "{told}" > {tmp_path}/$BATCH_TASK_INDEX; touch $DISK/a'
    made = create(server, job(text, tasks=3))

    assert server.wait().name == "SUCCEEDED"
    assert [(tmp_path / str(index)).read_text().split() for index in range(3)] == [[str(i), "3", "0"] for i in range(3)]
    assert states(server, made.name) == ["SUCCEEDED"] * 3
    assert client_of(server).get_job(name=made.name).status.task_groups["group0"].counts == {"SUCCEEDED": 3}


@pytest.mark.parametrize(
    ("text", "state", "codes"),
    [
        ("exit $((75 * (BATCH_TASK_RETRY_ATTEMPT < 2)))", "SUCCEEDED", [75, 75, 0]),
        ("exit 75", "FAILED", [75, 75, 75]),
        ("exit 1", "FAILED", [1]),
        ("kill -9 $$", "FAILED", [137]),
    ],
)
def test_the_exit_code_decides_on_another_try(server: FakeBatch, text: str, state: str, codes: list[int]) -> None:
    made = create(server, job(text))

    assert server.wait().name == state
    assert server.jobs[made.name].tasks[0].exit_codes == codes
    task = client_of(server).get_task(name=f"{made.name}/taskGroups/group0/tasks/0")
    assert task.status.state.name == state
    assert [event.task_execution.exit_code for event in task.status.status_events if event.task_execution] == [
        code for code in codes if code
    ]


class FirstTry(Preemption):
    """Hits every task's first try."""

    def fate(self, task: int, attempt: int) -> Fate | None:
        return None if attempt else super().fate(task, attempt)


def test_a_preempted_node_takes_everything_with_it(tmp_path: Path) -> None:
    text = f"""test ! -e $DISK/mark || exit 3
touch $DISK/mark
[ $BATCH_TASK_RETRY_ATTEMPT = 1 ] && exit 0
setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' &
url=http://$GCE_METADATA_HOST/computeMetadata/v1/instance/preempted?wait_for_change=true
exec python3 -c "import sys, time, urllib.request as u
u.urlopen(u.Request(sys.argv[1], headers={{'Metadata-Flavor': 'Google'}})).read()
open('{tmp_path}/told', 'w')
time.sleep(600)" $url
"""
    with FakeBatch(tmp_path / "batch", preemption=FirstTry(1.0, window=0.1, grace=0.3)) as server:
        made = create(server, job(text, spot=True))
        assert server.wait().name == "SUCCEEDED"
        run = server.jobs[made.name]

    assert run.tasks[0].exit_codes == [50001, 0]
    assert run.nodes_made == 2
    assert (tmp_path / "told").exists()
    left_behind = Path("/proc", (tmp_path / "pid").read_text().strip(), "cmdline")
    assert not left_behind.exists() or not left_behind.read_bytes()  # at most what nobody has reaped yet
    assert not list((tmp_path / "batch/disks").iterdir())


def test_a_cancelled_job_stops_and_a_deleted_one_is_gone(server: FakeBatch) -> None:
    service = BatchService(GcpSettings.model_validate({**GCP, "endpoint": server.endpoint}), SystemClock())
    one = create(server, job("exec sleep 600", tasks=20), "one")
    two = create(server, job("exec sleep 600"), "two")

    service.cancel(one.name)
    service.cancel(one.name)
    assert server.wait(one.name).name == "CANCELLED"
    assert set(states(server, one.name)) <= {"FAILED", "UNEXECUTED"}
    client_of(server).delete_job(name=two.name)
    assert service.get(two.name) is None
    service.cancel(two.name)
    service.close()
