"""Commands to nodes.

A script is a program for a stack machine. ``Class {…}`` takes the node's inputs from the stack and puts the
node on it; ``set N1a2b [stack 0]`` names what is on top, ``push $N1a2b`` puts it there again, ``push 0`` puts
nothing there (an unconnected input). A group takes its inputs, then has a stack of its own until
``end_group`` puts the group on the outer one. An empty stack gives unconnected inputs. Root leaves the stack
alone.

The top of the stack is input 0. ``inputs 2+1`` takes two pipe inputs, then one mask; without `inputs` a node
takes one.
"""

from __future__ import annotations

import codecs
import contextlib
import gc
import re
from collections.abc import Iterator

from jit_render.model.errors import ScriptError
from jit_render.script.nodes import GROUPS, Command, Node, Script
from jit_render.script.words import body_pairs, line_at, matching_brace, next_word, usual_pairs

MOST_INPUTS = 10_000  # a damaged number, not a graph

# Words that start a command of Nuke or Tcl, never a class.
_NO_CLASS = frozenset(
    {
        *("add_layer", "addUserKnob", "define_window_layout_xml", "end_group", "push", "set", "version"),
        *("after", "append", "array", "break", "catch", "concat", "continue", "else", "error", "eval", "exec", "expr"),
        *("file", "for", "foreach", "format", "global", "if", "incr", "info", "join", "lappend", "lindex", "list"),
        *("llength", "namespace", "package", "proc", "puts", "regexp", "regsub", "rename", "return", "source", "split"),
        *("string", "subst", "switch", "unset", "uplevel", "upvar", "variable", "while"),
        *("knob", "knobDefault", "load", "menu", "panel", "python", "tcl", "toolbar", "validate"),
    }
)
_GAP = re.compile(r"(?:[\s;]|\\\n|#(?:[^\\\n]|\\.|\\\Z)*+)*+", re.DOTALL)
# Most of a script: a node whose body needs no unescaping and nests its braces at most twice, and the two stack
# commands. What stands in quotes or braces has space around it, so that `usual_pairs` may take word by word.
_USUAL = re.compile(
    r"[\s;]*+()(?:([A-Za-z_][\w.:-]*+)[ \t]*+\{("
    r'(?:[^{}"\\]++|(?<=\s)"[^"\\{}]*+"(?=[\s}])|(?<=\s)\{(?:[^{}\\]++|\{[^{}\\]*+\})*+\}(?=[\s}]))*+'
    r")\}[ \t]*+(?:\n|;|\Z)|push \$(\w++)\n|set (\w++) \[stack 0\]\n)"
)
_NODE = re.compile(r"([A-Za-z_][\w.:-]*+)[ \t]*+\{")
_CLONE = re.compile(r"clone[ \t]++([^\s{}]++)[ \t]++(?:([A-Za-z_][\w.:-]*+)[ \t]*+)?\{")
_COMMAND_END = re.compile(r"[ \t]*+(?:\n|;|\Z)")
_BLANK = re.compile(r"(?:[ \t]|\\\n)*+")
# A bare word of a command may hold a command of its own: [stack 0]
_BARE = re.compile(r"(?:\[[^\[\]\n]*+\]|[^\s\\;]|\\[^\n]|\\\Z)++")
_STACK = re.compile(r"\[\s*stack\s+(\d{1,6})\s*\]\Z")
_INPUTS = re.compile(r"(\d{1,6})(?:\+(\d{1,6}))?\Z")
_NAME = re.compile(r"[A-Za-z_]")
_NUMBERED = re.compile(r"(.*?)(\d{0,9})\Z", re.DOTALL)
_WEB_PAGE = re.compile(r"\s*(?:<!doctype|<html|<\?xml)", re.IGNORECASE)
_KNOWN = frozenset({"version", "define_window_layout_xml", "add_layer", "set", "push"})


