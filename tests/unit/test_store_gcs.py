"""What is particular to ``gs://``: credentials, sessions, stored encodings, connections, error messages."""

from __future__ import annotations

import datetime as dt
import gzip
import inspect
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import google.cloud.storage.exceptions
import google.oauth2.credentials
import pytest
import requests
import urllib3.exceptions
import urllib3.response

from jit_render.model.errors import (
    BucketNotFound,
    ConfigError,
    GenerationGone,
    JitRenderError,
    PermissionDenied,
    PreconditionFailed,
    TransientStoreError,
)
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import gcs_upload, open_store
from jit_render.store.crc import crc32c_of_bytes
from jit_render.store.gcs import GcsStore
from jit_render.store.gcs_errors import Answer, Doing, from_answer, from_google
from jit_render.store.port import ABSENT
from jit_render.store.retry import Passing
from jit_render.testing.fake_clock import FakeClock
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.fake_metadata import FakeMetadata
from jit_render.testing.faults import Fault
from jit_render.testing.store_suite import PATTERN, Collected

CRC = crc32c_of_bytes(PATTERN)
URL = ObjectUrl.parse("gs://show/sh010/plate.1001.exr")


@pytest.fixture
def gcs():
    with FakeGcs(buckets=["show"]) as server:
        yield server


@pytest.fixture
def store(gcs: FakeGcs) -> Iterator[GcsStore]:
    opened = GcsStore(StoreSettings(endpoint=gcs.url, timeout=5, deadline=20), FakeClock())
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(PATTERN)
    return path


class TestUploadSessions:
    @pytest.fixture(autouse=True)
    def small_chunks(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(gcs_upload, "CHUNK_BYTES", 4 << 20)

    def test_another_process_goes_on_where_the_first_was_cut_off(self, gcs: FakeGcs, store: GcsStore, file: Path):
        told: list[str] = []
        gcs.faults.set([Fault(kind="chunk", after=1, status=403)])
        with pytest.raises(PermissionDenied):
            store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, on_session=told.append)
        gcs.reset_counts()
        second = GcsStore(StoreSettings(endpoint=gcs.url))
        info = second.upload(URL, file, crc32c=CRC, if_generation=ABSENT, session=told[0], on_session=told.append)
        second.close()
        assert gcs.get("show", URL.key) == PATTERN
        assert info.crc32c == CRC
        assert len(told) == 1
        assert gcs.count("session") == 0
        assert [seen.range.partition("/")[0] for seen in gcs.requests if seen.kind == "chunk"] == [
            "bytes 4194304-8388607",
            f"bytes 8388608-{len(PATTERN) - 1}",
        ]

    def test_a_finished_session_answers_with_its_object(self, gcs: FakeGcs, store: GcsStore, file: Path):
        told: list[str] = []
        first = store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, on_session=told.append)
        gcs.reset_counts()
        again = store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, session=told[0])
        assert again.id == first.id
        assert gcs.count("chunk") == 0

    def test_a_session_that_is_gone_after_it_had_finished_is_our_own_success(
        self, gcs: FakeGcs, store: GcsStore, file: Path
    ):
        told: list[str] = []
        first = store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, writer="job", on_session=told.append)
        gcs.faults.set([Fault(kind="status", status=410)])
        again = store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, writer="job", session=told[0])
        assert again.id == first.id

    def test_anothers_object_is_no_success_of_ours(self, gcs: FakeGcs, store: GcsStore, file: Path):
        gcs.put("show", URL.key, PATTERN, metadata={"jit-render-writer": "other job"})
        gcs.faults.set([Fault(kind="session", action="reset")])
        with pytest.raises(PreconditionFailed):
            store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, writer="job")

    def test_the_precondition_holds_at_the_end_too(self, gcs: FakeGcs, store: GcsStore, file: Path):
        def overtake(session: str) -> None:
            del session
            gcs.put("show", URL.key, b"somebody was faster")

        with pytest.raises(PreconditionFailed):
            store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, on_session=overtake)
        assert gcs.get("show", URL.key) == b"somebody was faster"

    def test_a_session_of_another_endpoint_is_not_spoken_to(self, gcs: FakeGcs, store: GcsStore, file: Path):
        with FakeGcs(buckets=["show"]) as stranger:
            session = f"{stranger.url}/upload/storage/v1/b/show/o?uploadType=resumable&upload_id=1"
            store.upload(URL, file, crc32c=CRC, if_generation=ABSENT, session=session)
            assert not stranger.requests
        assert gcs.get("show", URL.key) == PATTERN


