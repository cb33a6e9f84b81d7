"""Every way a call to Cloud Storage can fail, as one of our errors; `Passing` around those worth another try.

Three sources: an HTTP answer (`from_answer`), the sockets under our own data path (`from_socket`), and Google's
libraries with requests and urllib3 below them (`from_google`). Nothing of theirs leaves this package.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from textwrap import shorten
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import requests
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from jit_render.model.errors import (
    BucketNotFound,
    ChecksumMismatch,
    ConfigError,
    GenerationGone,
    ObjectNotFound,
    PermissionDenied,
    PreconditionFailed,
    RangeInvalid,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectUrl
from jit_render.store.retry import Passing

_TRY_AGAIN = {408, 429, 500, 502, 503, 504}
_TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded"}
_PERMISSION = re.compile(r"storage\.[A-Za-z]+\.[A-Za-z]+")
_WHO = re.compile(r"^(\S+@\S+) does not have")
_WRONG_HASH = re.compile(r"doesn't match calculated|hash mismatch", re.IGNORECASE)
_NEEDS = {
    "read": ("storage.objects.get", "roles/storage.objectViewer"),
    "list": ("storage.objects.list", "roles/storage.objectViewer"),
    "write": ("storage.objects.create", "roles/storage.objectUser"),
    "delete": ("storage.objects.delete", "roles/storage.objectUser"),
}
_LONGEST = 300
Headers = Mapping[str, str] | Message
"""Both find a header in any case."""


@dataclass(frozen=True, slots=True)
class Doing:
    """What was tried: ``read``, ``list``, ``write`` or ``delete``; where; on which generation, if on one."""

    verb: str
    url: ObjectUrl
    generation: str | None = None

    def __str__(self) -> str:
        return f"cannot {self.verb} {self.url}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    message: str
    reason: str = ""
    retry_after: float = 0.0

    @classmethod
    def read(cls, status: int, headers: Headers, body: bytes) -> Answer:
        """From a response whose body is the API's JSON, plain text (as for media) or anything a proxy may say."""
        message, reason = body.decode(errors="replace").strip(), ""
        try:
            error = json.loads(body)["error"]
            message = str(error["message"])
            reason = str(error["errors"][0]["reason"])
        except (ValueError, KeyError, IndexError, TypeError):
            pass
        message = " ".join(message.split())[:_LONGEST] or http.client.responses.get(status, "no reason given")
        return cls(status, message, reason, _seconds(headers))


def from_answer(doing: Doing, answer: Answer) -> Exception:
    """The error that an answer of 300 or more stands for."""
    status, said = answer.status, answer.message.rstrip(".")
    if status in _TRY_AGAIN or answer.reason in _TOO_FAST:
        problem = f"{doing}: the storage answered {status} ({said}); try again later."
        return Passing(TransientStoreError(problem), answer.retry_after)
    if status in {401, 403}:
        return _denied(doing, answer)
    if status in {404, 410}:
        return _missing(doing, answer)
    if status == 412:
        return PreconditionFailed(f"{doing}: somebody else created, changed or removed it first.")
    if status == 416:
        return RangeInvalid(f"{doing}: the range asked for is not within it ({said}).")
    if status == 400 and _WRONG_HASH.search(said):
        return Passing(ChecksumMismatch(f"{doing}: the storage received other bytes than were sent ({said})."))
    return StoreError(f"{doing}: the storage answered {status} ({said}).")


def from_socket(doing: Doing, error: Exception) -> Exception:
    """A broken, silent or confused connection; or one to a server that nobody vouches for."""
    distrust = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if distrust is not None:
        return ConfigError(
            f"{doing}: the server's certificate is not trusted ({distrust.verify_message}); where a proxy signs for "
            "the servers behind it, name the file of its authority in REQUESTS_CA_BUNDLE."
        )
    what = "nothing came in time" if isinstance(error, TimeoutError) else _innermost(error)
    problem = f"{doing}: the connection failed ({what}); look at the network and at store.endpoint, and try again."
    return Passing(TransientStoreError(problem))


def _innermost(error: BaseException) -> str:
    """What the operating system said, which libraries wrap in several layers of their own; else their own words."""
    said = str(error)
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            said = cause.strerror
    return shorten(said, _LONGEST, placeholder=" …") or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def from_google(doing: Doing, error: Exception) -> Exception:
    """Whatever the official client raised."""
    if isinstance(error, google.api_core.exceptions.GoogleAPICallError) and error.code:
        return from_answer(doing, _told(error))
    if isinstance(error, InvalidResponse):
        response = error.response
        return from_answer(doing, Answer.read(response.status_code, response.headers, response.content))
    if isinstance(error, DataCorruption):
        return Passing(ChecksumMismatch(f"{doing}: the bytes were damaged on their way."))
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return _no_credentials(doing, error)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return ConfigError(f"{doing}: {error}; correct store.endpoint or STORAGE_EMULATOR_HOST.")
    if isinstance(error, requests.exceptions.Timeout):
        return from_socket(doing, TimeoutError())
    if isinstance(error, OSError | http.client.HTTPException | ValueError | KeyError):
        # ValueError, KeyError: an answer that is no JSON, or not the JSON of an object, came off the wire damaged.
        return from_socket(doing, error)
    return StoreError(f"{doing}: {type(error).__name__}: {error}.")


def _told(error: google.api_core.exceptions.GoogleAPICallError) -> Answer:
    response: Any = error.response
    if response is not None and hasattr(response, "content"):
        return Answer.read(response.status_code, response.headers, response.content)
    return Answer(int(error.code or 0), str(error.message))


def _denied(doing: Doing, answer: Answer) -> PermissionDenied:
    needs, role = _NEEDS[doing.verb]
    named = _PERMISSION.search(answer.message)
    who = _WHO.match(answer.message)
    permission = named[0] if named else needs
    holder = who[1] if who else "the account in use"
    if answer.status == 401:
        return PermissionDenied(
            f"{doing}: the storage took no notice of our credentials ({answer.message.rstrip('.')}); log in with "
            "'gcloud auth application-default login', or give the node a service account."
        )
    return PermissionDenied(f"{doing}: {holder} lacks {permission} on {doing.url.root}; grant it {role} there.")


def _missing(doing: Doing, answer: Answer) -> StoreError:
    if "bucket" in answer.message.lower() or doing.verb in {"list", "write"}:
        return BucketNotFound(f"{doing}: there is no bucket {doing.url.root}; create it or correct the URL.")
    if doing.generation is not None:
        return GenerationGone(
            f"{doing.url}: generation {doing.generation} is gone, it was overwritten or removed; submit again, "
            "or follow the newest with --latest."
        )
    return ObjectNotFound(f"{doing.url} does not exist.")


def _no_credentials(doing: Doing, error: google.auth.exceptions.GoogleAuthError) -> Exception:
    if isinstance(error, google.auth.exceptions.TransportError) or error.retryable:
        return from_socket(doing, error)
    return PermissionDenied(
        f"{doing}: no usable Google credentials ({' '.join(str(error).split())[:_LONGEST].rstrip('.')}); log in with "
        "'gcloud auth application-default login', or give the node a service account."
    )


def _seconds(headers: Headers) -> float:
    """``Retry-After``, as seconds or as a date (counted from the answer's own ``Date``)."""
    text = headers.get("Retry-After") or ""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        then = email.utils.parsedate_to_datetime(text)
        return max(0.0, (then - email.utils.parsedate_to_datetime(headers.get("Date") or "")).total_seconds())
    except (ValueError, TypeError):
        return 0.0
