import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Message, Reasoning, Text, ToolCall, ToolResult
from dialects.chat.events import Seal
from dialects.chat.kept import KeptResponse, decode_kept
from dialects.json.body import read_body
from dialects.responses.answer.encode import encode
from dialects.responses.request.decode import decode
from dialects.responses.state import (
    continue_body,
    input_items,
    keep,
    list_items,
    make_portable,
)
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID, answer, request

CLIENT = request(dialect="responses")
CALL = ToolCall("c", "f", "{}")
THOUGHT = Reasoning("hm", Seal("anthropic", "sig"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def keep_response(
    body: bytes, response: bytes, earlier: KeptResponse | None = None
) -> KeptResponse:
    stored = keep(read_body(body), response, earlier, "channel")
    assert stored is not None
    assert stored[0] == json.loads(response)["id"]
    return decode_kept(stored[1])


def raws(*items: object) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(item)) for item in items]


def test_conversation_continues_over_two_answers() -> None:
    first = b'{"model":"m","input":"hi","instructions":"Be kind.","store":true}'
    first_kept = keep_response(first, encode(answer(THOUGHT, CALL, finish="tool_calls"), CLIENT))
    output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    second = {"model": "m", "input": [output], "previous_response_id": "resp_1"}
    raw = continue_body(read_body(json.dumps(second).encode()), first_kept.conversation)
    got = decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)
    assert got.previous_response_id is None
    assert got.messages == (
        Message("user", (Text("hi"),)),
        Message("assistant", (THOUGHT, CALL)),
        Message("tool", (ToolResult("c", (Text("ok"),)),)),
    )
    two = keep_response(
        json.dumps(second).encode(), encode(answer(Text("done")), CLIENT), first_kept
    )
    third = b'{"model":"m","input":"more","previous_response_id":"resp_2"}'
    raw = continue_body(read_body(third), two.conversation)
    got = decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)
    assert [message.role for message in got.messages] == [
        "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON), max_size=4), st.text(max_size=9))
def test_items_stay_unchanged(items: list[dict[str, Any]], text: str) -> None:
    """Whatever is in front, the client's own input follows it unchanged, and nothing else of its
    body moves."""
    body = json.dumps({"a": 1.0, "input": text, "previous_response_id": "r", "z": text}).encode()
    document = json.loads(continue_body(read_body(body), raws(*items)))
    assert list(document) == ["a", "input", "z"]
    assert document["input"][:-1] == items
    assert document["input"][-1]["content"][0]["text"] == text
    own = json.dumps({"input": items}).encode()
    assert [json.loads(bytes(item)) for item in input_items(read_body(own))] == items


def test_request_without_input_has_no_items() -> None:
    assert input_items(read_body(b'{"previous_response_id":"r"}')) == []


def test_failed_or_malformed_response_is_not_stored() -> None:
    body = read_body(b'{"input":"hi"}')
    for response in (
        b'{"id":"r","object":"response","status":"failed","output":[]}',
        b'{"id":"r","object":"response","status":"queued","output":[]}',
        b'{"id":"","object":"response","status":"completed","output":[]}',
        b'{"id":"r","object":"response.compaction","output":[]}',
        b"[]",
        b"nothing",
    ):
        assert keep(body, response, None, "") is None


def test_rereadable_reasoning_is_counted() -> None:
    usage = {"output_tokens_details": {"reasoning_tokens": 7}}
    whole = {"id": "r", "object": "response", "status": "completed", "output": [], "usage": usage}
    response = json.dumps(whole).encode()
    kept = keep_response(b'{"input":"hi"}', response)
    assert kept.unseen_tokens == 7
    assert keep_response(b'{"input":"hi"}', response, kept).unseen_tokens == 14
    odd = json.dumps(whole | {"usage": {"output_tokens_details": 3}}).encode()
    assert keep_response(b'{"input":"hi"}', odd).unseen_tokens == 0


def test_another_account_gets_what_it_can_read() -> None:
    assistant_message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    user_message = {"role": "user", "content": "hi"}
    called = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    own = {"id": "x_1", "type": "custom_tool_call", "call_id": "c"}
    sealed = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAA"}
    searched = {"id": "ws_1", "type": "web_search_call"}
    items = raws(user_message, sealed, searched, assistant_message, called, own, 3)
    portable_items = [json.loads(bytes(item)) for item in make_portable(items)]
    assert portable_items == [
        user_message,
        {name: value for name, value in assistant_message.items() if name != "id"},
        {name: value for name, value in called.items() if name != "id"},
        own,
        3,
    ]


def test_listed_items_have_an_id_and_parts() -> None:
    items = raws(
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes"},
        {"id": "fc", "type": "function_call"},
    )
    listing = list_items(items, "resp_1")
    assert [item["id"] for item in listing] == ["resp_1_0", "resp_1_1", "fc"]
    assert listing[0]["content"] == [{"type": "input_text", "text": "hi"}]
    assert listing[1]["content"] == [{"type": "output_text", "text": "yes"}]