class TestReading:
    def test_stored_gzip_comes_as_it_is_stored(self, gcs: FakeGcs, store: GcsStore):
        stored = gzip.compress(PATTERN)
        gcs.put("show", URL.key, stored, content_encoding="gzip")
        data, info = store.read(URL)
        assert data == stored
        assert info.content_encoding == "gzip"
        taken = Collected()
        store.download(info, taken, start=100, end=200)
        assert taken.data == stored[100:200]

    def test_many_reads_share_one_connection(self, gcs: FakeGcs, store: GcsStore):
        gcs.put("show", URL.key, b"x")
        info = store.stat(URL)
        before = len(gcs._server.open_sockets)
        for _ in range(20):
            store.download(info, Collected())
            store.stat(URL)
        assert len(gcs._server.open_sockets) == before

    def test_a_connection_that_the_server_closed_meanwhile_costs_no_retry(self, gcs: FakeGcs, store: GcsStore):
        gcs.put("show", URL.key, b"x")
        info = store.stat(URL)
        for connection in list(gcs._server.open_sockets):
            connection.shutdown(2)
        taken = Collected()
        store.download(info, taken)
        assert taken.data == b"x"
        assert store._retrier._clock.slept == []

    def test_the_rest_is_asked_for_after_a_break(self, gcs: FakeGcs, store: GcsStore):
        gcs.put("show", URL.key, PATTERN)
        info = store.stat(URL)
        gcs.faults.set([Fault(kind="get", action="short", at="middle")])
        store.download(info, Collected())
        first, second = [seen for seen in gcs.requests if seen.kind == "get"]
        assert first.range == ""
        assert second.range == f"bytes={len(PATTERN) // 2}-{len(PATTERN) - 1}"
        assert first.generation == second.generation == info.id.generation

    def test_a_record_overwritten_between_the_look_and_the_bytes_is_read_anew(
        self, gcs: FakeGcs, store: GcsStore, monkeypatch: pytest.MonkeyPatch
    ):
        gcs.put("show", "attempts/0/1.json", b"one beat")
        download = store.download
        beats = [b"two beats", b"three beats"]

        def overtaken(info: ObjectInfo, *rest: Any) -> None:
            if beats:
                gcs.put("show", "attempts/0/1.json", beats.pop(0))
            download(info, *rest)

        monkeypatch.setattr(store, "download", overtaken)
        url = ObjectUrl.parse("gs://show/attempts/0/1.json")
        pinned = store.stat(url).id.generation
        assert store.read(url)[0] == b"three beats"
        with pytest.raises(GenerationGone):
            store.read(url, generation=pinned)

    def test_a_plate_overwritten_in_mid_download_is_gone(self, gcs: FakeGcs, store: GcsStore):
        gcs.put("show", URL.key, PATTERN)
        info = store.stat(URL)
        gcs.faults.set([Fault(kind="get", action="short", at="middle")])
        taken = Collected()

        def sink(piece: memoryview) -> None:
            if not taken.data:
                gcs.put("show", URL.key, PATTERN[::-1])
            taken(piece)

        with pytest.raises(GenerationGone, match=r"plate\.1001\.exr"):
            store.download(info, sink)
        assert taken.data == PATTERN[: len(taken.data)]

    def test_long_listings_come_in_pages(self, gcs: FakeGcs, store: GcsStore):
        for number in range(2345):
            gcs.put("show", f"seq/f.{number:05}.exr", b"")
        gcs.put("show", "seq/", b"")
        gcs.put("show", "seq//odd", b"")
        root = ObjectUrl.parse("gs://show/seq")
        assert [info.url.name for info in store.list(root)] == [f"f.{number:05}.exr" for number in range(2345)]
        assert gcs.count("list") == 3

    def test_an_older_version_is_read_where_the_bucket_keeps_them(self, gcs: FakeGcs, store: GcsStore):
        gcs.create_bucket("kept", versioning=True)
        url = ObjectUrl.parse("gs://kept/plate")
        old = store.write(url, b"old", if_generation=ABSENT)
        store.write(url, b"new", if_generation=old.id.generation)
        assert store.read(url, generation=old.id.generation)[0] == b"old"
        assert store.read(url)[0] == b"new"