def parse(text: str | bytes, *, name: str = "script") -> Script:
    """Read the text of a .nk or .gizmo file.

    Raises ScriptError, with the line where one can be named, for text that is cut off or is no script.
    """
    source = _decode(text, name)
    machine = _Machine(name)
    try:
        with _uncollected():
            _run(source, machine)
        return machine.finish()
    except ScriptError as error:
        raise ScriptError(f"{name}: {error}", line=error.line) from None


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """All that is made here is kept: looking through it for rubbish, again and again, was a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _decode(text: str | bytes, name: str) -> str:
    if not isinstance(text, str):
        if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ScriptError(f"{name}: this is text in UTF-16; save the script as UTF-8.", line=1)
        text = _decode_bytes(text)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = line_at(text, text.index("\0"))
        raise ScriptError(f"{name}: line {line}: this is no Nuke script: it holds binary data.", line=line)
    if _WEB_PAGE.match(text):
        raise ScriptError(f"{name}: line 1: this is no Nuke script: it is a web page or XML.", line=1)
    return text


def _decode_bytes(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # older Nuke wrote the machine's own encoding; any byte is a letter here


def _run(text: str, machine: _Machine) -> None:
    position, counted, line = 0, 0, 1
    while True:
        usual = _USUAL.match(text, position)
        if usual is not None and usual[2] not in _NO_CLASS:
            start = usual.start(1)
            line += text.count("\n", counted, start)
            counted, position = start, usual.end()
            machine.usual(usual, line)
            continue
        gap = _GAP.match(text, position)
        position = gap.end() if gap is not None else position
        if position >= len(text):
            return
        line += text.count("\n", counted, position)
        counted = position
        position = _one_command(text, position, line, machine)


def _one_command(text: str, position: int, line: int, machine: _Machine) -> int:
    """Run the command at `position`; where it ends."""
    node = _NODE.match(text, position)
    if node is not None and node[1] not in _NO_CLASS:
        start = node.end() - 1
        body = matching_brace(text, start)
        end = _COMMAND_END.match(text, body.end + 1)
        if end is not None:
            machine.node(node[1], body_pairs(text, start, body), line)
            return end.end()
    clone = _CLONE.match(text, position)
    if clone is not None:
        start = clone.end() - 1
        body = matching_brace(text, start)
        machine.clone(clone[1], clone[2], body_pairs(text, start, body), line)
        return body.end + 1
    words, position = _command_words(text, position)
    machine.command(words, line)
    return position


def _command_words(text: str, position: int) -> tuple[list[str], int]:
    words: list[str] = []
    while True:
        blank = _BLANK.match(text, position)
        position = blank.end() if blank is not None else position
        if position >= len(text) or text[position] in "\n;":
            return words, position
        if text[position] in '{"':
            found = next_word(text, position, len(text))
            if found is not None:
                words.append(found[0])
                position = found[1]
                continue
        bare = _BARE.match(text, position)
        if bare is None:
            return words or [text[position]], position + 1
        words.append(bare[0])
        position = bare.end()


class _Scope:
    """One group's inside: its stack and the names in it."""

    __slots__ = ("group", "names", "next_number", "stack")

    def __init__(self, group: Node | None) -> None:
        self.group = group
        self.stack: list[Node | None] = []
        self.names: set[str] = set()
        self.next_number: dict[str, int] = {}

    def pop(self) -> Node | None:
        return self.stack.pop() if self.stack else None

    def free_name(self, wanted: str) -> str:
        """`wanted`, or where it is taken what Nuke would call the node: the next free number behind it."""
        if wanted in self.names:
            match = _NUMBERED.match(wanted)
            stem = match[1] if match is not None else wanted
            number = self.next_number.get(stem, 1)
            while f"{stem}{number}" in self.names:
                number += 1
            self.next_number[stem] = number + 1
            wanted = f"{stem}{number}"
        self.names.add(wanted)
        return wanted


