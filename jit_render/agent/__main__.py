"""``python -m jit_render.agent``: one agent in the foreground. Its log goes to standard error."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from jit_render.agent.awake import AwakeSelector
from jit_render.agent.launch import FAILURE_PREFIX, socket_path
from jit_render.agent.notice import NoticeWatch
from jit_render.agent.settings import AgentSettings
from jit_render.model.clock import SystemClock
from jit_render.model.errors import ConfigError, JitRenderError
from jit_render.model.settings import Settings

if TYPE_CHECKING:
    from jit_render.agent.node import Node

LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an agent until it ends; its exit code.

    Where uploads are still under way then, the process ends here: what they do, the next agent does again anyway.
    """
    os.umask(0o077)  # nothing in the cache is anybody else's business
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        settings, selector = _settings(arguments), AwakeSelector()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            runner.run(_serve(settings, selector))
        code = 0
    except JitRenderError as error:
        print(f"{FAILURE_PREFIX}{error.kind}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - for who waits
        code = error.exit_code
    if threading.active_count() > 1:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)  # an orderly exit would wait for them
    return code


async def _serve(settings: AgentSettings, selector: AwakeSelector) -> None:
    from jit_render.agent.node import Node
    from jit_render.agent.server import Server
    from jit_render.store import open_store

    clock = SystemClock()
    node = Node(settings, open_store(settings.store, clock), clock)
    gc.freeze()  # the modules: to look through them for garbage takes 28 ms of a renderer's time
    gc.set_threshold(20_000, 20, 20)  # thousands of names in one request make objects that live, not garbage
    loop = asyncio.get_running_loop()
    with NoticeWatch(lambda: _on_notice(loop, node)):
        await Server(node, selector.stay_awake).run()


def _on_notice(loop: asyncio.AbstractEventLoop, node: Node) -> None:
    """The VM is about to go: what is wanted now and what is to be uploaded has the network to itself."""
    LOG.info("a preemption notice: nothing more is fetched ahead")
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(node.stop_prefetching)


def _settings(arguments: Sequence[str] | None) -> AgentSettings:
    options = _parser().parse_args(arguments)
    try:
        sections = json.loads(options.settings)
        settings = Settings.model_validate({name: sections[name] for name in ("cache", "store") if name in sections})
    except (ValueError, TypeError) as error:
        told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigError(f"--settings cannot be read: {told}; give the cache and store sections as JSON.") from None
    root: Path = options.cache.expanduser().absolute()
    return AgentSettings(
        root=root,
        socket=options.socket or socket_path(root),
        cache=settings.cache,
        store=settings.store,
        idle_seconds=options.idle_seconds,
        grace_seconds=options.grace,
        metrics_port=options.metrics_port,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jit_render.agent", description="The agent of one node cache.")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="the cache's root")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="default: agent.sock in the cache")
    parser.add_argument("--settings", default="{}", metavar="JSON", help="the cache and store sections")
    parser.add_argument("--idle-seconds", type=float, default=600.0, help="leave when unused for so long; 0: never")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds to finish after SIGTERM")
    parser.add_argument("--metrics-port", type=int, default=0, help="on 127.0.0.1; 0: none, -1: any free port")
    return parser


if __name__ == "__main__":
    sys.exit(main())
