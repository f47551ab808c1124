"""Events of the responses API over a WebSocket, as they are read and written."""

import json
from typing import Any

import msgspec
import pytest

from dialects.errors.errors import RequestFault
from dialects.responses import websocket
from dialects.responses.websocket import CreateEvent, SteerEvent, StreamEvent
from tests.dialects.exchanges import refusal

MESSAGE = {"type": "message", "role": "user", "content": "Hi"}
PARTS = ["input_text", "input_image", "input_file"]


def event_of(**members: Any) -> CreateEvent | SteerEvent:
    return websocket.read_client_event(json.dumps(members).encode())


def create(**members: Any) -> CreateEvent:
    event = event_of(type="response.create", model="m", **members)
    assert isinstance(event, CreateEvent)
    return event


def steer(**members: Any) -> SteerEvent:
    event = event_of(type="response.steer", previous_response_id="resp_1", **members)
    assert isinstance(event, SteerEvent)
    return event


def raws(*values: object) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps(value).encode()) for value in values]


def test_request_for_a_response_is_a_streamed_body_of_http() -> None:
    event = create(
        stream_id="a.B-1_", generate=False, background=True, previous_response_id="resp_1",
        store=False, input="Hi",
    )  # fmt: skip
    assert (event.stream_id, event.generates, event.previous_id) == ("a.B-1_", False, "resp_1")
    assert (event.model, event.stores) == ("m", False)
    body = {"model": "m", "store": False, "stream": True}
    assert json.loads(event.request_body(None)) == body | {
        "previous_response_id": "resp_1", "input": "Hi",
    }  # fmt: skip
    own = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    assert json.loads(event.request_body(raws({"id": 1}))) == body | {"input": [{"id": 1}, own]}
    next_event = event.with_input("resp_2", raws(MESSAGE))
    assert (next_event.previous_id, next_event.stream_id) == ("resp_2", "a.B-1_")
    assert json.loads(next_event.body.raw)["input"] == [MESSAGE]
    assert json.loads(next_event.body.raw)["previous_response_id"] == "resp_2"


def test_plain_request_generates_and_is_stored() -> None:
    event = create(generate=True, store=True)
    assert (event.stream_id, event.generates, event.previous_id) == (None, True, None)
    assert event.stores
    assert event.input_items() == []
    assert event_of(type="response.create").model == ""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"type": "response.cancel"}, ("invalid_value", "type")),
        ({}, ("invalid_value", "type")),
        ({"type": 1}, ("invalid_type", "type")),
        ({"type": "response.create", "stream_id": ""}, ("invalid_value", "stream_id")),
        ({"type": "response.create", "stream_id": "a" * 257}, ("invalid_value", "stream_id")),
        ({"type": "response.create", "stream_id": "a b"}, ("invalid_value", "stream_id")),
        ({"type": "response.create", "generate": 1}, ("invalid_type", "generate")),
        (
            {"type": "response.create", "previous_response_id": 1},
            ("invalid_type", "previous_response_id"),
        ),
        ({"type": "response.steer"}, ("missing_parameter", "previous_response_id")),
    ],
)
def test_event_of_another_form_is_rejected(members: Any, fault: tuple[str, str]) -> None:
    with pytest.raises(RequestFault) as caught:
        event_of(**members)
    assert refusal(caught) == fault


@pytest.mark.parametrize(
    "given",
    ["Hi", [MESSAGE], [{"role": "user", "content": "Hi"}],
     *([{"role": "user", "content": [{"type": part}]}] for part in PARTS)],
)  # fmt: skip
def test_steering_takes_messages_of_the_user(given: Any) -> None:
    event = steer(input=given)
    assert (event.previous_id, event.fault, len(event.items)) == ("resp_1", "", 1)
    assert json.loads(bytes(event.input)) == given


@pytest.mark.parametrize(
    "given",
    [None, 1, [], [{"role": "system", "content": "Hi"}], [{"role": "user", "content": ""}],
     [{"role": "user", "content": []}], [{"role": "user", "content": 1}], [MESSAGE | {"id": "x"}],
     [MESSAGE, {"type": "reasoning", "role": "user", "content": "Hi"}],
     [{"role": "user", "content": [{"type": "output_text"}]}], [{"role": "user", "content": [1]}]],
)  # fmt: skip
def test_steering_by_anything_else_is_given_back(given: Any) -> None:
    event = steer(input=given)
    assert (event.fault[:35], event.items) == ("input must be text or user messages", ())
    assert json.loads(bytes(event.input)) == given


def test_steering_has_no_other_member() -> None:
    assert steer(input="Hi", model="m", tools=[]).fault == "model is not accepted here"