class _Machine:
    """The stack machine. What it has made so far is always a whole tree."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root = Node("Root", "root", 0, {})
        self.nodes: list[Node] = []
        self.commands: list[Command] = []
        self.scopes = [_Scope(None)]
        self.variables: dict[str, Node | None] = {"cut_paste_input": None}
        self.known_command = False

    def node(self, cls: str, pairs: list[tuple[str, str]], line: int, clone_of: Node | None = None) -> Node:
        """Make a node from its body's pairs, connect it, put it on the stack or open its scope."""
        knobs, declared = _knobs(pairs)
        if cls == "Root" and clone_of is None:
            self.root.knobs.update(knobs)
            self.root.declared += declared
            self.root.line = line
            return self.root
        scope = self.scopes[-1]
        count = knobs.get("inputs")
        inputs, mask_inputs = self._inputs(count, cls, line) if count is not None else ((scope.pop(),), 0)
        if clone_of is not None:
            knobs = {**clone_of.knobs, **knobs}
            declared = clone_of.declared + declared
            name = clone_of.name
        else:
            name = scope.free_name(knobs.get("name") or f"{cls.rpartition('.')[2]}1")
        node = Node(cls, name, line, knobs, scope.group, inputs, mask_inputs, [], clone_of, declared)
        (scope.group or self.root).children.append(node)
        self.nodes.append(node)
        if cls in GROUPS and clone_of is None:
            self.scopes.append(_Scope(node))
        else:
            scope.stack.append(node)
        return node

    def usual(self, match: re.Match[str], line: int) -> None:
        """One command of the usual kinds, as `_USUAL` found it."""
        _, cls, body, pushed, variable = match.groups()
        stack = self.scopes[-1].stack
        if cls is not None:
            self.node(cls, usual_pairs(body, line), line)
        elif pushed is not None:
            self._push(f"${pushed}", line)
        else:
            self.variables[variable] = stack[-1] if stack else None

    def clone(self, name: str, cls: str | None, pairs: list[tuple[str, str]], line: int) -> None:
        """``clone $C1a2b {…}``; or ``clone node7f61|Write|219 Write {…}``, which makes the node at first."""
        known = name.removeprefix("$")
        original = self.variables.get(known)
        if original is not None:
            self.node(original.cls, pairs, line, original)
        elif cls is not None:
            self.variables[known] = self.node(cls, pairs, line)
        else:
            raise ScriptError(f"line {line}: clone of {name[:40]}, which nothing before it has set.", line=line)

    def command(self, words: list[str], line: int) -> None:
        """Any command that makes no node."""
        self.known_command = self.known_command or words[0] in _KNOWN
        if words[0] == "end_group":
            self._end_group(line)
        elif words[0] == "push" and len(words) == 2:
            self._push(words[1], line)
        elif words[0] == "set" and len(words) == 3 and (match := _STACK.match(words[2])) is not None:
            stack, depth = self.scopes[-1].stack, int(match[1])
            self.variables[words[1]] = stack[-1 - depth] if depth < len(stack) else None
        elif _NAME.match(words[0]) is None:
            raise ScriptError(f"line {line}: {words[0][:40]!r} is no command of a Nuke script.", line=line)
        else:
            self.commands.append(Command(line, tuple(words)))

    def finish(self) -> Script:
        """The script, once its text has ended."""
        if len(self.scopes) > 1:
            group = self.scopes[-1].group
            line = group.line if group is not None else None
            label = group.name if group is not None else ""
            raise ScriptError(f"line {line}: group {label} has no end_group; the script is truncated.", line=line)
        if not self.nodes and not self.root.line and not self.known_command:
            raise ScriptError("this is no Nuke script: it holds no node.", line=1)
        return Script(self.name, self.root, self.nodes, tuple(self.commands))

    def _inputs(self, text: str, cls: str, line: int) -> tuple[tuple[Node | None, ...], int]:
        if text == "0":
            return (), 0
        match = _INPUTS.match(text)
        if match is None:
            raise ScriptError(f"line {line}: {cls} says 'inputs {text[:40]}', which is no number of inputs.", line=line)
        masks = int(match[2] or 0)
        count = int(match[1]) + masks
        if count > MOST_INPUTS:
            raise ScriptError(f"line {line}: {cls} asks for {count:,} inputs; {MOST_INPUTS:,} are read.", line=line)
        scope = self.scopes[-1]
        return tuple(scope.pop() for _ in range(count)), masks

    def _push(self, what: str, line: int) -> None:
        variable = what.removeprefix("$")
        if what == "0":
            self.scopes[-1].stack.append(None)
        elif what.startswith("$") and variable in self.variables:
            self.scopes[-1].stack.append(self.variables[variable])
        else:
            raise ScriptError(f"line {line}: push {what[:40]}, which nothing before it has set.", line=line)

    def _end_group(self, line: int) -> None:
        if len(self.scopes) == 1:
            raise ScriptError(f"line {line}: end_group without a group.", line=line)
        group = self.scopes.pop().group
        self.scopes[-1].stack.append(group)


def _knobs(pairs: list[tuple[str, str]]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The knobs of a body, the last of each name, and what its addUserKnob declares."""
    knobs = dict(pairs)
    if knobs.pop("addUserKnob", None) is None:
        return knobs, ()
    return knobs, tuple(value for name, value in pairs if name == "addUserKnob")
