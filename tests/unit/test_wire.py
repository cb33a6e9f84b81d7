"""The protocol's lines."""

from __future__ import annotations

import json

import pytest

from nuke_callbacks import wire


def test_a_message_survives_the_way_there_and_back():
    message = {"id": 3, "verb": "resolve", "name": 'é\n"\\ \u2028 😀', "write": ""}

    assert wire.decode(wire.encode(message)) == message


def test_a_message_is_one_line_whatever_the_names_hold():
    line = wire.encode({"name": "a\nb\r\x00"})

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_a_name_that_is_not_unicode_survives():
    name = b"/mnt/show/\xff.exr".decode("utf-8", "surrogateescape")

    assert wire.decode(wire.encode({"name": name})) == {"name": name}


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b"[1]", b"7", b'"resolve"', b"null", b"\xff\xfe{}", b"{}{}"])
def test_what_is_not_one_json_object_is_refused(line):
    with pytest.raises(wire.WireError):
        wire.decode(line)


def test_a_line_over_the_limit_is_refused_on_both_sides(monkeypatch):
    monkeypatch.setattr(wire, "LINE_LIMIT", 64)

    with pytest.raises(wire.WireError, match="over the limit"):
        wire.encode({"name": "x" * 64})
    with pytest.raises(wire.WireError, match="over the limit"):
        wire.decode(json.dumps({"name": "x" * 64}).encode())
