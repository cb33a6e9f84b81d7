"""The golden exchanges: the same lines on both sides of the socket.

A change here is a change of the protocol: agents and callbacks of two releases meet on one node.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from jit_render.agent import answers, fields
from jit_render.model.errors import every_error, from_kind
from jit_render.model.identity import ObjectUrl
from nuke_callbacks import wire
from nuke_callbacks.client import AgentFailure, Client

VECTORS = json.loads(Path(__file__).with_name("wire_vectors.json").read_text())
EXCHANGES = VECTORS["exchanges"]
BY_TITLE = pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange["title"] for exchange in EXCHANGES])
READERS = {
    "write": fields.text, "state": fields.text, "name": fields.text, "role": fields.text, "job": fields.text,
    "frame": fields.integer, "task": fields.integer, "attempt": fields.integer, "version": fields.integer,
    "pid": fields.integer, "seconds": fields.number, "prefetch": fields.flag, "session_only": fields.flag,
    "names": fields.pairs, "outputs": fields.pairs, "frames": fields.integers, "after": fields.digest,
    "end": fields.flag,
}  # fmt: skip


@BY_TITLE
def test_messages_and_lines_are_each_others_image(exchange):
    for side in ("request", "reply"):
        line = exchange[side + "_line"].encode() + b"\n"
        assert wire.encode(exchange[side]) == line
        assert wire.decode(line) == exchange[side]


@pytest.mark.parametrize("entry", VECTORS["not_messages"], ids=[entry["why"] for entry in VECTORS["not_messages"]])
def test_what_is_no_message_is_refused(entry):
    with pytest.raises(wire.WireError):
        wire.decode(entry["line"].encode())


def test_every_verb_and_every_state_has_a_vector():
    said = [answer for exchange in EXCHANGES for answer in _answers(exchange["reply"])]

    assert {exchange["request"]["verb"] for exchange in EXCHANGES} == set(wire.VERBS)
    assert {answer["state"] for answer in said} == set(wire.STATES)
    assert VECTORS["version"] == wire.VERSION


def test_the_client_says_exactly_these_lines_and_reads_these_replies(monkeypatch):
    heard = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/agent.sock")
        listener.listen()

        def answer_in_turn():
            with listener.accept()[0] as connection, connection.makefile("rb") as lines:
                for exchange in EXCHANGES:
                    heard.append(lines.readline().decode().rstrip("\n"))
                    connection.sendall(exchange["reply_line"].encode() + b"\n")

        monkeypatch.setattr(os, "getpid", lambda: 4242)
        thread = threading.Thread(target=answer_in_turn)
        thread.start()
        client = Client(folder + "/agent.sock", "gs://state/jobs/j", 3, 1)
        given = [_call(client, exchange["call"]) for exchange in EXCHANGES]
        thread.join()
        client.close()

    assert heard == [exchange["request_line"] for exchange in EXCHANGES]
    for exchange, result in zip(EXCHANGES, given, strict=True):
        _check(exchange["reply"], result)


@BY_TITLE
def test_the_agent_reads_every_field_of_every_request(exchange):
    request = exchange["request"]

    for key in set(request) - {"id", "verb"}:
        value = READERS[key](request, key)
        assert json.loads(json.dumps(value)) == request[key]


@BY_TITLE
def test_the_agent_answers_in_these_words(exchange):
    for answer in _answers(exchange["reply"]):
        assert _made_by_the_agent(answer) == answer
    error = exchange["reply"].get("error")
    if error:
        known = from_kind(error["kind"], error["message"])
        assert answers.as_reply(exchange["reply"]["id"], known) == exchange["reply"]


def _answers(reply):
    return ([reply["answer"]] if "answer" in reply else []) + reply.get("answers", [])


def _made_by_the_agent(answer):
    url = ObjectUrl.parse(answer["object"]) if answer["object"] else None
    if answer["state"] == "local":
        return answers.local(answer["name"], answer["path"], url, leased=answer["leased"])
    if answer["state"] == "absent":
        return answers.absent(answer["name"], answer["path"], url)
    if answer["state"] == "unmapped":
        return answers.unmapped(answer["name"])
    assert answer["kind"] in every_error()
    return answers.failed(answer["name"], from_kind(answer["kind"], answer["reason"]), url)


def _call(client, call):
    verb, *arguments = call
    named = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
    try:
        return getattr(client, verb)(*arguments, **named)
    except AgentFailure as failure:
        return failure


def _check(reply, result):
    if not reply["ok"]:
        error = reply["error"]
        assert (result.kind, result.message, result.retryable) == tuple(error.values())
        return
    told = {key: value for key, value in reply.items() if key not in {"id", "ok"}}
    if "version" in told or not told:
        assert result is None
    elif set(told) == {"agent", "attempt"} or "checked" in told:
        assert result == told
    elif "committed" in told:
        assert result == (told["committed"], told["failed"])
    else:
        assert [result] == list(told.values())
