"""Which texts of a request guards see, and at which place."""

import json
from base64 import b64encode
from typing import Any

import pytest
from msgspec import structs

from content.guards.rules import GuardRule, Place
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from relay.guarding.guarding import Guarding
from relay.guarding.request_texts import check_texts
from relay.guarding.rule_set import KeyRules
from tests.relay.speakers import PICTURE

A = "alice@example.com"


def seen(body: dict[str, Any]) -> tuple[dict[str, Any], set[Place]]:
    """The body with each address replaced, and where one was."""
    places = set[Place]()

    def check(place: Place, text: str) -> str:
        if A in text:
            places.add(place)
        return text.replace(A, "<E>")

    return json.loads(check_texts(read_body(json.dumps(body).encode()), check)), places


CALL = '{"to": "alice\\u0040example.com"}'
SHAPES: list[tuple[dict[str, Any], Place]] = [
    ({"messages": [{"role": "system", "content": A}]}, "request"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": A}]}]}, "request"),
    ({"messages": [{"role": "user", "name": A, "content": "x"}]}, "request"),
    ({"messages": [{"role": "tool", "tool_call_id": "1", "content": A}]}, "tool_result"),
    ({"messages": [{"role": "tool", "tool_call_id": "1", "content": CALL}]}, "tool_result"),
    ({"messages": [{"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": CALL}}]}]},
     "tool_call"),
    ({"instructions": A}, "request"),
    ({"input": A}, "request"),
    ({"input": [{"type": "function_call", "name": "f", "arguments": CALL}]}, "tool_call"),
    ({"input": [{"type": "function_call_output", "call_id": "1", "output": A}]}, "tool_result"),
    ({"system": [{"type": "text", "text": A}]}, "request"),
    ({"messages": [{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": A}]}]}]},
     "tool_result"),
    ({"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "1", "name": "f", "input": {"to": {"list": [A]}}}]}]},
     "tool_call"),
    ({"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "1", "name": "f", "input": {A: 1}}]}]}, "tool_call"),
    ({"contents": [{"parts": [{"text": A}]}]}, "request"),
    ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": {"to": A}}}]}]}, "tool_call"),
    ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"data": A}}}]}]},
     "tool_result"),
    ({"messages": [{"content": [{"toolUse": {"name": "f", "input": {"to": A}}}]}]}, "tool_call"),
    ({"messages": [{"content": [{"toolResult": {"content": [{"json": {"a": A}}]}}]}]},
     "tool_result"),
    ({"metadata": {"user_id": A}}, "request"),
    ({"metadata": {A: "x"}}, "request"),
    ({"user": A}, "request"),
    ({"unknown_member": {"of": [A]}}, "request"),
    ({"tools": [{"type": "function", "function": {"name": "f", "description": A}}]}, "request"),
    ({"documents": [A]}, "request"),
    ({"messages": [{"content": [{"type": "document", "source": {
        "type": "text", "media_type": "text/plain", "data": A}}]}]}, "request"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "place"), SHAPES)
def test_a_text_is_seen_at_its_place(body: dict[str, Any], place: Place) -> None:
    changed, places = seen(body)
    assert places == {place}
    assert "example.com" not in json.dumps(changed)


def test_a_document_of_text_is_read() -> None:
    source = {"type": "base64", "media_type": "text/plain", "data": b64encode(A.encode()).decode()}
    url = f"data:text/plain;base64,{b64encode(A.encode()).decode()}"
    body = {"input": [{"source": source}, {"file_data": url}]}
    changed, places = seen(body)
    assert places == {"request"}
    expected = b64encode(b"<E>").decode()
    assert changed["input"][0]["source"]["data"] == expected
    assert changed["input"][1]["file_data"].endswith("," + expected)


def test_all_else_stays_as_it_came() -> None:
    raw = json.dumps({
        "model": A, "messages": [{"role": A, "content": [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
            {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
            {"type": "thinking", "thinking": "hm", "signature": A},
        ]}], "seed": 12345678901234567890, "top_p": 0.10,
    }).encode()  # fmt: skip
    assert check_texts(read_body(raw), lambda place, text: text.replace(A, "<E>")) == raw


def test_a_request_is_read_only_if_a_rule_is_about_requests() -> None:
    raw = b'{"messages": [{"role": "user", "content": "alice@example.com", "n": 1e999}]}'
    answers = GuardRule("email", {}, ["answer"], "mask", "own")
    assert Guarding(KeyRules([answers])).check_request(read_body(raw)) == raw
    for place in ("request", "tool_call", "tool_result"):
        with pytest.raises(RequestFault, match="a number that guards cannot read"):
            Guarding(KeyRules([structs.replace(answers, places=[place])])).check_request(
                read_body(raw)
            )
