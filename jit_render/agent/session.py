"""One connection: the verbs of wire.py, and what the connection holds.

A session belongs to one attempt of one job (or to none: a tool). It holds leases in scopes: one for the connection,
and one for each Write's open frame. All of them end with the connection, whatever way it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jit_render.agent import fields
from jit_render.agent.ahead import Ahead
from jit_render.agent.answers import Answer
from jit_render.agent.attempts import AttemptKey, UploadFailure
from jit_render.agent.commit import check_keys
from jit_render.agent.entry import Entry
from jit_render.agent.fields import Message
from jit_render.agent.jobs import Job
from jit_render.agent.outputs import Output, Publication, locate_outputs
from jit_render.agent.resolve import Asker
from jit_render.agent.scope import Scope, read_in
from jit_render.model.errors import ProtocolError, from_kind
from jit_render.model.identity import ObjectUrl

if TYPE_CHECKING:
    from jit_render.agent.node import Node

Reply = dict[str, Any]
VERIFY_SECONDS = 1.0


@dataclass(slots=True)
class _Frame:
    """An open frame scope of one Write."""

    scope: Scope
    outputs: frozenset[ObjectUrl]
    number: int
    earlier: list[Scope] = field(default_factory=list)
    """Those of the frames before this one that are in the same, unpublished file (a movie)."""

    @property
    def scopes(self) -> list[Scope]:
        return [*self.earlier, self.scope]


class Session:
    """What one connection may ask."""

    def __init__(
        self,
        node: Node,
        number: int,
        job: Job | None,
        key: AttemptKey,
        *,
        role: str = "tool",
        frames: Sequence[int] = (),
    ) -> None:
        self.number = number
        self.job = job
        self._node = node
        self._role = role
        self._attempt = node.ledger.of(key)
        self._ahead = self._look_ahead(job, key, frames)
        self._scope = Scope(f"{number}", self._attempt.tally, self._ahead)
        self._frames: dict[str, _Frame] = {}
        self._ended: dict[str, _Frame] = {}
        self._scopes_opened = 0
        self._told: set[UploadFailure] = set()
        self._verbs: dict[str, Callable[[Message], Awaitable[Reply]]] = {
            "resolve": self._resolve,
            "ensure": self._ensure,
            "frame": self._frame,
            "publish": self._publish,
            "drain": self._drain,
            "stats": self._stats,
            "verify": self._verify,
        }

    def _look_ahead(self, job: Job | None, key: AttemptKey, frames: Sequence[int]) -> Ahead | None:
        """What is fetched ahead for the attempt; begun where its worker says what will be rendered."""
        if job is None or job.planned is None or self._role == "tool":
            return None
        ahead = self._node.prefetcher.of(key, job, self._attempt.tally, frames)
        job.planned.begin(ahead.frames)
        if self._role == "worker" and frames:
            self._node.prefetcher.first(ahead)
        return ahead

    @property
    def has_open_frame(self) -> bool:
        return bool(self._frames)

    def quick(self, message: Message) -> Reply | None:
        """The reply to a `resolve` that needs no waiting; None for everything else."""
        if message.get("verb") != "resolve" or self.job is None:
            return None
        name, write = fields.text(message, "name"), fields.text(message, "write", "")
        answer = self._node.resolver.quick(self._asker(self.job, write), name)
        return None if answer is None else {"answer": answer}

    async def handle(self, message: Message) -> Reply:
        """The reply's own fields. Raises JitRenderError, OSError."""
        verb = message.get("verb")
        handler = self._verbs.get(verb) if isinstance(verb, str) else None
        if handler is None:
            raise ProtocolError(f"unknown verb {str(verb)[:40]!r}; this agent knows {', '.join(self._verbs)}.")
        return await handler(message)

    def close(self) -> None:
        """Give back everything that is held."""
        self._release(self._scope)
        for frame in self._frames.values():
            self._release(frame.scope)
        self._frames.clear()
        self._node.outputs.release(self.number)
        if self._ahead is not None and self._role == "renderer":
            self._node.prefetcher.end(self._ahead)

    def _release(self, scope: Scope) -> None:
        self._node.cache.release(scope.holder)
        self._node.uploads.release(scope.holder)

    def _asker(self, job: Job, write: str) -> Asker:
        frame = self._frames.get(write)
        return Asker(job, self.number, self._scope if frame is None else frame.scope)

    def _need_job(self, verb: str) -> Job:
        if self.job is None:
            raise ProtocolError(f"{verb}: this connection named no job in its hello; connect again with one.")
        return self.job

    async def _resolve(self, message: Message) -> Reply:
        name, write = fields.text(message, "name"), fields.text(message, "write", "")
        answer = await self._node.resolver.resolve(self._asker(self._need_job("resolve"), write), name)
        return {"answer": answer}

    async def _ensure(self, message: Message) -> Reply:
        asker = self._asker(self._need_job("ensure"), fields.text(message, "write", ""))
        wanted = fields.pairs(message, "names")
        if fields.flag(message, "prefetch"):
            self._node.resolver.prefetch(asker, [name for name, _ in wanted])
            return {"answers": []}
        found: list[Answer] = await self._node.resolver.ensure(asker, wanted)
        return {"answers": found}

    async def _frame(self, message: Message) -> Reply:
        job = self._need_job("frame")
        state, write = fields.text(message, "state"), fields.text(message, "write")
        number = fields.integer(message, "frame")
        if state == "end":
            self._end(write)
            return {}
        if state not in {"begin", "resume"}:
            raise ProtocolError(f"frame: state {state[:40]!r} is none of begin, resume, end.")
        outputs = locate_outputs(job, fields.pairs(message, "outputs"))
        self._end(write)
        places = self._node.outputs.begin(job, self.number, write, outputs, keep=state == "resume")
        self._open(write, outputs, number)
        if self._ahead is not None:
            self._node.prefetcher.begun(self._ahead, number)
        return {"outputs": [str(place) for place in places]}

    def _open(self, write: str, outputs: list[Output], number: int) -> None:
        self._scopes_opened += 1
        urls = frozenset(url for _, url in outputs)
        ended = self._ended.pop(write, None)
        earlier = ended.scopes if ended is not None and ended.outputs == urls else []
        scope = Scope(f"{self.number}/{self._scopes_opened}", self._attempt.tally, self._ahead)
        self._frames[write] = _Frame(scope, urls, number, earlier)

    def _end(self, write: str) -> None:
        frame = self._frames.pop(write, None)
        if frame is None:
            return
        self._release(frame.scope)
        job = self._need_job("frame")
        if self._ahead is not None:
            self._ahead.learn(frame.number, filter(job.is_unplanned, frame.scope.inputs))
        if any(self._node.outputs.holder(job, url) == self.number for url in frame.outputs):
            self._ended[write] = frame

    async def _publish(self, message: Message) -> Reply:
        job = self._need_job("publish")
        publication, is_end = self._publication(job, message), fields.flag(message, "end")
        # The file is whole and its owner has said so: it is taken in even if the owner dies meanwhile.
        entries = await asyncio.shield(asyncio.ensure_future(self._take(job, publication)))
        if is_end:
            self._end(publication.write)
        await self._waiting(self._node.wait_for_room())
        news = [failure for failure in self._attempt.failed if failure not in self._told]
        if news:
            self._told.update(news)
            raise from_kind(news[0].kind, f"an earlier output cannot be uploaded: {news[0].message}")
        taken = {file.url for entry in entries for file in entry.files}
        known = [url for _, url in publication.outputs if self._node.uploads.was_published(str(job.home), url)]
        return {"published": [str(url) for url in dict.fromkeys(known) if url in taken or self._is_link(job, url)]}

    def _publication(self, job: Job, message: Message) -> Publication:
        write, frame = fields.text(message, "write"), fields.integer(message, "frame")
        frames = tuple(fields.integers(message, "frames")) or (frame,)
        outputs = tuple(locate_outputs(job, fields.pairs(message, "outputs")))
        check_keys(job.home, write, sorted({view for view, _ in outputs}), frames)
        urls = frozenset(url for _, url in outputs)
        held = [scope for scope in (self._ended.get(write), self._frames.get(write)) if scope is not None]
        frames_of = [one for one in held if one is self._frames.get(write) or one.outputs == urls]
        inputs, own = read_in(self._scope, [scope for one in frames_of for scope in one.scopes])
        return Publication(
            attempt=self._attempt.key,
            write=write,
            frames=frames,
            outputs=outputs,
            inputs=inputs,
            own=own,
            render_seconds=fields.number(message, "seconds", 0.0),
        )

    async def _take(self, job: Job, publication: Publication) -> list[Entry]:
        entries = await self._node.outputs.publish(job, self.number, publication)
        for entry in entries:
            self._node.uploads.add(entry)
        if entries:
            self._attempt.tally.render_seconds += publication.render_seconds
            self._ended.pop(publication.write, None)
        return entries

    @staticmethod
    def _is_link(job: Job, url: ObjectUrl) -> bool:
        return job.view.place(job.id, url).is_symlink()

    async def _drain(self, message: Message) -> Reply:
        mine = fields.flag(message, "session_only")
        await self._waiting(self._node.uploads.wait_for(lambda entry: not mine or entry.attempt == self._attempt.key))
        self._told.update(self._attempt.failed)
        return {
            "committed": [list(key) for key in self._attempt.committed],
            "failed": [[failure.url, failure.kind, failure.message] for failure in self._attempt.failed],
        }

    async def _waiting(self, what: Awaitable[None]) -> None:
        start = self._node.clock.monotonic()
        try:
            await what
        finally:
            self._attempt.tally.upload_wait_seconds += self._node.clock.monotonic() - start

    async def _stats(self, _message: Message) -> Reply:
        return {"agent": self._node.stats(), "attempt": self._attempt.tally.as_dict()}

    async def _verify(self, message: Message) -> Reply:
        """A second's worth, so that the client can tell how it goes and nothing waits long at the end."""
        after, clock = fields.digest(message, "after"), self._node.clock
        end = clock.monotonic() + VERIFY_SECONDS
        report, rest = await self._node.cache.verify_some(after, lambda: clock.monotonic() >= end)
        return {
            "checked": report.checked,
            "checked_bytes": report.checked_bytes,
            "bad": list(report.bad),
            "after": rest,
        }
