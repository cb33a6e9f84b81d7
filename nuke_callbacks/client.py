"""The client of a node's agent, for a renderer's callbacks and for the worker.

An agent may be killed at any moment, and another one takes over on the same socket. So a request whose reply did
not come is sent again (every verb may be sent twice), after the new agent has been told what this process holds:
its open frame scopes are resumed, not begun, because what was written in between must stay, and every leased name
is asked for again. A file that had been evicted in between, or cannot be had any more, becomes a kept failure
(`take_failures`): a frame that may have read a hole must not be published.

One lock goes around one request and its reply; Nuke may call from any thread. Reading `held` takes no lock: it is a
plain dictionary that only ever holds what is leased (see leases.py). A fork leaves the child without a session: it
connects for itself and holds nothing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from nuke_callbacks import wire
from nuke_callbacks.connection import AgentFailure, AgentLost, Connection, ConnectionGone
from nuke_callbacks.leases import Answer, Leases, Scope

__all__ = ["AgentFailure", "AgentLost", "Answer", "Client", "Drained"]

Output = Sequence[str]  # (view, name)
Drained = Tuple[List[List[Any]], List[List[str]]]  # [[write, view, frame], ...], [[url, kind, message], ...]

TAKEOVER_SECONDS = 30.0
CALL_SECONDS = 3600.0  # a reply may wait for a fetch of many gigabytes, or for a full spool
HELLO_SECONDS = 120.0  # the agent reads the job's specification from the bucket
_POLL_SECONDS = 0.05
_MOST_LOSSES = 5  # of one request: it may be the request that kills the agents
_NAMES_PER_REQUEST = 500

_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


class Client:
    """One session. Raises AgentFailure (the agent said no) and AgentLost (nobody answered) from every verb."""

    def __init__(
        self,
        socket_path: str,
        job: str = "",
        task: int = 0,
        attempt: int = 0,
        role: str = "renderer",
        *,
        frames: Sequence[int] = (),
        takeover_seconds: float = TAKEOVER_SECONDS,
        call_seconds: float = CALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.socket_path = socket_path
        self.view = ""
        self.prefixes: List[Sequence[Any]] = []
        self.planned = False
        self.agent = ""
        self._who: Dict[str, Any] = {"role": role, "job": job, "task": task, "attempt": attempt}
        if frames:
            self._who["frames"] = list(frames)
        self._takeover_seconds = takeover_seconds
        self._call_seconds = call_seconds
        self._clock = clock
        self._sleep = sleep
        self._leases = Leases()
        self.held = self._leases.held
        self._failures: List[AgentFailure] = []
        self._connection: Optional[Connection] = None
        self._is_lost = False
        self._pid = os.getpid()
        self._lock = threading.RLock()
        _clients.add(self)

    def connect(self, patience_seconds: Optional[float] = None) -> None:
        """Say hello now; without it the first verb does. Waits for an agent for `patience_seconds`."""
        with self._locked():
            self._connected(self._takeover_seconds if patience_seconds is None else patience_seconds)

    def resolve(self, name: str, write: str = "") -> Answer:
        """Where `name` is; leased into the frame scope of `write`, or for the session."""
        with self._locked():
            answer = _answer(self._call("resolve", name=name, write=write).get("answer"), name)
            self._leases.keep(self._leases.scope(write), name, "", answer)
            return answer

    def resolve_for_all(self, name: str) -> Answer:
        """Like `resolve`, for every open frame scope (who asks is not known), else for the session."""
        with self._locked():
            answers = [self.resolve(name, write) for write in list(self._leases.scopes)] or [self.resolve(name)]
            failed = [answer for answer in answers if answer["state"] == "failed"]
            return (failed or answers)[-1]

    def ensure(
        self, names: Iterable[Sequence[str]], write: str = "", frame: Optional[int] = None, prefetch: bool = False
    ) -> List[Answer]:
        """Bring in all `names` ([name, on_error] each) at once; answers in order, none for a prefetch."""
        asked = [list(entry) for entry in names]
        answers: List[Answer] = []
        with self._locked():
            for start in range(0, len(asked), _NAMES_PER_REQUEST):
                part = asked[start : start + _NAMES_PER_REQUEST]
                reply = self._call("ensure", names=part, write=write, frame=frame, prefetch=prefetch)
                if not prefetch:
                    answers += self._keep(self._leases.scope(write), part, reply)
        return answers

    def begin_frame(self, write: str, frame: int, outputs: Iterable[Output], keep: bool = False) -> List[str]:
        """Open the scope of this frame of this Write; where each output is to be written, in order.

        What stands there is removed, unless `keep` says that it is being written (a movie's later frames).
        """
        scope = Scope(write, frame, outputs)
        with self._locked():
            self._leases.end(write)
            reply = self._call(
                "frame", state="resume" if keep else "begin", write=write, frame=frame, outputs=scope.outputs
            )
            paths = [str(path) for path in reply.get("outputs", ())]
            if len(paths) != len(scope.outputs):
                told = "frame begin: %d outputs, %d places" % (len(scope.outputs), len(paths))
                raise AgentFailure("ProtocolError", told)
            self._leases.begin(scope)
            self._leases.place(scope, paths)
            return paths

    def end_frame(self, write: str, frame: int) -> None:
        """Close the scope; its leases end."""
        with self._locked():
            self._leases.end(write)
            self._call("frame", state="end", write=write, frame=frame, outputs=[])

    def publish(
        self,
        write: str,
        frame: int,
        outputs: Iterable[Output],
        frames: Optional[Sequence[int]] = None,
        seconds: float = 0.0,
        *,
        end: bool = False,
    ) -> List[str]:
        """Hand over finished outputs for upload; their URLs. `frames`: all that a movie holds.

        `end` closes the frame's scope, too. Raises before it asks where an agent was lost and what it had leased is not
        to be had any more (see `take_failures`): the outputs may have been made of holes.
        """
        fields: Dict[str, Any] = {"write": write, "frame": frame}
        fields["frames"] = list(frames) if frames is not None else [frame]
        fields.update(outputs=[list(output) for output in outputs], seconds=seconds)
        if end:
            fields["end"] = True
        with self._locked():
            try:
                reply = self._call("publish", **fields)
            finally:
                if end:
                    self._leases.end(write)
        return [str(url) for url in reply.get("published", ())]

    def drain(self, session_only: bool = False) -> Drained:
        """Wait until what was published is in the bucket, or has failed for good."""
        with self._locked():
            reply = self._call("drain", session_only=session_only)
        return list(reply.get("committed", ())), list(reply.get("failed", ()))

    def stats(self) -> Dict[str, Any]:
        """Counters: ``agent`` of the whole node, ``attempt`` of this attempt."""
        with self._locked():
            reply = self._call("stats")
        return {"agent": reply.get("agent", {}), "attempt": reply.get("attempt", {})}

    def verify(self, after: str = "") -> Dict[str, Any]:
        """Re-read some of the node's cache, from `after` on: ``checked``, ``checked_bytes``, ``bad``, ``after``."""
        with self._locked():
            reply = self._call("verify", after=after)
        return {key: reply.get(key) for key in ("checked", "checked_bytes", "bad", "after")}

    def confirm(self) -> None:
        """One round trip, so that what a lost agent had leased is known to be still there (or in `take_failures`)."""
        with self._locked():
            self._call("ensure", names=[], write="", frame=None, prefetch=False)

    def take_failures(self) -> List[AgentFailure]:
        """What went wrong while taking up with another agent, once."""
        with self._locked():
            failures, self._failures = self._failures, []
            return failures

    def close(self) -> None:
        """End the session; all its leases end."""
        with self._locked():
            self._disconnect()
            self._leases.clear()

    def _locked(self) -> threading.RLock:
        if self._pid != os.getpid():
            self.forget_parent()
        return self._lock

    def forget_parent(self) -> None:
        """In the child of a fork: the session, its lock and its leases are the parent's."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._leases.clear()
        self._failures = []
        self._disconnect()

    def _call(self, verb: str, **fields: Any) -> Dict[str, Any]:
        for _ in range(_MOST_LOSSES):
            connection = self._connected(0.0 if self._is_lost else self._takeover_seconds)
            if verb == "publish" and self._failures:  # of the agent before: what is published may be made of holes
                raise self._failures[0]
            try:
                return connection.call(verb, fields, self._call_seconds)
            except ConnectionGone:
                self._disconnect()
            except AgentFailure as failure:
                if failure.kind in ("AgentLost", "ProtocolError"):  # also what is said of a whole connection
                    self._disconnect()  # a late reply must not be taken for the next one's
                raise
        raise AgentLost("%d agents at %s were lost over one %s; see their log" % (_MOST_LOSSES, self.socket_path, verb))

    def _connected(self, patience_seconds: float) -> Connection:
        if self._connection is not None:
            return self._connection
        end = self._clock() + patience_seconds
        while True:
            try:
                self._connection = self._greet(max(end - self._clock(), 1.0))
            except ConnectionGone as gone:
                if self._clock() >= end:
                    self._is_lost = True
                    raise AgentLost(
                        "no agent answers at %s (%s; waited %g s); start one with: jit-render agent"
                        % (self.socket_path, gone, patience_seconds)
                    ) from None
                self._sleep(_POLL_SECONDS)
            else:
                self._is_lost = False
                return self._connection

    def _greet(self, seconds: float) -> Connection:
        connection = Connection(self.socket_path, seconds)
        try:
            hello = dict(self._who, version=wire.VERSION, pid=os.getpid())
            reply = connection.call("hello", hello, HELLO_SECONDS)
            self.view = str(reply.get("view", ""))
            self.prefixes = list(reply.get("prefixes", ()))
            self.planned = bool(reply.get("planned", False))
            self.agent = str(reply.get("agent", ""))
            self._take_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_up(self, connection: Connection) -> None:
        """Tell a new agent what this process holds."""
        for scope in self._leases.every():
            try:
                if scope.write:
                    fields = {"write": scope.write, "frame": scope.frame, "outputs": scope.outputs}
                    connection.call("frame", dict(fields, state="resume"), self._call_seconds)
                self._hold_again(connection, scope)
            except AgentLost:
                raise
            except AgentFailure as failure:
                self._failures.append(failure)

    def _hold_again(self, connection: Connection, scope: Scope) -> None:
        asked = [[name, on_error] for name, on_error in scope.asked.items()]
        for start in range(0, len(asked), _NAMES_PER_REQUEST):
            part = asked[start : start + _NAMES_PER_REQUEST]
            fields = {"names": part, "write": scope.write, "frame": scope.frame, "prefetch": False}
            reply = connection.call("ensure", fields, self._call_seconds)
            for (name, _), answer in zip(part, _answers(reply, part)):
                if name in scope.paths and not self._is_same(scope, name, answer):
                    self._leases.drop(scope, name)

    def _is_same(self, scope: Scope, name: str, answer: Answer) -> bool:
        if answer["state"] == "failed":
            self._failures.append(AgentFailure(answer["kind"], answer["reason"], answer["retryable"]))
            return False
        if answer["state"] == "local" and answer["leased"] and scope.is_unchanged(name, answer["path"]):
            return True
        self._failures.append(
            AgentFailure("AgentLost", "%s left the cache while no agent held it; render the frame again" % name, True)
        )
        return False

    def _keep(self, scope: Scope, part: List[List[str]], reply: Dict[str, Any]) -> List[Answer]:
        answers = _answers(reply, part)
        for (name, on_error), answer in zip(part, answers):
            self._leases.keep(scope, name, on_error, answer)
        return answers

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _answers(reply: Dict[str, Any], part: List[List[str]]) -> List[Answer]:
    answers = reply.get("answers")
    if not isinstance(answers, list) or len(answers) != len(part):
        raise AgentFailure("ProtocolError", "ensure: %d names and not as many answers" % len(part))
    return [_answer(answer, entry[0]) for entry, answer in zip(part, answers)]


def _answer(answer: object, name: str) -> Answer:
    """`answer` with every field there; raises AgentFailure when it is none."""
    if not isinstance(answer, dict) or answer.get("state") not in wire.STATES:
        raise AgentFailure("ProtocolError", "%r: what the agent said is no answer: %.200r" % (name, answer))
    whole: Answer = dict.fromkeys(("path", "reason", "kind", "object"), "")
    whole.update(name=name, leased=False, retryable=False)
    whole.update((key, value) for key, value in answer.items() if value is not None)
    return whole


def _forget_in_child() -> None:
    for client in list(_clients):
        client.forget_parent()


os.register_at_fork(after_in_child=_forget_in_child)
