"""The fake Cloud Storage behaves as the public reference says, seen through the official client and bare HTTP."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import google.api_core.exceptions as refusals
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.fake_metadata import FakeMetadata
from jit_render.testing.faults import Fault, load
from jit_render.testing.gcs_fields import select
from jit_render.testing.gcs_process import FakeGcsProcess

MIB = 1 << 20


@pytest.fixture
def gcs():
    with FakeGcs(buckets=["show"]) as server:
        yield server


@pytest.fixture
def bucket(gcs: FakeGcs):
    client = storage.Client(
        project="studio", credentials=AnonymousCredentials(), client_options={"api_endpoint": gcs.url}
    )
    yield client.bucket("show")
    client.close()


def ask(url: str, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(method, target, body, {key.replace("_", "-"): value for key, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def test_generations_and_preconditions(bucket: storage.Bucket):
    blob = bucket.blob("a")
    blob.upload_from_string(b"1", if_generation_match=0)
    first = blob.generation
    with pytest.raises(refusals.PreconditionFailed):
        bucket.blob("a").upload_from_string(b"2", if_generation_match=0)
    blob.upload_from_string(b"2", if_generation_match=first)
    assert blob.generation != first
    with pytest.raises(refusals.NotFound):
        bucket.blob("a", generation=first).download_as_bytes()
    with pytest.raises(refusals.PreconditionFailed):
        blob.delete(if_generation_match=first)
    blob.metadata = {"k": "v"}
    blob.patch(if_metageneration_match=1)
    assert (blob.metageneration, blob.metadata) == (2, {"k": "v"})
    with pytest.raises(refusals.PreconditionFailed):
        blob.patch(if_metageneration_match=1)


def test_not_modified_and_not_found(gcs: FakeGcs):
    version = gcs.put("show", "a", b"1")
    place = f"/storage/v1/b/show/o/a?ifGenerationNotMatch={version.generation}"
    assert ask(gcs.url, "GET", place)[0] == 304
    status, _, body = ask(gcs.url, "GET", "/storage/v1/b/show/o/none")
    error = json.loads(body)["error"]
    assert (status, error["code"], error["errors"][0]["reason"]) == (404, 404, "notFound")
    status, headers, body = ask(gcs.url, "GET", "/storage/v1/b/show/o/none?alt=media")
    assert (status, body) == (404, b"No such object: show/none")
    assert headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("wanted", "status", "content_range", "body"),
    [
        ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-2", 206, "bytes 8-9/10", b"89"),
        ("bytes=5-100", 206, "bytes 5-9/10", b"56789"),
        ("bytes=10-", 416, "bytes */10", None),
        ("bytes=5-2", 200, None, b"0123456789"),
        ("lines=1-2", 200, None, b"0123456789"),
    ],
)
def test_ranges(gcs: FakeGcs, wanted: str, status: int, content_range: str | None, body: bytes | None):
    gcs.put("show", "a", b"0123456789")
    answer = ask(gcs.url, "GET", "/download/storage/v1/b/show/o/a?alt=media", Range=wanted)
    assert (answer[0], answer[1].get("content-range")) == (status, content_range)
    assert body is None or answer[2] == body


def test_media_headers_tell_generation_and_hashes(gcs: FakeGcs):
    version = gcs.put("show", "a", b"123456789")
    _, headers, _ = ask(gcs.url, "HEAD", "/storage/v1/b/show/o/a?alt=media")
    assert headers["x-goog-generation"] == str(version.generation)
    assert headers["x-goog-hash"] == "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw=="
    assert headers["content-length"] == "9"


def test_a_resumable_upload_step_by_step(gcs: FakeGcs):
    base = "/upload/storage/v1/b/show/o?uploadType=resumable&name=big"
    data = bytes(range(256)) * 4096
    status, headers, _ = ask(gcs.url, "POST", base + "&ifGenerationMatch=0", b"{}", Content_Type="application/json")
    target = headers["location"].removeprefix(gcs.url)
    assert status == 200
    assert ask(gcs.url, "PUT", target, Content_Range=f"bytes */{MIB}")[:2][0] == 308
    status, headers, _ = ask(gcs.url, "PUT", target, data[:300_000], Content_Range=f"bytes 0-299999/{MIB}")
    assert (status, headers["range"]) == (308, "bytes=0-262143")
    assert ask(gcs.url, "PUT", target, b"x", Content_Range=f"bytes 500000-500000/{MIB}")[0] == 400
    status, _, body = ask(gcs.url, "PUT", target, data[262_144:], Content_Range=f"bytes 262144-{MIB - 1}/{MIB}")
    assert (status, json.loads(body)["size"]) == (200, str(MIB))
    assert gcs.get("show", "big") == data
    again = ask(gcs.url, "PUT", target, Content_Range=f"bytes */{MIB}")
    assert json.loads(again[2])["generation"] == json.loads(body)["generation"]
    assert ask(gcs.url, "POST", base + "&ifGenerationMatch=0", b"{}")[0] == 412


def test_a_cancelled_or_unknown_session_takes_nothing(gcs: FakeGcs):
    _, headers, _ = ask(gcs.url, "POST", "/upload/storage/v1/b/show/o?uploadType=resumable&name=a", b"{}")
    target = headers["location"].removeprefix(gcs.url)
    assert ask(gcs.url, "DELETE", target)[0] == 499
    assert ask(gcs.url, "PUT", target, b"x")[0] == 499
    assert ask(gcs.url, "PUT", "/upload/storage/v1/b/show/o?uploadType=resumable&upload_id=none", b"x")[0] == 404
    assert gcs.objects("show") == {}


def test_a_wrong_hash_is_refused(gcs: FakeGcs):
    target = "/upload/storage/v1/b/show/o?uploadType=media&name=a"
    assert ask(gcs.url, "POST", target, b"x", X_Goog_Hash="crc32c=AAAAAA==")[0] == 400
    assert ask(gcs.url, "POST", target, b"123456789", X_Goog_Hash="crc32c=4waSgw==")[0] == 200


def test_lists_page_fold_and_show_what_is_asked(gcs: FakeGcs, bucket: storage.Bucket):
    for name in ("a", "d/1", "d/2", "e/1", "f"):
        gcs.put("show", name, b"")
    client = bucket.client
    assert [blob.name for blob in client.list_blobs("show", page_size=2)] == ["a", "d/1", "d/2", "e/1", "f"]
    folded = client.list_blobs("show", delimiter="/", page_size=1)
    assert [blob.name for blob in folded] == ["a", "f"]
    assert folded.prefixes == {"d/", "e/"}
    assert [blob.name for blob in client.list_blobs("show", prefix="d/", start_offset="d/2")] == ["d/2"]
    _, _, body = ask(gcs.url, "GET", "/storage/v1/b/show/o?fields=items(name,size)&maxResults=1")
    assert json.loads(body) == {"items": [{"name": "a", "size": "0"}]}


def test_versions_are_kept_where_the_bucket_says_so(gcs: FakeGcs, bucket: storage.Bucket):
    gcs.create_bucket("kept", versioning=True)
    old = gcs.put("kept", "a", b"old")
    gcs.put("kept", "a", b"new")
    kept = bucket.client.bucket("kept")
    assert kept.blob("a", generation=old.generation).download_as_bytes() == b"old"
    assert len(list(bucket.client.list_blobs("kept", versions=True))) == 2
    assert len(list(bucket.client.list_blobs("kept"))) == 1


@pytest.mark.parametrize("name", ["", ".", "..", "a%0Ab", "a%0Db", "x" * 1025, ".well-known/acme-challenge/a"])
def test_names_that_storage_refuses_are_refused(gcs: FakeGcs, name: str):
    assert ask(gcs.url, "POST", f"/upload/storage/v1/b/show/o?uploadType=media&name={name}", b"x")[0] == 400


def test_a_bucket_must_be_made_first(bucket: storage.Bucket):
    with pytest.raises(refusals.NotFound, match="bucket does not exist"):
        bucket.client.bucket("none").blob("a").upload_from_string(b"")
    with pytest.raises(refusals.Conflict):
        bucket.client.create_bucket("show")
    assert bucket.client.create_bucket("other").exists()


def test_a_copy_is_an_object_of_its_own(gcs: FakeGcs, bucket: storage.Bucket):
    gcs.put("show", "a", b"1", metadata={"k": "v"})
    copied = bucket.copy_blob(bucket.blob("a"), bucket, "b", if_generation_match=0)
    assert (copied.metadata, gcs.get("show", "b")) == ({"k": "v"}, b"1")
    assert set(gcs.objects("show")) == {"a", "b"}


def test_requests_are_counted_by_kind_and_name(gcs: FakeGcs, bucket: storage.Bucket):
    bucket.blob("a/b").upload_from_string(b"1", if_generation_match=0)
    bucket.blob("a/b").download_as_bytes()
    bucket.blob("a/b").download_as_bytes()
    assert gcs.count("write", "show", "a/b") == 1
    assert gcs.count("get", "show", "a/b") == gcs.count("get", "show") == gcs.count("get") == 2
    gcs.reset_counts()
    assert gcs.count("get") == 0


def test_bandwidth_is_shared_by_all(monkeypatch: pytest.MonkeyPatch):
    waited: list[float] = []
    with FakeGcs(buckets=["show"], bandwidth=MIB) as gcs:
        monkeypatch.setattr(gcs.stopped, "wait", waited.append)
        gcs.put("show", "a", bytes(4 * MIB))
        ask(gcs.url, "GET", "/storage/v1/b/show/o/a?alt=media")
        ask(gcs.url, "GET", "/storage/v1/b/show/o/a?alt=media")
    assert waited[-1] == pytest.approx(8.0, abs=1.0)


def test_a_folder_outlives_its_server(tmp_path: Path):
    with FakeGcs(buckets=["show"], folder=tmp_path) as first:
        first.put("show", "a/b", b"old", metadata={"k": "v"})
        kept = first.put("show", "a/b", b"new", metadata={"k": "v"})
        first.put("show", "gone", b"")
        first.remove("show", "gone")
    with FakeGcs(buckets=["show"], folder=tmp_path) as second:
        assert second.get("show", "a/b") == b"new"
        assert second.objects("show")["a/b"].generation == kept.generation
        assert list(second.objects("show")) == ["a/b"]
        assert second.put("show", "a/b", b"newer").generation > kept.generation


def test_it_runs_as_a_process_and_has_a_side_door(tmp_path: Path):
    with FakeGcsProcess(buckets=["show"], folder=tmp_path) as gcs:
        gcs.put("show", "a b", b"x")
        gcs.set_faults([Fault(kind="get", status=503)])
        place = "/storage/v1/b/show/o/a%20b?alt=media"
        assert [ask(gcs.url, "GET", place)[0] for _ in range(2)] == [503, 200]
        assert (gcs.count("get", "show", "a b"), gcs.count("get"), gcs.count("write")) == (2, 2, 1)
        gcs.reset_counts()
        assert gcs.count("get") == 0
        gcs.process.kill()
    with FakeGcsProcess(buckets=["show"], folder=tmp_path) as gcs:
        assert ask(gcs.url, "GET", place)[2] == b"x"


def test_faults_are_data(tmp_path: Path):
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\nkind = "get"\nname = "plates/*"\nstatus = 429\nretry_after = 3\nafter = 1\ntimes = 2\n')
    assert load(file) == [Fault(kind="get", name="plates/*", status=429, retry_after=3, after=1, times=2)]
    with FakeGcs(buckets=["show"], faults=load(file)) as gcs:
        gcs.put("show", "plates/a", b"x")
        answers = [ask(gcs.url, "GET", "/storage/v1/b/show/o/plates%2Fa?alt=media") for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 429, 429, 200]
    assert answers[1][1]["retry-after"] == "3"
    with pytest.raises(ValueError, match="no colour"):
        Fault.parse({"colour": "red"})


def test_fields_select_parts():
    shown = {"items": [{"name": "a", "size": "1", "metadata": {"k": "v", "l": "w"}}], "kind": "x", "next": "t"}
    assert select(shown, "items(name,metadata/k),next") == {
        "items": [{"name": "a", "metadata": {"k": "v"}}],
        "next": "t",
    }
    assert select(shown, "items/size") == {"items": [{"size": "1"}]}
    assert select(shown, None) == select(shown, "*") == shown


def test_the_metadata_server_hangs_until_the_notice():
    place, flavour = "/computeMetadata/v1/instance/preempted", {"Metadata_Flavor": "Google"}
    with FakeMetadata() as metadata, ThreadPoolExecutor(1) as pool:
        assert ask(metadata.url, "GET", place)[0] == 403
        assert ask(metadata.url, "GET", place, **flavour)[2] == b"FALSE"
        assert ask(metadata.url, "GET", place + "?wait_for_change=true&timeout_sec=0.01", **flavour)[2] == b"FALSE"
        hanging = pool.submit(ask, metadata.url, "GET", place + "?wait_for_change=true", **flavour)
        assert metadata.wait_for_readers(1)
        metadata.preempt()
        assert hanging.result(10)[2] == b"TRUE"
        assert ask(metadata.url, "GET", "/computeMetadata/v1/nothing", **flavour)[0] == 404


def test_a_body_may_come_in_chunks_and_its_parts_without_headers(gcs: FakeGcs):
    pixels = b"pixels" * 1000
    head = b'--mark\r\nContent-Type: application/json\r\n\r\n{"name": "a.exr"}\r\n--mark\r\n\r\n'
    connection = http.client.HTTPConnection(urlsplit(gcs.url).netloc)
    body = iter([head, pixels, b"\r\n--mark--\r\n"])
    headers = {"Content-Type": "multipart/related; boundary=mark"}
    target = "/upload/storage/v1/b/show/o?uploadType=multipart"
    connection.request("POST", target, body=body, headers=headers, encode_chunked=True)
    shown = json.loads(connection.getresponse().read())
    connection.close()
    assert (shown["name"], shown["size"]) == ("a.exr", str(len(pixels)))
