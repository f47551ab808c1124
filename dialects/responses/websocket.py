"""Events of the Responses API over a WebSocket (OpenAI's guide "WebSocket mode").

    client                   response.create   the body of POST /v1/responses, without `stream` and
                                               `background`; `stream_id` names the lane that it
                                               runs in, `generate: false` only prepares the input
                             response.steer    user messages for a response that is running
    server                   the events of a stream, each as one text message, with the lane of
                             its request; `error` for a request that was refused

A later request continues a response by its id. What the connection remembers of it is a
conversation: the items that the model has read and written.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import members_of
from dialects.responses.state import input_items

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_STREAM_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_KINDS: Final = ("response.create", "response.steer")
ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The last events of responses."""
# Calls whose result only the client has, and the item that brings it.
_REQUIRED: Final = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "computer_call": "computer_call_output",
    "local_shell_call": "local_shell_call_output",
    "shell_call": "shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "mcp_approval_request": "mcp_approval_response",
}
_STEER_MEMBERS: Final = frozenset({"type", "previous_response_id", "input"})
_MESSAGE_MEMBERS: Final = frozenset({"type", "role", "content"})
_USER_PARTS: Final = frozenset({"input_text", "input_image", "input_file"})


class CreateEvent(msgspec.Struct, frozen=True):
    """A request for a response. `previous_id` is the response that it continues, `stores` is False
    if the client forbids to store it.
    """

    body: Body
    stream_id: str | None
    generates: bool
    previous_id: str | None
    stores: bool

    def request_body(self, conversation: Sequence[msgspec.Raw] | None) -> bytes:
        """Return the body of the request over HTTP. Where the connection remembers the response
        that it continues, the `conversation` is sent instead of its id.
        """
        edits: dict[str, bytes | None] = dict.fromkeys(("type", "stream_id", "generate"))
        edits |= {"background": None, "stream": b"true"}
        if conversation is not None:
            edits |= {
                "previous_response_id": None,
                "input": _encode([*conversation, *self.input_items()]),
            }
        return self.body.splice(edits)

    @property
    def model(self) -> str:
        """The requested model, "" for none. Raises RequestFault."""
        return _text(self.body, "model") or ""

    def input_items(self) -> list[msgspec.Raw]:
        """Return its own input."""
        return input_items(self.body)

    def with_input(self, previous_id: str, items: Sequence[msgspec.Raw]) -> "CreateEvent":
        """Return a request with the same settings that continues a response with this input."""
        edits = {"previous_response_id": _encode(previous_id), "input": _encode(items)}
        body = read_body(self.body.splice(edits))
        return msgspec.structs.replace(self, body=body, previous_id=previous_id)


class SteerEvent(msgspec.Struct, frozen=True):
    """User messages for a response. `fault` says why they are refused, "" if they are valid."""

    previous_id: str
    input: msgspec.Raw
    items: Sequence[msgspec.Raw] = ()
    fault: str = ""


class StreamEvent(msgspec.Struct, frozen=True):
    """What matters of an event of a stream: the response that it begins or ends."""

    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"null")
    sequence_number: int = 0
    code: str | None = None
    message: str = ""
    param: str | None = None

    @property
    def is_end(self) -> bool:
        """Whether no event of its response follows."""
        return self.type in ENDS or self.type == "error"

    @property
    def continuable(self) -> bool:
        """Whether a later request may continue its response."""
        return self.type in ("response.completed", "response.incomplete")

    @property
    def response_id(self) -> str:
        """The id of its response, "" for none."""
        id = members_of(self.response).get("id")
        return id if isinstance(id, str) else ""

    def output(self) -> list[msgspec.Raw]:
        """Return the items of its response."""
        return _raws.decode(_decode(self.response, type=_Output).output)


class _Output(msgspec.Struct):
    output: msgspec.Raw = msgspec.Raw(b"[]")


_stream_event = msgspec.json.Decoder(StreamEvent)


def read_client_event(raw: bytes) -> CreateEvent | SteerEvent:
    """Read an event of the client. Raises RequestFault."""
    body = read_body(raw)
    kind = _text(body, "type")
    if kind == "response.steer":
        return _read_steer(body)
    if kind != "response.create":
        what = f"type must be one of {', '.join(_KINDS)}"
        raise RequestFault("invalid_value", "type", what)
    stream_id = _text(body, "stream_id")
    if stream_id is not None and not _STREAM_ID.fullmatch(stream_id):
        what = "stream_id must be 1 to 256 letters, digits, underscores, hyphens or periods"
        raise RequestFault("invalid_value", "stream_id", what)
    generate = body.value("generate")
    if generate not in (None, b"true", b"false"):
        raise RequestFault("invalid_type", "generate", "generate must be true or false")
    return CreateEvent(
        body=body,
        stream_id=stream_id,
        generates=generate != b"false",
        previous_id=_text(body, "previous_response_id"),
        stores=body.value("store") != b"false",
    )


def read_stream_event(data: bytes) -> StreamEvent:
    """Read an event of a stream; one that is not readable has no type."""
    try:
        return _stream_event.decode(data)
    except NOT_JSON:
        return StreamEvent()


def text_message(data: bytes, stream_id: str | None) -> str:
    """Return an event of a stream as a text message of its lane."""
    text = data.decode(errors="replace").rstrip()
    if stream_id is None or not text.endswith("}"):
        return text
    return f'{text[:-1]},"stream_id":"{stream_id}"}}'


