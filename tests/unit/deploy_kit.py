"""A studio on the fake cloud, and a recorder of what is asked of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

from gcp_deploy.access import Cloud
from gcp_deploy.blueprint import blueprint
from gcp_deploy.parts import Verdict, bring_up, survey
from gcp_deploy.teardown import endings
from jit_render.model.settings import Settings
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_cloud import FakeCloud

NODE = "serviceAccount:jit-render-node@studio-one.iam.gserviceaccount.com"
_READS = (":getIamPolicy", ":testIamPermissions", "/wait")


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class Recorder:
    """Changing requests in order, and where the process dies: after the answer to so many."""

    dies_after: int = 0
    changes: list[dict[str, object]] = field(default_factory=list)

    def sent(self, request: requests.PreparedRequest) -> None:
        parts = urlsplit(str(request.url))
        if request.method == "GET" or parts.path.endswith(_READS):
            return
        is_json = "json" in str(request.headers.get("Content-Type"))
        body = json.loads(request.body) if request.body and is_json else None
        query = {key: value for key, value in parse_qsl(parts.query) if key != "requestId"}
        self.changes.append({"request": f"{request.method} {unquote(parts.path)}", "query": query, "body": body})
        if len(self.changes) == self.dies_after:
            raise Killed


@contextmanager
def recording(monkeypatch_context, dies_after: int = 0) -> Iterator[Recorder]:
    recorder = Recorder(dies_after)
    send: Callable[..., requests.Response] = requests.Session.send

    def recorded(self: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        answer = send(self, request, **options)
        recorder.sent(request)
        return answer

    with monkeypatch_context.context() as patched:
        patched.setattr(requests.Session, "send", recorded)
        yield recorder


def settings_for(fake: FakeCloud, **gcp: object) -> Settings:
    names = {"assets": "studio-assets", "outputs": "studio-outputs", "state": "studio-state"}
    return Settings.model_validate(
        {
            "job": {"state": "gs://studio-state"},
            "paths": [
                {"prefix": "/mnt/show", "target": "gs://studio-assets/show", "mode": "read"},
                {"prefix": "/mnt/out", "target": "gs://studio-outputs/renders", "mode": "write"},
            ],
            "gcp": {
                "project": "studio-one",
                **names,
                "submitters": ["group:lighting@studio.example"],
                "compute_endpoint": fake.url,
                **gcp,
            },
            "store": {"endpoint": fake.gcs.url},
        }
    )


def cloud_for(fake: FakeCloud, **gcp: object) -> Cloud:
    return Cloud(settings_for(fake, **gcp), FakeClock())


def bring_all_up(cloud: Cloud) -> None:
    for _ in bring_up(blueprint(cloud)):
        pass


def take_down(cloud: Cloud, *, buckets: bool = False) -> list[str]:
    return [f"{ending.kind} {ending.name}" for ending in endings(cloud, buckets=buckets) if ending.end()]


def to_do(cloud: Cloud) -> dict[str, tuple[str, ...]]:
    seen = survey(blueprint(cloud))
    return {f"{part.kind} {part.name}": look.differences for part, look in seen if look.verdict is not Verdict.FINE}


def tidy(changes: list[dict[str, object]]) -> list[dict[str, object]]:
    """Without what differs from run to run: addresses, etags, the start-up script's text, the template's digest."""
    text = json.dumps(changes)
    text = re.sub(r"-node-[0-9a-f]{10}", "-node-DIGEST", text)
    text = re.sub(r'"etag": "[^"]*"', '"etag": "ETAG"', text)
    text = re.sub(r'("key": "startup-script", "value": )"(?:[^"\\]|\\.)*"', r'\1"startup.sh"', text)
    return json.loads(text)
