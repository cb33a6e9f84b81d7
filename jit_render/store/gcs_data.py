"""The fast path out of Cloud Storage: descriptions, and one generation's bytes, in order, each once.

A download asks for ``alt=media&generation=N`` with ``Accept-Encoding: gzip``, so that the bytes come as they are
stored, and fills one reused buffer. When the connection breaks, stalls, trickles or ends early, it asks for the rest by
``Range`` of the same generation. It trickles when a block is not full within the time-out; it is given up when less
than `PROGRESS_BYTES` came within the deadline.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from http.client import HTTPResponse
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from google.auth.exceptions import GoogleAuthError

from jit_render.model.errors import GenerationGone, HostilePath, TransientStoreError
from jit_render.model.identity import ObjectInfo, ObjectUrl, check_key
from jit_render.store.crc import BLOCK_BYTES
from jit_render.store.gcs_access import Access
from jit_render.store.gcs_errors import Answer, Doing, from_answer, from_google, from_socket
from jit_render.store.gcs_lanes import Lane, Lanes, read_answer
from jit_render.store.gcs_objects import bucket_of, info_of_resource
from jit_render.store.port import Sink
from jit_render.store.retry import Pace, Passing, Retrier

PROGRESS_BYTES = BLOCK_BYTES
_MOST_OF_AN_ERROR = 64 * 1024
_MOST_OF_A_PAGE = 64 << 20
_FIELDS = "generation,size,crc32c,updated,metadata,contentEncoding"
_PAGE_FIELDS = f"items(name,{_FIELDS}),nextPageToken"
PAGE = 1000  # the most that one answer holds

T = TypeVar("T")


class Reader:
    """Reads descriptions and ranges of pinned generations; any number of threads at once."""

    def __init__(self, access: Access, lanes: Lanes, retrier: Retrier, timeout_seconds: float) -> None:
        self._access = access
        self._lanes = lanes
        self._retrier = retrier
        self._timeout_seconds = timeout_seconds

    def describe(self, doing: Doing) -> ObjectInfo:
        """One look at an object's metadata. Raises Passing and our permanent errors.

        The official client's ``reload`` is the same request for five times the CPU time, and a frame looks at
        hundreds of names.
        """
        _check_generation(doing)
        pinned = "" if doing.generation is None else f"&generation={doing.generation}"
        target = f"/storage/v1{_place(doing.url)}?fields={_FIELDS}{pinned}"
        return self._told(doing, target, lambda resource: info_of_resource(doing.url, resource))

    def page(self, doing: Doing, begins: str, delimiter: str, token: str) -> tuple[list[ObjectInfo], str]:
        """One page of the objects whose keys begin with `begins`, and the token of the next (empty: none).

        Folder markers (``name/``) and names that are no safe object name are left out. Raises as `describe` does.
        """
        asked = {
            "prefix": begins,
            "delimiter": delimiter,
            "pageToken": token,
            "maxResults": PAGE,
            "fields": _PAGE_FIELDS,
        }
        query = urlencode({key: value for key, value in asked.items() if value})
        target = f"/storage/v1/b/{quote(bucket_of(doing.url), safe='')}/o?{query}"
        root = doing.url.root
        return self._told(doing, target, lambda answer: (_listed(root, answer), answer.get("nextPageToken", "")))

    def _told(self, doing: Doing, target: str, read: Callable[[Any], T]) -> T:
        """What `read` makes of the answer's JSON."""
        lane, response = self._opened(doing, target, {})
        try:
            told = read(json.loads(read_answer(response, self._pace(), _MOST_OF_A_PAGE)))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
            lane.close()
            raise from_socket(doing, error) from error
        self._lanes.give_back(lane)
        return told

    def download(self, info: ObjectInfo, sink: Sink, start: int, stop: int) -> None:
        """Bytes ``start:stop`` of `info`'s generation to `sink`. Raises our errors; the sink's come out unchanged."""
        patience = self._retrier.patience()
        at, marked = start, start
        while at < stop:
            try:
                for piece in self._pieces(info, at, stop):
                    sink(piece)
                    at += len(piece)
                    if at - marked >= PROGRESS_BYTES:
                        marked = at
                        patience.progressed()
            except Passing as passing:
                patience.pause(passing)

    def _pieces(self, info: ObjectInfo, at: int, stop: int) -> Iterator[memoryview]:
        """What one request brings of ``at:stop``. Raises Passing when it breaks off."""
        doing = Doing("read", info.url, info.id.generation)
        _check_generation(doing)
        headers = {"Accept-Encoding": "gzip"}
        if at or stop != info.size_bytes:
            headers["Range"] = f"bytes={at}-{stop - 1}"
        lane, response = self._opened(doing, media_target(info), headers)
        try:
            _check(doing, info, response, stop - at)
            while at < stop:
                pace = self._pace()
                wanted = lane.buffer[: stop - at]
                count = _fill(doing, pace, lane, response, wanted)
                if count:
                    yield wanted[:count]
                at += count
                if count < len(wanted):
                    break
            response.close()
        except BaseException:
            lane.close()
            raise
        if at < stop:
            lane.close()
            how = "trickles" if pace.trickles else "ended early"
            raise from_socket(doing, ConnectionError(f"it {how}, {stop - at} bytes are missing"))
        self._lanes.give_back(lane)

    def _opened(self, doing: Doing, target: str, headers: dict[str, str]) -> tuple[Lane, HTTPResponse]:
        """A good answer. A 401 is met with a new token, once. Raises Passing and our permanent errors."""
        is_renewed = False
        while True:
            try:
                rights = self._access.headers()
                lane, response = self._lanes.ask("GET", target, {**headers, **rights})
                if response.status in {200, 206}:
                    return lane, response
                answer = self._answer(lane, response)
                is_renewed = answer.status == 401 and not is_renewed and self._access.refused(rights)
            except GoogleAuthError as error:
                raise from_google(doing, error) from error
            except (OSError, http.client.HTTPException) as error:
                raise from_socket(doing, error) from error
            if not is_renewed:
                raise from_answer(doing, answer)

    def _answer(self, lane: Lane, response: HTTPResponse) -> Answer:
        """What a refusal says; a refusal that cannot be read still has its status. Ends the lane."""
        try:
            body = read_answer(response, self._pace(), _MOST_OF_AN_ERROR)
        except (OSError, http.client.HTTPException):
            body = b""
        lane.close()
        return Answer.read(response.status, response.headers, body)

    def _pace(self) -> Pace:
        return self._retrier.pace(self._timeout_seconds)


