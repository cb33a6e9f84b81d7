"""Where Cloud Storage is and as whom we speak to it: endpoint, credentials, the official client."""

from __future__ import annotations

import os
import threading
from typing import Any
from urllib.parse import SplitResult, urlsplit

import google.auth
import google.auth.transport.requests
from google.auth.credentials import AnonymousCredentials, Credentials, TokenState
from google.cloud.storage import Client

from jit_render.model.errors import ConfigError
from jit_render.model.settings import StoreSettings

_PUBLIC = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_GOOGLES = (".googleapis.com", ".googleapis.com:443")


class Access:
    """Endpoint and credentials; both are looked for at the first use.

    An endpoint that is not Google's own (``store.endpoint``, ``STORAGE_EMULATOR_HOST``) is spoken to without
    credentials: a token must not reach a stranger.
    """

    def __init__(self, settings: StoreSettings, credentials: Credentials | None = None) -> None:
        self.endpoint = _endpoint(settings.endpoint or os.environ.get("STORAGE_EMULATOR_HOST", ""))
        self._project = settings.project or None
        self._lock = threading.Lock()
        self._credentials: Any = credentials  # google-auth is typed in part only
        self._client: Client | None = None
        self._request: Any = None

    @property
    def origin(self) -> str:
        """``https://host[:port]``, without a slash at the end."""
        return f"{self.endpoint.scheme}://{self.endpoint.netloc}"

    @property
    def client(self) -> Client:
        """The official client. Raises google.auth's errors."""
        with self._lock:
            if self._client is None:
                # The library would else ask for the bucket's own metadata in a thread, for traces nobody collects.
                os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
                options = {"api_endpoint": self.origin}
                self._client = Client(project=self._project, credentials=self._found(), client_options=options)
            return self._client

    def headers(self) -> dict[str, str]:
        """What authorises a request of our own; refreshed when it is about to expire. Raises google.auth's errors."""
        with self._lock:
            credentials = self._found()
            headers: dict[str, str] = {}
            if not isinstance(credentials, AnonymousCredentials):
                credentials.before_request(self._requester(), "GET", self.origin, headers)
            return headers

    def headers_at_hand(self) -> dict[str, str] | None:
        """The same without waiting; None where a token is to be fetched first, or is being fetched."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._credentials is None and self.endpoint.netloc.endswith(_GOOGLES):
                return None  # looking for them asks the machine's metadata server
            credentials = self._found()
            headers: dict[str, str] = {}
            if not isinstance(credentials, AnonymousCredentials):
                if credentials.token_state is not TokenState.FRESH:
                    return None
                credentials.apply(headers)
            return headers
        finally:
            self._lock.release()

    def refused(self, headers: dict[str, str]) -> bool:
        """The server answered 401 to `headers`: get a new token unless somebody did. False: there is none to get."""
        with self._lock:
            credentials = self._found()
            if isinstance(credentials, AnonymousCredentials):
                return False
            if f"Bearer {credentials.token}" == (headers.get("Authorization") or headers.get("authorization")):
                credentials.refresh(self._requester())
            return True

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def renew(self) -> None:
        """In a child after a fork: connections and locks of its own; the token stays good."""
        self._lock = threading.Lock()
        self._client = None
        self._request = None

    def _requester(self) -> Any:
        if self._request is None:
            self._request = google.auth.transport.requests.Request()
        return self._request

    def _found(self) -> Any:
        if self._credentials is None:
            if self.endpoint.netloc.endswith(_GOOGLES):
                self._credentials, project = google.auth.default(scopes=[_SCOPE])
                self._project = self._project or project
            else:
                self._credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth is typed in part
        return self._credentials


def _endpoint(text: str) -> SplitResult:
    """The endpoint as scheme, host and port. Raises ConfigError."""
    if not text:
        return urlsplit(_PUBLIC)
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{text!r} is no storage endpoint; write it like http://127.0.0.1:9000 (store.endpoint).")
    return parts
