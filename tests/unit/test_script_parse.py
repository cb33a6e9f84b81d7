from __future__ import annotations

import pytest

from jit_render.model.errors import ScriptError
from jit_render.script import Script, parse
from jit_render.script.words import Braced, list_words, quote, unescape


def inputs_of(script: Script, name: str) -> list[str | None]:
    return [node and node.name for node in script.find(name).inputs]


def test_words_are_bare_quoted_or_braced_and_only_braces_keep_their_backslashes() -> None:
    words = list_words(r'bare\[x\] "two \"words\"\n" {as \[it\] is {nested}} "" {}')
    assert words == ["bare[x]", 'two "words"\n', r"as \[it\] is {nested}", "", ""]
    assert [isinstance(word, Braced) for word in words] == [False, False, True, False, True]


def test_escapes_are_those_of_tcl() -> None:
    assert unescape("a\\tb\\x41\\u00e9\\101\\\n   c\\q") == "a\tbAéA cq"


@pytest.mark.parametrize("value", ["", "a b", '"', "[value x]", "{", "}", "\\", "$x", "#", "é", "a;b", "tab\there"])
def test_a_quoted_value_reads_back_as_it_was(value: str) -> None:
    assert list_words(quote(value)) == [value]


def test_values_may_span_lines_and_hold_anything() -> None:
    script = parse(
        'BlinkScript {\n inputs 0\n kernelSource "kernel \\{\\n int x[3];\\n\\}"\n "my knob" {a\n  {b c}\n d}\n'
        " transforms {{0 2}\n   }\n name B\n}\n"
    )
    knobs = script.find("B").knobs
    assert knobs["kernelSource"] == "kernel {\n int x[3];\n}"
    assert knobs["my knob"] == "a\n  {b c}\n d"
    assert knobs["transforms"] == "{0 2}\n   "


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending_gives_the_same_script_and_lines(ending: str) -> None:
    text = "#! /opt/Nuke -nx\nversion 13.2 v4\nRoot {\n inputs 0\n}\nDot {\n inputs 0\n label {a\nb}\n name D\n}\n"
    script = parse(text.replace("\n", ending))
    assert script.version == "13.2 v4"
    assert script.find("D").line == 6
    assert script.find("D").knobs["label"] == "a\nb"


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ("Dot {\n name D\n label é\n}\n".encode(), "é"),
        (b"\xef\xbb\xbf" + "Dot {\n name D\n label é\n}\n".encode(), "é"),
        (b"Dot {\n name D\n label \xe9\n}\n", "é"),
        ("\ufeffDot {\n name D\n label é\n}\n", "é"),
    ],
)
def test_text_is_utf_8_with_or_without_mark_or_else_latin_1(data: bytes | str, label: str) -> None:
    assert parse(data).find("D").knobs["label"] == label


def test_a_node_may_stand_on_one_line_and_its_class_may_hold_dots() -> None:
    script = parse("Constant {inputs 0 name C1 color {0 0 1 1}}; OFXuk.co.thefoundry.x_v1 { name X1 }")
    assert [node.cls for node in script.nodes] == ["Constant", "OFXuk.co.thefoundry.x_v1"]
    assert inputs_of(script, "X1") == ["C1"]


def test_a_comment_counts_only_where_a_command_starts() -> None:
    script = parse("# Dot {\nDot {\n inputs 0\n note_font_color #ff0000\n name D\n}\n  # end")
    assert script.find("D").knobs["note_font_color"] == "#ff0000"


def test_what_draws_nothing_is_kept_and_ignored() -> None:
    script = parse(
        'version 15.0 v4\nadd_layer {rgba rgba.beta}\ndefine_window_layout_xml {<?xml a="{b}"?>\n}\n'
        'set x 5\nputs "hello {"\nif {1} {\n puts yes\n}\nproc f {a} {return 1}\nDot {\n inputs 0\n name D\n}\n'
    )
    assert [node.name for node in script.nodes] == ["D"]
    assert [command.words[0] for command in script.commands] == [
        "version", "add_layer", "define_window_layout_xml", "set", "puts", "if", "proc",
    ]  # fmt: skip
    assert script.commands[4].line == 6