def media_target(info: ObjectInfo) -> str:
    """What to ask for to get the bytes of exactly this generation."""
    return f"/download/storage/v1{_place(info.url)}?alt=media&generation={info.id.generation}"


def _listed(root: str, answer: dict[str, Any]) -> list[ObjectInfo]:
    found = []
    for resource in answer.get("items", ()):
        name = resource["name"]
        try:
            url = ObjectUrl(root, check_key(name, name))
        except HostilePath:
            continue
        found.append(info_of_resource(url, resource))
    return found


def _check(doing: Doing, info: ObjectInfo, response: HTTPResponse, wanted: int) -> None:
    """That this is the generation and the range that were asked for. (A careless proxy or server may differ.)"""
    generation = response.headers.get("X-Goog-Generation")
    if generation is not None and generation != info.id.generation:
        raise GenerationGone(f"{info.url}: generation {info.id.generation} is gone, the storage sent {generation}.")
    length = response.headers.get("Content-Length")
    if length is not None and length != str(wanted):
        raise Passing(TransientStoreError(f"{doing}: {length} bytes were offered where {wanted} were asked for."))


def _fill(doing: Doing, pace: Pace, lane: Lane, response: HTTPResponse, view: memoryview) -> int:
    """Fill `view`; fewer bytes at the end of the body, or where it only trickles."""
    try:
        return lane.fill(response, view, pace)
    except (OSError, http.client.HTTPException) as error:
        raise from_socket(doing, error) from error


def _check_generation(doing: Doing) -> None:
    """Raises GenerationGone for what no generation of Cloud Storage can be."""
    if doing.generation is not None and not doing.generation.isdecimal():
        raise GenerationGone(f"{doing.url}: {doing.generation!r} is no generation of Cloud Storage; submit again.")


def _place(url: ObjectUrl) -> str:
    return f"{_bucket(bucket_of(url))}/o/{quote(url.key, safe='')}"


@lru_cache(1000)
def _bucket(name: str) -> str:
    return f"/b/{quote(name, safe='')}"