def test_event_of_a_stream_says_whether_its_response_ends() -> None:
    kinds = ("created", "completed", "incomplete", "failed")
    events = [
        websocket.read_stream_event(b'{"type":"response.%s"}' % kind.encode()) for kind in kinds
    ]
    assert [event.is_end for event in events] == [False, True, True, True]
    assert [event.continuable for event in events] == [False, True, True, False]
    assert websocket.read_stream_event(b'{"type":"error"}').is_end
    assert websocket.read_stream_event(b"{") == StreamEvent()
    response = msgspec.Raw(b'{"id":"resp_1","output":[{"id":"a"},{"id":"b"}]}')
    assert StreamEvent(response=response).response_id == "resp_1"
    assert [bytes(raw) for raw in StreamEvent(response=response).output()] == [
        b'{"id":"a"}', b'{"id":"b"}',
    ]  # fmt: skip
    assert (
        StreamEvent(response=msgspec.Raw(b'{"id":1}')).response_id,
        StreamEvent().response_id,
    ) == ("", "")


def test_message_names_its_lane() -> None:
    assert websocket.text_message(b'{"a":1}\n', "s") == '{"a":1,"stream_id":"s"}'
    assert websocket.text_message(b'{"a":1}\n', None) == '{"a":1}'
    assert websocket.text_message(b"[1]", "s") == "[1]"


def test_errors_have_the_form_of_a_websocket() -> None:
    refused = websocket.error_message(
        429,
        {"type": "rate_limit_error", "code": None, "message": "slow"},
        "s",
        {"retry-after": "3"},
    )
    headers = {"retry-after": "3"}
    assert json.loads(refused) == {
        "type": "error", "status": 429, "headers": headers, "stream_id": "s",
        "error": {"type": "rate_limit_error", "code": "rate_limit_error", "message": "slow",
                  "headers": headers},
    }  # fmt: skip
    event = StreamEvent(type="error", sequence_number=7, code="c", message="m", param="p")
    assert json.loads(websocket.error_in_stream(event, "s")) == {
        "type": "error", "status": 500, "sequence_number": 7, "stream_id": "s",
        "error": {"type": "server_error", "code": "c", "message": "m", "param": "p"},
    }  # fmt: skip
    unnamed = json.loads(websocket.error_in_stream(StreamEvent(), None))
    assert unnamed["error"]["code"] == "server_error"


def test_prepared_response_begins_and_ends_without_output() -> None:
    event = create(stream_id="s", previous_response_id="resp_0")
    begun, ended = map(json.loads, websocket.prepared_messages("resp_1", 7, event))
    assert (begun["type"], ended["type"]) == ("response.created", "response.completed")
    assert [one["sequence_number"] for one in (begun, ended)] == [0, 1]
    assert [one["stream_id"] for one in (begun, ended)] == ["s", "s"]
    assert begun["response"] == {
        "id": "resp_1", "object": "response", "created_at": 7, "status": "in_progress",
        "error": None, "incomplete_details": None, "instructions": None, "model": "m",
        "output": [], "parallel_tool_calls": True, "previous_response_id": "resp_0",
        "tool_choice": "auto", "tools": [], "usage": None,
    }  # fmt: skip
    assert ended["response"] == begun["response"] | {
        "status": "completed",
        "usage": {
            "input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def test_required_input_is_what_only_the_client_has() -> None:
    output = raws(
        {"type": "function_call", "call_id": "c1", "name": "f"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g"},
        {"type": "mcp_approval_request", "id": "a1"},
        {"type": "message"},
        {"type": "web_search_call"},
    )
    assert websocket.required_input(output) == [
        {"type": "function_call_output", "call_id": "c1", "name": "f"},
        {"type": "custom_tool_call_output", "call_id": "c2"},
        {"type": "mcp_approval_response", "approval_request_id": "a1"},
    ]


def test_steering_is_accepted_pending_or_failed() -> None:
    ids = {"id": "st", "previous_response_id": "resp_1"}
    assert json.loads(websocket.steer_accepted("st", "resp_1", 3, "s")) == {
        "type": "response.steer.accepted", "sequence_number": 3, "steer": ids, "stream_id": "s",
    }  # fmt: skip
    pending = websocket.steer_pending("st", "resp_1", [{"type": "x"}], 4, None)
    assert json.loads(pending) == {
        "type": "response.steer.pending", "sequence_number": 4, "steer": ids,
        "reason": "waiting_for_required_input", "required_input": [{"type": "x"}],
    }  # fmt: skip
    event = steer(input="Hi")
    failed = json.loads(websocket.steer_failed("st", event, "c", "m", 5, "s"))
    assert failed == {
        "type": "response.steer.failed", "sequence_number": 5, "stream_id": "s",
        "steer": {"id": "st", "previous_response_id": "resp_1", "input": "Hi"},
        "error": {"type": "invalid_request_error", "code": "c", "message": "m"},
    }  # fmt: skip
    assert "id" not in json.loads(websocket.steer_failed(None, event, "c", "m", 5))["steer"]


def test_bare_reasoning_is_read_by_its_provider_alone() -> None:
    items = raws({"type": "reasoning"}, {"type": "reasoning", "encrypted_content": "e"}, MESSAGE)
    assert websocket.readable_items(items) == items[1:]