def error_message(
    status: int, error: JsonObject, stream_id: str | None, headers: Mapping[str, str]
) -> str:
    """Return the event that refuses a request; `error` has the members of the error over HTTP, and
    `headers` are those that would come with it.
    """
    # Codex reads the headers next to the error, the official clients inside it. Open Responses
    # requires a code.
    code = error["code"] or error["type"]
    event = {
        "type": "error",
        "status": status,
        "error": {**error, "code": code, "headers": headers},
        "headers": headers,
    }
    return text_message(_encode(event), stream_id)


def error_in_stream(event: StreamEvent, stream_id: str | None) -> str:
    """Return the error that a stream has sent in the form that it has over a WebSocket."""
    error = {
        "type": "server_error",
        "code": event.code or "server_error",
        "message": event.message,
        "param": event.param,
    }
    message = {
        "type": "error",
        "status": 500,
        "sequence_number": event.sequence_number,
        "error": error,
    }
    return text_message(_encode(message), stream_id)


def prepared_messages(id: str, created_at: int, event: CreateEvent) -> list[str]:
    """Return the events of a response without output, whose input a later request continues."""
    response: JsonObject = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": event.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": event.previous_id,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    none = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    details = {
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    ended = response | {"status": "completed", "usage": none | details}
    events = ({"type": "response.created", "response": response},
              {"type": "response.completed", "response": ended})  # fmt: skip
    return [
        text_message(_encode(event_ | {"sequence_number": number}), event.stream_id)
        for number, event_ in enumerate(events)
    ]


def required_input(output: Sequence[msgspec.Raw]) -> list[JsonObject]:
    """Return the results that the client must bring before a response can be continued."""
    required: list[JsonObject] = []
    for raw in output:
        item = members_of(raw)
        kind = _REQUIRED.get(str(item.get("type")))
        if kind == "mcp_approval_response":
            required.append({"type": kind, "approval_request_id": item.get("id")})
        elif kind is not None:
            names = {"name": item.get("name")} if kind == "function_call_output" else {}
            required.append({"type": kind, "call_id": item.get("call_id"), **names})
    return required


def steer_accepted(id: str, previous_id: str, number: int, stream_id: str | None) -> str:
    """Return the event by which steering is accepted."""
    steer = {"id": id, "previous_response_id": previous_id}
    event = {"type": "response.steer.accepted", "sequence_number": number, "steer": steer}
    return text_message(_encode(event), stream_id)


def steer_pending(
    id: str, previous_id: str, required: Sequence[JsonObject], number: int, stream_id: str | None
) -> str:
    """Return the event by which steering waits for what the client must bring."""
    event = {
        "type": "response.steer.pending",
        "sequence_number": number,
        "reason": "waiting_for_required_input",
        "required_input": required,
        "steer": {"id": id, "previous_response_id": previous_id},
    }
    return text_message(_encode(event), stream_id)


def steer_failed(
    id: str | None,
    event: SteerEvent,
    code: str,
    message: str,
    number: int,
    stream_id: str | None = None,
) -> str:
    """Return the event that gives steering back to the client."""
    steer: JsonObject = {"previous_response_id": event.previous_id, "input": event.input}
    error = {"type": "invalid_request_error", "code": code, "message": message}
    failed = {
        "type": "response.steer.failed",
        "sequence_number": number,
        "steer": steer if id is None else {"id": id, **steer},
        "error": error,
    }
    return text_message(_encode(failed), stream_id)


def readable_items(items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the items that any account can read again: reasoning only with its sealed content,
    because its provider has not stored it.
    """
    return [raw for raw in items if not _is_bare_reasoning(members_of(raw))]


def _is_bare_reasoning(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "reasoning" and not item.get("encrypted_content")


def _read_steer(body: Body) -> SteerEvent:
    previous_id = _text(body, "previous_response_id")
    raw = msgspec.Raw(body.value("input") or b"null")
    if previous_id is None:
        raise RequestFault("missing_parameter", "previous_response_id", "previous_response_id")
    if unknown := set(body.members) - _STEER_MEMBERS:
        return SteerEvent(previous_id, raw, fault=f"{sorted(unknown)[0]} is not accepted here")
    items = input_items(body) if bytes(raw).startswith((b'"', b"[")) else []
    if not items or not all(map(_is_user_message, items)):
        fault = "input must be text or user messages with input_text, input_image or input_file"
        return SteerEvent(previous_id, raw, fault=fault)
    return SteerEvent(previous_id, raw, items)


def _is_user_message(raw: msgspec.Raw) -> bool:
    item = members_of(raw)
    content = item.get("content")
    if item.get("role") != "user" or item.get("type") not in (None, "message"):
        return False
    if set(item) - _MESSAGE_MEMBERS:
        return False
    if isinstance(content, str):
        return bool(content)
    return isinstance(content, list) and bool(content) and all(map(_is_user_part, content))


def _is_user_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _USER_PARTS


def _text(body: Body, name: str) -> str | None:
    """Return a member that is a text, None if it is absent. Raises RequestFault."""
    value = body.value(name)
    if value is None:
        return None
    if not value.startswith(b'"'):
        raise RequestFault("invalid_type", name, f"{name} must be a string")
    text: str = _decode(value)
    return text
