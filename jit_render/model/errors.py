"""The error tree. Every failure a user can meet is one of these.

::

    JitRenderError                 exit  retryable
    ├── UsageError                  2    no    the command, its configuration or a name is wrong
    │   ├── BadFrameRange
    │   ├── ConfigError
    │   ├── ScriptError                        the .nk text cannot be read (carries the line)
    │   ├── Undecided                          a value that cannot be told from the script alone
    │   ├── UnsupportedNode                    the stand-in cannot do this node class
    │   └── PathRefused
    │       ├── UnmappedPath
    │       └── HostilePath                    leaves its root, NUL, newline, too long
    ├── StoreError                  1    no
    │   ├── ObjectNotFound          3    no
    │   ├── GenerationGone          3    no    the pinned version was overwritten and not kept
    │   ├── BucketNotFound          2    no
    │   ├── PermissionDenied        2    no
    │   ├── PreconditionFailed      1    no    somebody else wrote first
    │   ├── RangeInvalid            1    no
    │   └── TransientStoreError    75    yes   time-outs, resets, 408, 429, 5xx after all retries
    │       └── ChecksumMismatch   75    yes   the bytes that came are not the bytes that were asked for
    ├── CacheError                  1    no
    │   ├── CacheTooSmall                      what one frame holds exceeds the limit; says how much is needed
    │   ├── CacheLocked             2    no    another agent owns this cache
    │   ├── CacheUnusable           2    no    read-only, not a folder
    │   ├── DiskFull               75    yes   no room even after eviction
    │   ├── DiskFailing            75    yes   the cache's disk answers with I/O errors; it is probed again
    │   └── PrefetchSkipped               no   a prefetch gave way; a demand for the same object would not
    ├── AgentError                 75    yes
    │   ├── AgentLost              75    yes   the socket closed and no agent took over in time
    │   ├── ProtocolError           1    no    what came over the socket is not the protocol
    │   └── OutputBusy             75    yes   another live process is writing this file
    ├── RenderError                 1    no    the renderer failed on a frame
    │   ├── MissingInput            3    no    inputs that are truly absent, all of them at once
    │   ├── LicenceShortage        75    yes
    │   ├── OutOfMemory            75    yes
    │   └── OutputInvalid           1    no    a written file is incomplete or is no EXR
    ├── Preempted                  75    yes
    ├── CloudError                  1    no    a service of Google Cloud refused a call
    │   ├── CloudNotFound           3    no
    │   ├── CloudConflict           1    no    it is there already, or somebody else changed it first
    │   ├── CloudDenied             2    no    no credentials, no permission, or the API is off
    │   └── CloudUnavailable       75    yes   time-outs, 429, 5xx
    └── JobError                    2    no
        ├── JobNotFound
        └── JobConflict

``retryable`` says whether trying the same again can help without anybody changing anything;
``exit_code`` is what a command ends with. Foreign errors are mapped at one boundary each
(Google's in ``store/gcs.py``, the operating system's in ``cache/`` and ``store/local.py``).
"""

from __future__ import annotations

from typing import ClassVar


class JitRenderError(Exception):
    """Base of all. The message is one line: the thing, the place, the way out."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The class's name, as it travels over the socket and into records."""
        return type(self).__name__


class UsageError(JitRenderError):
    exit_code = 2


class BadFrameRange(UsageError): ...


class ConfigError(UsageError): ...


class ScriptError(UsageError):
    """The text of a script cannot be read.

    ``line`` counts from 1; None where no line can be named.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class Undecided(UsageError):
    """A value of a script cannot be told without running Nuke.

    ``text`` is what could not be told; ``node`` (full name), ``knob`` and ``line`` say where it stands.
    """

    def __init__(
        self, message: str, *, text: str = "", node: str = "", knob: str = "", line: int | None = None
    ) -> None:
        super().__init__(" ".join(message.split()))  # it holds pieces of a script, which may hold line ends
        self.text = text
        self.node = node
        self.knob = knob
        self.line = line


class UnsupportedNode(UsageError): ...


class PathRefused(UsageError): ...


class UnmappedPath(PathRefused): ...


class HostilePath(PathRefused): ...


class StoreError(JitRenderError): ...


class ObjectNotFound(StoreError):
    exit_code = 3


class GenerationGone(StoreError):
    exit_code = 3


class BucketNotFound(StoreError):
    exit_code = 2


class PermissionDenied(StoreError):
    exit_code = 2


class PreconditionFailed(StoreError): ...


class RangeInvalid(StoreError): ...


class TransientStoreError(StoreError):
    exit_code = 75
    retryable = True


class ChecksumMismatch(TransientStoreError): ...


class CacheError(JitRenderError): ...


class CacheTooSmall(CacheError): ...


class CacheLocked(CacheError):
    exit_code = 2


class CacheUnusable(CacheError):
    exit_code = 2


class DiskFull(CacheError):
    exit_code = 75
    retryable = True


class DiskFailing(CacheError):
    exit_code = 75
    retryable = True


class PrefetchSkipped(CacheError): ...


class AgentError(JitRenderError):
    exit_code = 75
    retryable = True


class AgentLost(AgentError): ...


class ProtocolError(AgentError):
    exit_code = 1
    retryable = False


class OutputBusy(AgentError): ...


class RenderError(JitRenderError): ...


class MissingInput(RenderError):
    exit_code = 3


class LicenceShortage(RenderError):
    exit_code = 75
    retryable = True


class OutOfMemory(RenderError):
    exit_code = 75
    retryable = True


class OutputInvalid(RenderError): ...


class Preempted(JitRenderError):
    exit_code = 75
    retryable = True


class CloudError(JitRenderError): ...


class CloudNotFound(CloudError):
    exit_code = 3


class CloudConflict(CloudError): ...


class CloudDenied(CloudError):
    exit_code = 2


class CloudUnavailable(CloudError):
    exit_code = 75
    retryable = True


class JobError(JitRenderError):
    exit_code = 2


class JobNotFound(JobError): ...


class JobConflict(JobError): ...


def every_error() -> dict[str, type[JitRenderError]]:
    """Every class of the tree by its name, as records and the socket spell it."""
    found: dict[str, type[JitRenderError]] = {}
    todo: list[type[JitRenderError]] = [JitRenderError]
    while todo:
        cls = todo.pop()
        found[cls.__name__] = cls
        todo.extend(cls.__subclasses__())
    return found


def from_kind(kind: str, message: str) -> JitRenderError:
    """An error rebuilt from what travelled over the socket or stands in a record."""
    return every_error().get(kind, JitRenderError)(message)
