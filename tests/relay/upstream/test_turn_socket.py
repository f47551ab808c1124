"""What a turn sends on a WebSocket, and how the messages of its answer are read as a stream."""

import json
from typing import Any

import pytest

from relay.upstream.turn_socket import Continued, read_frame, write_message

ITEMS = [{"role": "user", "content": str(number)} for number in range(4)]


def sent(body: dict[str, Any], continued: Continued | None = None) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(write_message(json.dumps(body).encode(), continued))
    return message


def test_a_turn_is_a_request_without_its_transport() -> None:
    body = {"model": "m", "input": "hi", "stream": True, "stream_options": {}, "store": False}
    assert sent(body) == {"type": "response.create", "model": "m", "input": "hi", "store": False}


def test_messages_already_read_are_not_resent() -> None:
    body = {"model": "m", "input": ITEMS}
    message = sent(body, Continued("resp_1", 3, 4))
    assert (message["previous_response_id"], message["input"]) == ("resp_1", ITEMS[3:])


@pytest.mark.parametrize("items", [ITEMS[:3], [*ITEMS, ITEMS[0]], "hi"])
def test_changed_items_are_sent_whole(items: Any) -> None:
    """A channel may be sent fewer: reasoning that another provider sealed."""
    body = {"model": "m", "input": items}
    assert sent(body, Continued("resp_1", 3, 4)) == {"type": "response.create", **body}


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        (b'{"type":"a.b","x":1}', b'event: a.b\ndata: {"type":"a.b","x":1}\n\n'),
        # Between two values; a text has no line ends.
        (b'{"type":"a",\r\n"b":1}', b'event: a\ndata: {"type":"a",  "b":1}\n\n'),
        (b'{"type":"a\\nb"}', b'data: {"type":"a\\nb"}\n\n'),
        (b"{", b"data: {\n\n"),
        (b"\xff", b"data: \xff\n\n"),
        (b"[1]", b"data: [1]\n\n"),
        (
            b'{"type":"error","status":429,"sequence_number":7,'
            b'"error":{"type":"t","code":"c","message":"m"}}',
            b'event: error\ndata: {"type":"error","sequence_number":7,"code":"c","message":"m",'
            b'"param":null}\n\n',
        ),
        (
            b'{"type":"error","error":"odd"}',
            b'event: error\ndata: {"type":"error","sequence_number":0,"code":null,"message":"",'
            b'"param":null}\n\n',
        ),
    ],
)  # fmt: skip
def test_a_message_is_one_frame(message: bytes, frame: bytes) -> None:
    assert read_frame(message) == frame