def test_inputs_come_from_the_stack_the_top_one_first_then_masks() -> None:
    script = parse(
        "Read {\n inputs 0\n name A\n}\nRead {\n inputs 0\n name B\n}\n"
        "set N1 [stack 1]\nRead {\n inputs 0\n name M\n}\n"
        "push $N1\npush 0\nMerge2 {\n inputs 3+1\n name Merge1\n}\nMerge2 {\n inputs 2\n name Merge2\n}\n"
    )
    merge = script.find("Merge1")
    assert inputs_of(script, "Merge1") == [None, "A", "M", "B"]
    assert [node and node.name for node in merge.pipe_inputs] == [None, "A", "M"]
    assert merge.mask_input is script.find("B")
    assert inputs_of(script, "Merge2") == ["Merge1", "A"]


def test_an_empty_stack_gives_unconnected_inputs_and_root_leaves_the_stack_alone() -> None:
    script = parse(
        "push $cut_paste_input\nBlur {\n name B\n}\n"
        "Root {\n inputs 0\n name /a/b.nk\n}\nMerge2 {\n inputs 2\n name M\n}\n"
    )
    assert inputs_of(script, "B") == [None]
    assert inputs_of(script, "M") == ["B", None]
    assert script.root.knobs["name"] == "/a/b.nk"
    assert script.find("root") is script.root


def test_groups_have_a_stack_of_their_own_and_take_their_inputs_before_it() -> None:
    script = parse(
        "Read {\n inputs 0\n name R\n}\nGroup {\n name G\n}\n Input {\n  inputs 0\n  name Input1\n }\n"
        " Group {\n  name Inner\n }\n"
        "  Output {\n   inputs 1\n   name O\n  }\n end_group\n"
        " Output {\n  name Output1\n }\nend_group\nWrite {\n name W\n}\n"
    )
    assert inputs_of(script, "G") == ["R"]
    assert inputs_of(script, "W") == ["G"]
    assert inputs_of(script, "G.Inner") == ["Input1"]
    assert inputs_of(script, "G.Inner.O") == [None]
    assert inputs_of(script, "G.Output1") == ["Inner"]
    assert [node.full_name for node in script.find("G").children] == ["G.Input1", "G.Inner", "G.Output1"]
    assert script.find("G.Input1").source is script.find("R")
    assert [node.name for node in script.root.children] == ["R", "G", "W"]


def test_input_nodes_without_a_number_are_counted_in_order() -> None:
    script = parse(
        "Group {\n inputs 3\n name G\n}\nInput {\n inputs 0\n name A\n}\nInput {\n inputs 0\n name B\n number 0\n}\n"
        "Input {\n inputs 0\n name C\n}\nend_group\n"
    )
    assert [script.find(f"G.{name}").group_input() for name in "ABC"] == [1, 0, 2]


@pytest.mark.parametrize(
    "first",
    [
        "Blur {\n inputs 0\n size 3\n name B\n}\nset C1 [stack 0]\n",
        "clone node7f|Blur|2 Blur {\n inputs 0\n size 3\n name B\n}\nset C1 [stack 0]\n",
    ],
)
def test_a_clone_shows_its_original_s_knobs_with_its_own_on_top(first: str) -> None:
    script = parse(first + "clone $C1 {\n inputs 0\n xpos 5\n size 4\n}\n")
    original, clone = script.nodes
    assert clone.clone_of is original
    assert clone.knobs == {"inputs": "0", "size": "4", "name": "B", "xpos": "5"}
    assert clone.name == original.name
    assert script.find("B") is original


