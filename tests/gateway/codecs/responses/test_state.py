import json

import pytest

from gateway.codecs.chat import Message, Reasoning, Text, ToolCall, ToolResult
from gateway.codecs.events import Seal
from gateway.codecs.responses.request import decode
from gateway.codecs.responses.response import encode
from gateway.codecs.responses.state import conversation
from tests.gateway.codecs.neutral import RECEIVED_AT, REQUEST_ID, answer, request

CLIENT = request(dialect="responses")
CALL = ToolCall("c", "f", "{}")


def test_a_conversation_goes_on_over_two_answers() -> None:
    first = b'{"model":"m","input":"hi","instructions":"Be kind.","store":true}'
    thought = Reasoning("hm", Seal("anthropic", "sig"))
    kept = conversation(first, encode(answer(thought, CALL, finish="tool_calls"), CLIENT))
    output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    second = {"model": "m", "input": [output], "previous_response_id": "resp_1"}
    raw = json.dumps(second).encode()
    got = decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT, earlier=kept)
    assert got.previous_response_id is None
    assert got.messages == (
        Message("user", (Text("hi"),)),
        Message("assistant", (thought, CALL)),
        Message("tool", (ToolResult("c", (Text("ok"),)),)),
    )
    kept = conversation(raw, encode(answer(Text("done")), CLIENT), kept)
    third = b'{"model":"m","input":"more","previous_response_id":"resp_2"}'
    got = decode(third, request_id=REQUEST_ID, received_at=RECEIVED_AT, earlier=kept)
    assert [message.role for message in got.messages] == [
        "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [b'{"previous_response_id":"r"}', b'{"input":[3]}'])
def test_what_is_no_item_is_not_kept(asked: bytes) -> None:
    assert conversation(asked, b'{"output":null}') == []
