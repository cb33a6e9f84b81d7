"""One deployment's way to Google Cloud: credentials, authorised REST, Compute's clients, the buckets' client.

Compute is spoken to by its library, buckets by theirs, and the small services (IAM, Resource Manager, Service Usage,
Billing) by plain authorised REST: fewer libraries to install, and the requests are those of the public reference.
Google's exceptions end here and in `translated`; everything else sees the project's own error tree.

With ``gcp.compute_endpoint`` all services are looked for at that one address, without credentials: a token must not
reach a stranger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from jit_render.model.clock import Clock, SystemClock
from jit_render.model.errors import (
    CloudConflict,
    CloudDenied,
    CloudError,
    CloudNotFound,
    CloudUnavailable,
    ConfigError,
)
from jit_render.model.settings import GcpSettings, Settings

T = TypeVar("T")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TRIES = 5
_TIMEOUT_SECONDS = 60.0


class Cloud:
    """Settings, and the connections that are opened when they are first used."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.gcp: GcpSettings = settings.gcp
        self.clock: Clock = clock or SystemClock()
        self._clients: dict[str, Any] = {}
        if not self.gcp.project:
            raise ConfigError("gcp.project is not set; write it with jit-deploy init.")

    @property
    def project(self) -> str:
        return self.gcp.project

    @property
    def labels(self) -> dict[str, str]:
        """What marks everything that this deployment makes."""
        return {"jit-render": self.gcp.name}

    @cached_property
    def credentials(self) -> Any:
        """The machine's own. Raises CloudDenied with the command that makes them."""
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError

        if self.gcp.compute_endpoint:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth is typed in part
        try:
            return google.auth.default(scopes=[_SCOPE])[0]
        except GoogleAuthError as error:
            raise CloudDenied(
                f"no credentials of Google Cloud: {error}. gcloud auth application-default login"
            ) from None

    def rest(
        self,
        service: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One call on ``<service>.googleapis.com``; what only reads is tried again. Raises CloudError."""
        url = (self.gcp.compute_endpoint or f"https://{service}.googleapis.com") + path
        tries = _TRIES if method == "GET" or path.endswith((":getIamPolicy", ":testIamPermissions")) else 1
        for attempt in range(1, tries + 1):
            try:
                return self._once(method, url, body, query)
            except CloudUnavailable:
                if attempt == tries:
                    raise
                self.clock.sleep(2.0**attempt / 2)
        raise AssertionError

    def _once(
        self, method: str, url: str, body: Mapping[str, Any] | None, query: Mapping[str, str] | None
    ) -> dict[str, Any]:
        import requests
        from google.auth.exceptions import GoogleAuthError

        place = f"{method} {url.partition('://')[2]}"
        try:
            answer = self._session.request(method, url, json=body, params=query, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise CloudUnavailable(f"{place}: no answer ({type(error).__name__}); run it again.") from None
        except GoogleAuthError as error:
            raise CloudDenied(f"{place}: {error}. gcloud auth application-default login") from None
        try:
            said = answer.json() if answer.content else {}
        except ValueError:
            said = {}
        if answer.status_code >= 400:
            told = said.get("error", {}) if isinstance(said, dict) else {}
            message = str(told.get("message") or answer.reason) if isinstance(told, dict) else str(told)
            raise error_of(answer.status_code, place, message)
        return dict(said)

    @cached_property
    def _session(self) -> Any:
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self.credentials)  # type: ignore[no-untyped-call]  # google-auth is typed in part

    def compute(self, kind: str) -> Any:
        """The client of one collection, like ``Networks``."""
        if kind not in self._clients:
            from google.api_core.client_options import ClientOptions
            from google.cloud import compute_v1

            options = ClientOptions(api_endpoint=self.gcp.compute_endpoint) if self.gcp.compute_endpoint else None
            client = getattr(compute_v1, f"{kind}Client")
            self._clients[kind] = client(credentials=self.credentials, client_options=options)
        return self._clients[kind]

    @cached_property
    def buckets(self) -> Any:
        """The client of Cloud Storage. Its own retries are off for what changes something."""
        from google.cloud.storage import Client

        endpoint = self.settings.store.endpoint
        if self.gcp.compute_endpoint and not endpoint:
            raise ConfigError("gcp.compute_endpoint is set but store.endpoint is not; set both or none.")
        options = {"api_endpoint": endpoint} if endpoint else None
        return Client(project=self.project, credentials=self.credentials, client_options=options)

    def close(self) -> None:
        if "_session" in self.__dict__:
            self._session.close()
        if "buckets" in self.__dict__:
            self.buckets.close()
        for client in self._clients.values():
            client.transport.close()


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Google's exceptions become ours. `place` says what was tried, like ``network studio``."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except GoogleAPICallError as error:
        raise error_of(int(error.code or 500), place, str(error.message)) from None
    except (requests.RequestException, RetryError) as error:
        raise CloudUnavailable(f"{place}: no answer ({type(error).__name__}); run it again.") from None
    except GoogleAuthError as error:
        raise CloudDenied(f"{place}: {error}. gcloud auth application-default login") from None


def error_of(status: int, place: str, message: str) -> CloudError:
    """The error of our tree that an HTTP status stands for."""
    text = f"{place}: {message.rstrip('.')} ({status})."
    if status in {401, 403}:
        return CloudDenied(f"{text} jit-deploy doctor says what is missing.")
    if status == 404:
        return CloudNotFound(text)
    if status in {409, 412}:
        return CloudConflict(text)
    if status in {408, 429} or status >= 500:
        return CloudUnavailable(f"{text} Run it again.")
    return CloudError(text)


def is_off(error: CloudError) -> bool:
    """Whether a refusal only says that the API is off in this project: nothing of it can be there then."""
    return isinstance(error, CloudDenied) and ("has not been used" in str(error) or "is disabled" in str(error))


def found(place: str, look: Callable[[], T]) -> T | None:
    """What `look` finds; None where there is nothing of that name. Raises CloudError."""
    try:
        with translated(place):
            return look()
    except CloudNotFound:
        return None
