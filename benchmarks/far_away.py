"""A server that seems further away: what a client sends arrives `DELAY_SECONDS` later, as at a bucket elsewhere.

A process of its own, so that its work is nobody's time: ``python -m benchmarks.far_away PORT`` says its own port.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bucket_server import BucketServer

DELAY_SECONDS = 0.03
_BLOCK_BYTES = 1 << 18


@contextlib.contextmanager
def far_away(server: BucketServer) -> Iterator[BucketServer]:
    """`server` behind the delay."""
    command = [sys.executable, "-m", "benchmarks.far_away", server.url.rpartition(":")[2]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield replace(server, url=f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()


async def _serve(port: int) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, to_there, DELAY_SECONDS), _pass_on(from_there, writer, 0))

    server = await asyncio.start_server(meet, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await reader.read(_BLOCK_BYTES):
            loop.call_later(delay_seconds, writer.write, data)
            await writer.drain()
    loop.call_later(delay_seconds, writer.close)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