def test_names_that_repeat_in_one_scope_are_told_apart_as_nuke_does() -> None:
    script = parse(
        "Dot {\n name D7\n}\nDot {\n name D7\n}\nDot {\n}\nDot {\n}\n"
        "Group {\n name D7\n}\nDot {\n name D7\n}\nend_group\n"
    )
    assert [node.full_name for node in script.nodes] == ["D7", "D1", "Dot1", "Dot2", "D2", "D2.D7"]
    assert script.nodes[1].knobs["name"] == "D7"


def test_knobs_a_node_declares_itself_are_listed() -> None:
    script = parse(
        'Group {\n name G\n addUserKnob {20 User}\n addUserKnob {41 size l "The size" -STARTLINE T Blur1.size}\n'
        ' addUserKnob {26 "" +STARTLINE}\n addUserKnob {7 mix}\n mix 0.5\n}\nend_group\n'
    )
    group = script.find("G")
    assert group.user_knobs["size"].target == "Blur1.size"
    assert group.user_knobs["size"].option("l") == "The size"
    assert group.user_knobs["mix"].target == ""
    assert group.knobs == {"name": "G", "mix": "0.5"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("Dot {\n inputs 0\n}\n\nBlur {\n size {1 2\n}\n", 5, "never closed"),
        ('Dot {\n inputs 0\n}\nputs "abc\n', 4, "never closed"),
        ('Dot {\n inputs 0\n label "abc\n}\n', 3, "never closed"),
        ("Dot {\n name D\n label\n}\n", 3, "no value"),
        ('Dot {\n name "D"\n label\n}\n', 3, "no value"),
        ("Dot {\n}\nset C1 [stack 0]\nclone $C1 {\n xpos\n}\n", 5, "no value"),
        ("Dot {\n name {D}x\n}\n", 2, "right after"),
        ("Dot {\n inputs two\n}\n", 1, "no number"),
        ("Dot {\n inputs 999999\n}\n", 1, "999,999"),
        ("Dot {\n}\nend_group\n", 3, "without a group"),
        ("Dot {\n}\nGroup {\n name G\n}\nDot {\n}\n", 3, "no end_group"),
        ("Dot {\n}\npush $N1\n", 3, "nothing before it"),
        ("Dot {\n}\nclone $C1 {\n xpos 1\n}\n", 3, "nothing before it"),
        ("Dot {\n}\n<<<<<<< HEAD\n", 3, "no command"),
        ("Dot {\n}\n\0\n", 3, "binary"),
        ("", 1, "no Nuke script"),
        ("# only a comment\n", 1, "no Nuke script"),
        ("import nuke\nnuke.root()\n", 1, "no Nuke script"),
        ("%PDF-1.4\n", 1, "no command"),
        ('{"frames": [1, 2]}', 1, "no command"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 3, "binary"),
    ],
)
def test_text_that_is_no_script_or_is_cut_off_is_refused_with_its_line(text: str | bytes, line: int, says: str) -> None:
    with pytest.raises(ScriptError, match=says) as caught:
        parse(text, name="shot.nk")
    assert caught.value.line == line
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("shot.nk: ")


def test_groups_may_nest_thousands_deep() -> None:
    deep = 5000
    script = parse("Group {\n inputs 0\n name G\n}\n" * deep + "Read {\n inputs 0\n name R\n}\n" + "end_group\n" * deep)
    innermost = script.nodes[-1]
    assert innermost.full_name.count(".") == deep
    assert script.find(innermost.full_name) is innermost


def test_braces_may_nest_thousands_deep() -> None:
    script = parse("Dot {\n inputs 0\n x " + "{" * 50_000 + "}" * 50_000 + "\n name D\n}\n")
    assert len(script.find("D").knobs["x"]) == 99_998


def test_an_unknown_node_is_an_error_that_names_it() -> None:
    with pytest.raises(ScriptError, match=r"shot\.nk.*'Group1\.Read9'"):
        parse("Dot {\n}\n", name="shot.nk").find("Group1.Read9")
