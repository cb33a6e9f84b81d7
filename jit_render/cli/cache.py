"""``jit-render cache``: look at a node's cache, check it, empty it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from jit_render.cli import boundary
from jit_render.cli.options import Json, Set

if TYPE_CHECKING:
    from rich.progress import Progress

    from jit_render.cache import NodeCache, VerifyReport
    from nuke_callbacks.client import Client

Root = Annotated[Path | None, typer.Option("--cache", metavar="FOLDER", help="The node's cache [cache.root].")]
Result = TypeVar("Result")

app = boundary.application(no_args_is_help=True, help="Look at a node's cache, check it, empty it.")


@app.command("status", epilog=boundary.EXIT_CODES)
def status(cache: Root = None, overrides: Set = None, json: Json = False) -> None:
    """Show what the cache holds; asks the running agent, or reads the folder where none runs."""
    from jit_render.agent.launch import answers, socket_path
    from jit_render.cli.output import plain, say_json, say_table

    root = _root(cache, overrides)
    socket = socket_path(root)
    running = socket.exists() and answers(socket)
    values: dict[str, Any] = _asked(socket) if running else plain(_opened(root, overrides, _stats))
    values = {"root": str(root), "agent": "running" if running else "not running", **values}
    values |= values.pop("cache", {})
    if json:
        say_json(values)
        return
    rows = [
        (key.removesuffix("_bytes").removesuffix("_seconds").replace("_", " "), _spell(key, value))
        for key, value in values.items()
        if not isinstance(value, (dict, list))
    ]
    say_table(("", "VALUE"), rows)


@app.command("verify", epilog=boundary.EXIT_CODES)
def verify(cache: Root = None, overrides: Set = None, json: Json = False) -> None:
    """Read every cached object again and throw away what does not match its checksum; asks the agent where one runs."""
    from jit_render.cli.output import note, say, say_json
    from jit_render.report.words import size

    root = _root(cache, overrides)
    with _progress(quiet=json) as progress:
        report = _verified(root, overrides, progress)
    if json:
        say_json(report)
    else:
        for name in report.bad:
            note(f"  thrown away: {name}")
        say(f"{root}: {report.checked} objects ({size(report.checked_bytes)}) read, {len(report.bad)} bad.")
    raise typer.Exit(1 if report.bad else 0)


@app.command("clear", epilog=boundary.EXIT_CODES)
def clear(cache: Root = None, overrides: Set = None, json: Json = False) -> None:
    """Remove all cached objects. Outputs that wait for upload stay. No agent may be running."""
    from jit_render.cli.output import say, say_json
    from jit_render.report.words import size

    root = _root(cache, overrides)
    report = _opened(root, overrides, lambda node: node.clear())
    if json:
        say_json(report)
    else:
        kept = f"; {report.kept} are in use and stay" if report.kept else ""
        say(f"{root}: {report.removed} objects ({size(report.removed_bytes)}) removed{kept}.")


def _root(cache: Path | None, overrides: list[str] | None) -> Path:
    from jit_render.cli.config import load
    from jit_render.model.errors import CacheUnusable

    root = (cache or Path(load(overrides or ()).settings.cache.root)).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise CacheUnusable(f"{root} is a file, so it is no cache; name a folder with --cache or cache.root.")
    if not root.is_dir():
        raise CacheUnusable(f"there is no cache at {root} yet; name another with --cache or cache.root.")
    return root


def _spell(key: str, value: object) -> object:
    from jit_render.report.words import duration, size

    if isinstance(value, (int, float)) and key.endswith("_bytes"):
        return size(value)
    if isinstance(value, float):
        return duration(value) if key.endswith("_seconds") else f"{value:.3g}"
    return value


async def _stats(node: NodeCache) -> object:
    return node.stats()


def _opened(root: Path, overrides: list[str] | None, ask: Callable[[NodeCache], Awaitable[Result]]) -> Result:
    """What `ask` says of the cache while this process owns it. Raises CacheLocked."""
    import asyncio

    from jit_render.cache import CacheLimits, NodeCache
    from jit_render.cli.config import load
    from jit_render.model.clock import SystemClock
    from jit_render.store import open_store

    settings = load(overrides or ()).settings

    async def run() -> Result:
        store = open_store(settings.store)
        try:
            limits = CacheLimits(settings.cache.limit, settings.cache.free_space, settings.cache.fetchers)
            node = NodeCache.open(root, limits, store, SystemClock())
            try:
                return await ask(node)
            finally:
                await node.close()
        finally:
            store.close()

    return asyncio.run(run())


def _asked(socket: Path) -> dict[str, Any]:
    with _client(socket) as client:
        return dict(client.stats()["agent"])


@contextmanager
def _client(socket: Path) -> Iterator[Client]:
    """The running agent, whose refusals are our errors."""
    from jit_render.model.errors import from_kind
    from nuke_callbacks.client import AgentFailure, Client

    client = Client(str(socket), role="tool", takeover_seconds=2.0)
    try:
        yield client
    except AgentFailure as error:
        raise from_kind(error.kind, str(error)) from None
    finally:
        client.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """How many objects have been read, on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TextColumn("objects"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        yield progress


def _verified(root: Path, overrides: list[str] | None, progress: Progress) -> VerifyReport:
    """By the agent, a second's worth at a time; by this process where none runs."""
    from jit_render.agent.launch import answers, socket_path
    from jit_render.cache import VerifyReport

    socket = socket_path(root)
    if not (socket.exists() and answers(socket)):
        task = progress.add_task("", total=None)

        async def all_of(node: NodeCache) -> VerifyReport:
            entries = node.stats().entries
            return await node.verify(lambda done, _: progress.update(task, total=max(entries, done), completed=done))

        return _opened(root, overrides, all_of)
    checked = checked_bytes = 0
    bad: list[str] = []
    after: str | None = ""
    with _client(socket) as client:
        task = progress.add_task("", total=client.stats()["agent"]["cache"]["entries"])
        while after is not None:
            part = client.verify(after)
            checked, checked_bytes = checked + part["checked"], checked_bytes + part["checked_bytes"]
            bad += part["bad"]
            after = part["after"]
            progress.update(task, completed=checked)
    return VerifyReport(checked, checked_bytes, tuple(bad))
