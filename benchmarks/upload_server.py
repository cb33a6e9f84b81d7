"""Cloud Storage for writing, as cheap as a process can make it: so that the clients are what is measured.

What is sent is moved from the socket to nowhere inside the kernel (splice), never looked at. A resumable session is
made by the API's POST and filled by PUT; any other PUT is taken as well, for curl. Checksums are those that the
session was begun with: this server trusts, and is of no use for anything but measuring.

``python -m benchmarks.upload_server`` says its URL and serves until it is killed.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIPE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")
_F_SETPIPE_SZ = 1031  # linux/fcntl.h
_NOWHERE = os.open(os.devnull, os.O_WRONLY)
_sessions: dict[str, dict[str, str]] = {}
_numbers = itertools.count(1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rbufsize = 0  # what follows the head stays in the socket

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        session = f"/session/{next(_numbers)}"
        _sessions[session] = {
            "name": asked.get("name", ""),
            "crc32c": asked.get("crc32c", ""),
            "generation": str(next(_numbers)),
            "updated": "2026-01-01T00:00:00Z",
            "size": self.headers.get("X-Upload-Content-Length", "0"),
        }
        self._answer(200, b"", Location=f"http://{self.headers['Host']}{session}")

    def do_PUT(self) -> None:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        self._swallow(int(self.headers["Content-Length"]))
        told = _sessions.get(self.path.partition("?")[0])
        chunk = _RANGE.match(self.headers.get("Content-Range", ""))
        if chunk is not None and int(chunk[2]) + 1 < int(chunk[3]):
            self._answer(308, b"", Range=f"bytes=0-{chunk[2]}")
        else:
            self._answer(200, json.dumps(told or {}).encode())

    def do_GET(self) -> None:
        self._answer(404, b"{}")

    def _swallow(self, size_bytes: int) -> None:
        out, into = os.pipe()
        try:
            import fcntl

            fcntl.fcntl(into, _F_SETPIPE_SZ, _PIPE_BYTES)
            while size_bytes > 0:
                count = os.splice(self.connection.fileno(), into, min(size_bytes, _PIPE_BYTES))
                if not count:
                    raise ConnectionError("the client went away")
                size_bytes -= count
                while count:
                    count -= os.splice(out, _NOWHERE, count)
        finally:
            os.close(out)
            os.close(into)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
