"""The parser against text made by machine: it never crashes, never hangs, and reads back what was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jit_render.model.errors import ScriptError, Undecided
from jit_render.script import Evaluator, Node, Script, parse
from jit_render.script.words import list_words, quote

PIECES = st.sampled_from(
    [
        "{",
        "}",
        '"',
        "\\",
        "\n",
        "\r\n",
        ";",
        " ",
        "#",
        "[",
        "]",
        "$",
        "Dot {",
        "}\n",
        "inputs 2+1\n",
        "name x\n",
        "Group {\n}\n",
        "end_group\n",
        "push 0\n",
        "push $N1\n",
        "set N1 [stack 0]\n",
        "clone $N1 {\n}\n",
        "addUserKnob {41 a T b.c}\n",
        "{{curve x1 0 x9 1}}",
        "version 13",
        "Root {\n}\n",
        "é",
        "\0",
        "inputs 0\n",
        "(default {1} right {2})",
        "\\\n",
    ]
)
SOUP = st.lists(PIECES, max_size=60).map("".join)


def tree_or_error(text: str | bytes) -> Script | None:
    try:
        return parse(text)
    except ScriptError as error:
        refused = error
    assert refused.line is not None
    assert refused.line >= 1
    assert "\n" not in str(refused)
    return None


@given(st.one_of(SOUP, st.text(max_size=300), st.binary(max_size=300)))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_tree_or_an_error_with_a_line(text: str | bytes) -> None:
    script = tree_or_error(text)
    for node in script.nodes if script is not None else ():
        assert len(node.pipe_inputs) + node.mask_inputs == len(node.inputs)
        assert node.line >= 1


@dataclass
class Plan:
    """A node to be written: its values, how many inputs it takes, what stands in it."""

    cls: str
    name: str
    values: dict[str, str]
    pipes: int
    masks: int
    children: list[Plan] = field(default_factory=list)


NAMES = st.from_regex(r"[A-Z][a-z]{0,4}", fullmatch=True)
KNOBS = st.from_regex(r"[a-z][a-z_. ]{0,6}[a-z]", fullmatch=True).filter(lambda name: name not in {"name", "inputs"})
VALUES = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=12)


def plans(depth: int) -> st.SearchStrategy[list[Plan]]:
    inside = plans(depth - 1) if depth else st.just([])
    cls = st.sampled_from(["Blur", "Dot", "Merge2", "Read", "OFXa.b_v1", *(["Group"] if depth else [])])

    @st.composite
    def plan(draw: st.DrawFn) -> Plan:
        chosen = draw(cls)
        made = Plan(
            chosen,
            "",
            draw(st.dictionaries(KNOBS, VALUES, max_size=3)),
            draw(st.integers(0, 3)),
            draw(st.integers(0, 1)),
        )
        if chosen == "Group":
            made.children = draw(inside)
        return made

    return st.lists(plan(), max_size=6)


def render(made: list[Plan], draw_ending: str) -> str:
    """The plans as .nk text; every node gets a name of its own in its scope."""
    lines: list[str] = []
    for number, plan in enumerate(made):
        plan.name = f"N{number}"
        inputs = f"{plan.pipes}+{plan.masks}" if plan.masks else str(plan.pipes)
        body = [f" {quote(knob)} {quote(value)}" for knob, value in plan.values.items()]
        lines += [f"{plan.cls} {{", f" inputs {inputs}", *body, f" name {plan.name}", "}"]
        if plan.cls == "Group":
            lines += [render(plan.children, "\n").rstrip("\n"), "end_group"]
    return draw_ending.join(lines) + draw_ending


def expected(made: list[Plan], prefix: str) -> Iterator[tuple[str, Plan, list[str | None]]]:
    """Full name, plan and inputs of every node, by a stack written the plain way."""
    stack: list[str] = []
    for plan in made:
        taken = [stack.pop() if stack else None for _ in range(plan.pipes + plan.masks)]
        yield f"{prefix}{plan.name}", plan, taken
        yield from expected(plan.children, f"{prefix}{plan.name}.")
        stack.append(plan.name)


@given(plans(2), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=150, deadline=None)
def test_a_generated_graph_reads_back_as_it_was_written(made: list[Plan], ending: str) -> None:
    script = parse("version 13.2 v4\n" + render(made, ending))
    wanted = list(expected(made, ""))
    assert [node.full_name for node in script.nodes] == [name for name, _, _ in wanted]
    for node, (_, plan, inputs) in zip(script.nodes, wanted, strict=True):
        assert node.cls == plan.cls
        assert [source and source.name for source in node.inputs] == inputs
        assert node.mask_inputs == plan.masks
        own = {knob: value for knob, value in node.knobs.items() if knob not in {"name", "inputs"}}
        assert own == plan.values


@given(plans(2), st.integers(0, 2000))
@settings(max_examples=150, deadline=None)
def test_a_script_cut_anywhere_gives_a_smaller_tree_or_an_error(made: list[Plan], cut: int) -> None:
    text = "version 13.2 v4\n" + render(made, "\n")
    whole = parse(text)
    part = tree_or_error(text[:cut])
    assert part is None or len(part.nodes) <= len(whole.nodes)


@given(st.lists(VALUES, max_size=6))
def test_any_list_of_values_reads_back_as_it_was_quoted(values: list[str]) -> None:
    assert list_words(" ".join(quote(value) for value in values)) == values


MEANT = st.lists(
    st.sampled_from(
        [
            "[",
            "]",
            "\\[",
            "value ",
            "root.name",
            "B.size",
            "frame",
            "{",
            "}",
            '"',
            "$env(A)",
            "file ",
            "tail ",
            "expr ",
            "1",
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "(",
            ")",
            "?",
            ":",
            "<",
            "&&",
            "curve",
            " ",
            "x1 ",
            "0",
            ".5",
            "e3",
            "sin",
            ",",
            "lrange ",
            "end",
            "%04d",
            "format ",
            "python ",
            "nuke.script_directory()",
            "(default ",
            "right ",
            "this.",
            "parent.",
            "i",
            "K ",
            "s1 ",
            "\\",
        ]
    ),
    max_size=24,
).map("".join)


@given(MEANT)
@example("[\\nuke.script_directory()]")
@settings(max_examples=600, deadline=None)
def test_any_value_is_told_or_undecided(value: str) -> None:
    blur = Node("Blur", "B", 3, {"size": value, "name": "B", "other": "{" + value + "}"})
    root = Node("Root", "root", 1, {"name": "/a/b.nk"}, children=[blur])
    evaluator = Evaluator(Script("s", root, [blur], ()), environment={"A": "a"})
    for ask in (evaluator.string, evaluator.number, evaluator.boolean):
        for knob in ("size", "other"):
            refused = None
            try:
                ask(blur, knob, frame=7, view="right")
            except Undecided as error:
                refused = error
            assert refused is None or (refused.node, refused.line) == ("B", 3)
            assert "\n" not in str(refused)
