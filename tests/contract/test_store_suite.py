"""Every backend, and the router before it, passes the one suite."""

from __future__ import annotations

import dataclasses
import os
import uuid
from pathlib import Path

import pytest

from jit_render.model.identity import ObjectUrl
from jit_render.model.settings import StoreSettings
from jit_render.store import open_store
from jit_render.store.local import LocalStore
from jit_render.testing.certificates import Certificates
from jit_render.testing.fake_gcs import FakeGcs
from jit_render.testing.store_suite import StoreSuite


@pytest.fixture
def store():
    opened = open_store(StoreSettings())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def gcs():
    with FakeGcs(buckets=["show"]) as server:
        yield server


@pytest.fixture(scope="module")
def gcs_in_folder(tmp_path_factory: pytest.TempPathFactory):
    with FakeGcs(buckets=["show"], folder=tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="module")
def gcs_over_tls(tmp_path_factory: pytest.TempPathFactory):
    certificates = Certificates.make(tmp_path_factory.mktemp("tls"))
    with FakeGcs(buckets=["show"], tls=certificates.context()) as server:
        yield server.url, certificates.authority


class TestFiles(StoreSuite):
    @pytest.fixture
    def root(self, tmp_path: Path):
        return ObjectUrl.parse(f"file://{tmp_path}/show")


class TestFilesWithoutAttributes(StoreSuite):
    """As on a file system that keeps no user attributes."""

    @pytest.fixture
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "setxattr", refuse)
        told = LocalStore().guarantees("file://")
        monkeypatch.setattr(LocalStore, "guarantees", lambda *_: dataclasses.replace(told, writer_mark=False))
        return ObjectUrl.parse(f"file://{tmp_path}/show")


class TestMemory(StoreSuite):
    @pytest.fixture
    def root(self):
        return ObjectUrl.parse(f"memory://show-{uuid.uuid4().hex}/sh010")


class TestCloudStorage(StoreSuite):
    missing_bucket = ObjectUrl.parse("gs://nowhere/a/b")

    @pytest.fixture
    def store(self, gcs: FakeGcs):
        opened = open_store(StoreSettings(endpoint=gcs.url, timeout=10, deadline=30))
        yield opened
        opened.close()

    @pytest.fixture
    def root(self):
        return ObjectUrl.parse(f"gs://show/{uuid.uuid4().hex}")


class TestCloudStorageOverTls(TestCloudStorage):
    """As the real one, and vouched for by somebody whom only the environment names."""

    @pytest.fixture
    def store(self, gcs_over_tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch):
        url, authority = gcs_over_tls
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        opened = open_store(StoreSettings(endpoint=url, timeout=10, deadline=30))
        yield opened
        opened.close()


class TestCloudStorageInFolder(TestCloudStorage):
    """The server keeps its objects on disk."""

    @pytest.fixture
    def gcs(self, gcs_in_folder: FakeGcs):
        return gcs_in_folder