class TestWhoAsks:
    def test_a_refusal_names_account_permission_and_bucket(self, gcs: FakeGcs, store: GcsStore, file: Path):
        gcs.put("show", URL.key, b"x")
        info = store.stat(URL)
        gcs.deny("show")
        refused = [
            (lambda: store.stat(URL), "storage.objects.get"),
            (lambda: list(store.list(URL.parent)), "storage.objects.list"),
            (lambda: store.write(URL, b"", if_generation=ABSENT), "storage.objects.create"),
            (lambda: store.upload(URL, file, crc32c=CRC, if_generation=ABSENT), "storage.objects.create"),
            (lambda: store.delete(URL, if_generation=info.id.generation), "storage.objects.delete"),
        ]
        for work, permission in refused:
            with pytest.raises(PermissionDenied) as caught:
                work()
            for part in ("node@studio.iam.gserviceaccount.com", permission, "gs://show", "roles/storage.object"):
                assert part in str(caught.value)
        # Media answers in plain text, which names them as well.
        with pytest.raises(PermissionDenied, match=r"storage\.objects\.get on gs://show"):
            store.download(info, Collected())

    def test_a_nodes_own_token_is_used_and_renewed_when_it_is_refused(self, gcs: FakeGcs):
        gcs.put("show", URL.key, b"x")
        gcs.tokens = {"fake-token-1", "fake-token-2"}
        gcs.faults.set([Fault(kind="get", status=401)])
        code = f"""
import google.auth
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store.gcs import GcsStore
url = ObjectUrl.parse({str(URL)!r})
store = GcsStore(StoreSettings(endpoint={gcs.url!r}), credentials=google.auth.default()[0])
assert store.read(url)[0] == b"x"
assert [found.url for found in store.list(url.parent)] == [url]
"""
        with FakeMetadata() as metadata:
            # A process of its own, as google-auth reads the server's place when it is imported.
            environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **metadata.environment}
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            assert metadata.tokens == ["fake-token-1", "fake-token-2"]

    def test_a_token_that_stays_refused_is_an_error_that_says_what_to_do(self, gcs: FakeGcs):
        gcs.tokens = set()
        credentials = google.oauth2.credentials.Credentials("stale", refresh_handler=fresh_but_useless)
        store = GcsStore(StoreSettings(endpoint=gcs.url), FakeClock(), credentials)
        for work in (lambda: store.stat(URL), lambda: list(store.list(URL))):
            with pytest.raises(PermissionDenied, match="log in"):
                work()

    def test_no_credentials_is_an_error_that_says_how_to_log_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        store = GcsStore(StoreSettings(), FakeClock())
        for work in (lambda: store.stat(URL), lambda: list(store.list(URL)), lambda: store.delete(URL)):
            with pytest.raises(PermissionDenied, match="gcloud auth application-default login"):
                work()

    def test_the_emulators_variable_is_honoured(self, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch):
        gcs.put("show", URL.key, b"x")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url.removeprefix("http://"))
        store = open_store(StoreSettings())
        assert store.read(URL)[0] == b"x"
        store.close()

    @pytest.mark.parametrize("endpoint", ["ftp://host", "http://", "http://host:notaport"])
    def test_a_senseless_endpoint_is_refused(self, endpoint: str):
        with pytest.raises(ConfigError, match=r"store\.endpoint"):
            GcsStore(StoreSettings(endpoint=endpoint))

    def test_a_server_that_is_not_there_is_given_up_in_time(self):
        clock = FakeClock()
        store = GcsStore(StoreSettings(endpoint="http://127.0.0.1:9", deadline=20), clock)
        with pytest.raises(TransientStoreError, match="gave up after"):
            store.stat(URL)
        assert 0 < clock.monotonic() <= 20


