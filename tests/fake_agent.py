"""An agent for tests of what runs inside Nuke: the protocol over a real socket, real files.

It is strict about what it is asked, and can be killed and started again on the same socket.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from pathlib import Path

from nuke_callbacks import wire

FIELDS = {
    "hello": {"version", "role", "pid", "job", "task", "attempt"},
    "resolve": {"name", "write"},
    "ensure": {"names", "write", "frame", "prefetch"},
    "frame": {"state", "write", "frame", "outputs"},
    "publish": {"write", "frame", "frames", "outputs", "seconds"},
    "drain": {"session_only"},
    "stats": set(),
}
PATTERN = re.compile(r"%\d*d|#+|%[vV]")


class Agent:
    """`root` maps to gs://show; `bucket` holds the objects there, by name below it."""

    def __init__(self, socket_path, view, root="/mnt/show", bucket=None):
        self.socket_path = str(socket_path)
        self.view = str(view)
        self.root = root
        self.prefixes = [[root, False, "write"], ["p:/show", True, "read"], ["//filer/show", True, "read"]]
        self.bucket = {} if bucket is None else bucket
        self.failing = {}  # name -> (kind, reason, retryable)
        self.refusing = {}  # verb -> (kind, message, retryable)
        self.lost_uploads = []
        self.requests = []
        self.scopes = {}
        self.leased = {}  # write -> names
        self.published = []
        self.silent = set()  # verbs after which the agent dies without a reply
        self._sockets = []
        self._threads = []
        self._lock = threading.Lock()
        self._listener = None

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        Path(self.socket_path).unlink(missing_ok=True)
        self._listener.bind(self.socket_path)
        self._listener.listen(16)
        self._thread(self._accept, self._listener)
        return self

    def kill(self):
        """Every socket closes at once, nothing is said; join the threads."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for open_socket in self._sockets:
                with contextlib.suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._threads = []
        self.scopes, self.leased = {}, {}

    def place(self, name):
        return self.view + "/show" + self._key(name)

    def said(self, verb):
        return [request for request in self.requests if request["verb"] == verb]

    def _key(self, name):
        spelled = name.replace("\\", "/") if re.match(r"[A-Za-z]:|\\\\", name) else name
        for prefix, windows, _ in [*self.prefixes, [self.view + "/show", False, ""]]:
            folded = spelled.lower() if windows else spelled
            if folded == prefix or folded.startswith(prefix + "/"):
                return spelled[len(prefix) :]
        return None

    def _thread(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.append(connection)
            self._thread(self._serve, connection)

    def _serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    request = wire.decode(line)
                    self.requests.append(request)
                    if request["verb"] in self.silent:
                        self.silent.discard(request["verb"])
                        return
                    connection.sendall(wire.encode(self._reply(request)))
            except OSError:
                return

    def _reply(self, request):
        verb = request["verb"]
        wanted = FIELDS[verb] | {"id", "verb"}
        if set(request) - {"end"} != wanted:
            return self._error(request, "ProtocolError", f"{verb} has {sorted(request)}", False)
        if verb in self.refusing:
            return self._error(request, *self.refusing[verb])
        fields = getattr(self, "_" + verb)(request)
        return dict(fields, id=request["id"], ok=True)

    def _error(self, request, kind, message, retryable):
        error = {"kind": kind, "message": message, "retryable": retryable}
        return {"id": request["id"], "ok": False, "error": error}

    def _hello(self, request):
        assert request["version"] == wire.VERSION
        return {"version": 1, "agent": "0", "session": "s", "view": self.view, "prefixes": self.prefixes}

    def _resolve(self, request):
        return {"answer": self._answer(request["name"], request["write"])}

    def _ensure(self, request):
        if request["prefetch"]:
            return {"answers": []}
        return {"answers": [self._answer(name, request["write"]) for name, _ in request["names"]]}

    def _answer(self, name, write):
        answer = {"name": name, "state": "local", "path": "", "leased": False}
        answer.update(reason="", kind="", object="", retryable=False)
        key = self._key(name)
        if key is None:
            return dict(answer, state="unmapped")
        place = self.place(name)
        answer.update(path=place, object="gs://show" + key)
        if name in self.failing:
            kind, reason, retryable = self.failing[name]
            return dict(answer, state="failed", path="", kind=kind, reason=reason, retryable=retryable)
        if PATTERN.search(name):
            return answer
        if key not in self.bucket:
            return answer if os.path.lexists(place) else dict(answer, state="absent")
        if not os.path.lexists(place):
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_bytes(self.bucket[key])
        self.leased.setdefault(write, set()).add(name)
        return dict(answer, leased=True)

    def _frame(self, request):
        write = request["write"]
        self.leased.pop(write, None)
        self.scopes.pop(write, None)
        if request["state"] == "end":
            return {}
        self.scopes[write] = request["frame"]
        places = [self.place(name) for _, name in request["outputs"]]
        for place in places:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            if request["state"] == "begin":
                Path(place).unlink(missing_ok=True)
        return {"outputs": places}

    def _publish(self, request):
        urls = []
        for view, name in request["outputs"]:
            self.bucket[self._key(name)] = Path(self.place(name)).read_bytes()
            self.published.append((request["write"], view, tuple(request["frames"]), name))
            urls.append("gs://show" + self._key(name))
        if request.get("end"):
            self.leased.pop(request["write"], None)
            self.scopes.pop(request["write"], None)
        return {"published": urls}

    def _drain(self, request):
        return {"committed": [[write, view, frame] for write, view, frames, _ in self.published for frame in frames],
                "failed": self.lost_uploads}  # fmt: skip

    def _stats(self, request):
        return {"agent": {"bytes": 1}, "attempt": {"hits": 2}}
