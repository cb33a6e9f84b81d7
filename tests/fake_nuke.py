"""A `nuke` module for tests of what runs inside Nuke. Python 3.9, standard library: it serves other interpreters too.

It behaves as Nuke's documents say: filters last added first, callbacks by node class and without arguments, an
exception in one aborts the render and the callbacks after it are not called.
"""

from __future__ import annotations

import re
import types


class Knob:
    def __init__(self, cls, value):
        self._cls = cls
        self._value = value

    def Class(self):  # noqa: N802
        return self._cls

    def value(self):
        return self._value


class Node:
    """`reads` gives Nuke's list for one frame: a function of the frame, [node, [file, ...]] entries."""

    def __init__(self, cls, name, reads=None, **knobs):
        self._cls = cls
        self._name = name
        self._reads = reads or (lambda frame: [])
        kinds = {"file": "File_Knob", "proxy": "File_Knob", "project_directory": "File_Knob"}
        self._knobs = {key: Knob(kinds.get(key, "Knob"), value) for key, value in knobs.items()}

    def Class(self):  # noqa: N802
        return self._cls

    def fullName(self):  # noqa: N802
        return self._name

    def knob(self, name):
        return self._knobs.get(name)

    def knobs(self):
        return dict(self._knobs)

    def fileDependencies(self, start, end):  # noqa: N802
        assert start == end
        return self._reads(start)


class Nuke(types.ModuleType):
    """Put into sys.modules under the name `nuke`, or handed over."""

    REPLACE = 1

    def __init__(self, *nodes, views=("main",), **root):
        super().__init__("nuke")
        self.nodes = list(nodes)
        self._views = list(views)
        self._root = Node("Root", "root", **root)
        self._this = self._root
        self._frame = 1
        self.filters = []
        self.callbacks = {"before_frame": [], "after_frame": [], "after": []}
        self.folders = []
        self.modes = []
        self.localization = types.SimpleNamespace(setMode=self.modes.append)

    def addFilenameFilter(self, call, args=(), kwargs={}, nodeClass="*"):  # noqa: N802, N803, B006
        self.filters.insert(0, (call, nodeClass))

    def addBeforeFrameRender(self, call, args=(), kwargs={}, nodeClass="Write"):  # noqa: N802, N803, B006
        self.callbacks["before_frame"].append((call, nodeClass))

    def addAfterFrameRender(self, call, args=(), kwargs={}, nodeClass="Write"):  # noqa: N802, N803, B006
        self.callbacks["after_frame"].append((call, nodeClass))

    def addAfterRender(self, call, args=(), kwargs={}, nodeClass="Write"):  # noqa: N802, N803, B006
        self.callbacks["after"].append((call, nodeClass))

    def thisNode(self):  # noqa: N802
        return self._this

    def root(self):
        return self._root

    def allNodes(self, cls=None, group=None, recurseGroups=False):  # noqa: N802, N803
        return [node for node in self.nodes if cls in (None, node.Class())]

    def frame(self):
        return self._frame

    def views(self):
        return list(self._views)

    def pluginPath(self):  # noqa: N802
        return list(self.folders)

    def filename(self, node, i=0):
        knob = node.knob("file")
        text = knob.value() if knob else None
        if text and i == self.REPLACE:
            text = re.sub(r"%0(\d+)d", lambda match: str(self._frame).zfill(int(match.group(1))), text)
        return text

    def open(self, name):
        """What an op opens for the name in its knob."""
        for call, _ in self.filters:
            given = call(name)
            name = name if given is None else given
        return name

    def call(self, moment, node, frame):
        self._this, self._frame = node, frame
        for call, cls in self.callbacks[moment]:
            if cls == node.Class():
                call()
        self._this = self._root

    def render(self, writes, frames, draw):
        """Nuke's loop: every Write of a frame, then the next frame."""
        for frame in frames:
            for write in writes:
                self.call("before_frame", write, frame)
                draw(write, frame)
                self.call("after_frame", write, frame)
        for write in writes:
            self.call("after", write, frames[-1])
