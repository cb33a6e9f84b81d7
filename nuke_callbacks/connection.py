"""One connection to an agent: one request, one reply, in order.

The reply about a cached object takes the agent less time than the system takes to wake a process that sleeps. So the
client looks for it without sleeping for a fraction of a millisecond, and only then waits. (Measured on two virtual
cores: half the time at the median, a fifth at the 99th percentile.) Where many clients are awake at once they keep the
agent itself from running; so one that waited in vain sleeps at once in its next calls, twice as many each time up to a
few dozen: two sides that sleep take longer than either waits, so without a new attempt it would stay so.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Dict

from nuke_callbacks import wire

_CHUNK = 256 * 1024
_AWAKE_SECONDS = 0.0004
_MOST_ASLEEP = 32


class AgentFailure(Exception):
    """The agent said no. `kind` is the class of the error, `retryable` whether the same may work later."""

    def __init__(self, kind: str, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retryable = retryable


class AgentLost(AgentFailure):
    """No agent answered in time."""

    def __init__(self, message: str) -> None:
        super().__init__("AgentLost", message, True)


class ConnectionGone(Exception):
    """The connection ended before the reply; another agent may take over."""


class Connection:
    """A connected socket. Raises ConnectionGone for what a new connection can heal, AgentFailure for the rest."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path = path
        self._number = 0
        self._rest = b""
        self._asleep = 0  # for how many calls
        self._next_asleep = 1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(max(seconds, 0.001))
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise ConnectionGone(str(error)) from None

    def call(self, verb: str, fields: Dict[str, Any], seconds: float) -> Dict[str, Any]:
        """The reply to one request. After `seconds` without one: AgentLost; the connection is of no use then."""
        self._number += 1
        request = {"id": self._number, "verb": verb}
        request.update(fields)
        try:
            line = self._exchange(wire.encode(request), seconds)
            reply = wire.decode(line)
        except wire.WireError as error:
            raise AgentFailure("ProtocolError", "%s: %s at %s" % (verb, error, self.path)) from None
        if reply.get("id") is None and reply.get("ok") is False:
            raise _failure(reply, verb)  # said of the connection, not of this request
        if reply.get("id") != self._number:
            raise AgentFailure("ProtocolError", "%s: the reply of another request came over %s" % (verb, self.path))
        if reply.get("ok") is not True:
            raise _failure(reply, verb)
        return reply

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, request: bytes, seconds: float) -> bytes:
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(request)
            return self._line(seconds)
        except socket.timeout:
            raise AgentLost("the agent at %s is silent for %g s; see its log" % (self.path, seconds)) from None
        except OSError as error:
            raise ConnectionGone(str(error)) from None

    def _line(self, seconds: float) -> bytes:
        parts = [self._rest]
        size = len(self._rest)
        while b"\n" not in parts[-1]:
            chunk = self._chunk(seconds)
            if not chunk:
                raise ConnectionGone("the agent closed the connection")
            size += len(chunk)
            if size > wire.LINE_LIMIT + _CHUNK:
                raise wire.WireError("a line is over the limit of %d bytes" % wire.LINE_LIMIT)
            parts.append(chunk)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _chunk(self, seconds: float) -> bytes:
        if self._asleep:
            self._asleep -= 1
            return self._socket.recv(_CHUNK)
        self._socket.settimeout(0.0)
        end = time.perf_counter() + _AWAKE_SECONDS
        while time.perf_counter() < end:
            try:
                chunk = self._socket.recv(_CHUNK)
            except BlockingIOError:
                pass
            else:
                self._next_asleep = 1
                return chunk
        self._asleep = self._next_asleep
        self._next_asleep = min(2 * self._next_asleep, _MOST_ASLEEP)
        self._socket.settimeout(seconds)
        return self._socket.recv(_CHUNK)


def _failure(reply: Dict[str, Any], verb: str) -> AgentFailure:
    error = reply.get("error")
    if not isinstance(error, dict):
        return AgentFailure("ProtocolError", "%s: the agent refused without a reason" % verb)
    message = str(error.get("message", verb + " failed"))
    return AgentFailure(str(error.get("kind", "AgentError")), message, bool(error.get("retryable", False)))