def fresh_but_useless(request: object, scopes: object) -> tuple[str, dt.datetime]:
    return "another", dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1)


def every_exception(*modules: Any) -> list[type[Exception]]:
    found = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, Warning)
    }
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def made(kind: type[Exception]) -> Exception:
    """Some instance; libraries' constructors differ."""
    response = requests.Response()
    response.status_code = 503
    response._content = b""
    raw = urllib3.response.HTTPResponse(body=b"")
    told = ("it broke",)
    for arguments in ((response, *told), told, told * 2, (None, None, *told), (1, 2), (raw, b"x"), (*told, "{", 0), ()):
        try:
            error = kind(*arguments)
            str(error)
        except (TypeError, AttributeError):
            continue
        return error
    raise AssertionError(f"make one of {kind} here")


@pytest.mark.parametrize(
    "kind",
    every_exception(
        google.api_core.exceptions,
        google.auth.exceptions,
        google.cloud.storage.exceptions,
        requests.exceptions,
        urllib3.exceptions,
    ),
)
@pytest.mark.parametrize("verb", ["read", "list", "write", "delete"])
def test_no_error_of_googles_libraries_is_unmapped(kind: type[Exception], verb: str):
    problem = from_google(Doing(verb, URL), made(kind))
    if isinstance(problem, Passing):
        assert problem.problem.retryable
        problem = problem.problem
    assert isinstance(problem, JitRenderError)
    assert "plate.1001.exr" in str(problem)
    assert "\n" not in str(problem)


@pytest.mark.parametrize("status", [*range(300, 309), *range(400, 452), 499, *range(500, 512)])
def test_no_status_is_unmapped(status: int):
    for verb in ("read", "list", "write", "delete"):
        for generation in (None, "7"):
            problem = from_answer(Doing(verb, URL, generation), Answer(status, "said\nso."))
            assert isinstance(problem, JitRenderError | Passing)


def test_an_answer_is_read_whatever_it_is():
    html = b"<html>\n<title>Proxy error</title>\n" + b"x" * 10_000
    answer = Answer.read(502, {"Retry-After": "5"}, html)
    assert len(answer.message) <= 300
    assert "\n" not in answer.message
    assert answer.retry_after == 5.0
    later = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2026 07:29:30 GMT"}
    assert Answer.read(503, later, b"").retry_after == 90.0
    assert Answer.read(503, {"Retry-After": "soon"}, b"[]").retry_after == 0.0
    assert Answer.read(404, {}, b'{"error": {"message": "No such object: b/o"}}').message == "No such object: b/o"


def test_google_is_not_imported_before_a_bucket_is_used():
    code = """
import sys
from jit_render.model.identity import ObjectInfo, ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
store = open_store(StoreSettings())
list(store.list(ObjectUrl.parse("file:///nothing/here")))
assert not [name for name in sys.modules if name.startswith(("google.cloud", "google.auth", "fsspec"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_a_bucket_that_goes_away_is_named(gcs: FakeGcs, store: GcsStore):
    url = ObjectUrl.parse(f"gs://nowhere-{uuid.uuid4().hex[:6]}/a")
    with pytest.raises(BucketNotFound, match=url.root):
        store.read(url)
