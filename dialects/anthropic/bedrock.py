"""Claude on Amazon Bedrock: InvokeModel with Claude's own body, and its binary event stream.

The model and whether to stream are in the path, `anthropic_version` and the betas in the body. Each
message of the stream holds one event of Claude as base64. Source: docs.aws.amazon.com, "Anthropic
Claude Messages API", InvokeModelWithResponseStream and CountTokens (2026-08).
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from dialects.anthropic import errors
from dialects.anthropic.count_tokens import write_count
from dialects.anthropic.hosted import HostedMessagesCodec, betas, fit_body
from dialects.anthropic.request import encode as request_encode
from dialects.anthropic.request.read import ChatFacts
from dialects.anthropic.stream import decode as stream_decode
from dialects.chat.chat import ChatRequest, Encoded, Upstream, WebSearch
from dialects.chat.client_names import omit_tool
from dialects.chat.events import Step
from dialects.chat.operation import Operation
from dialects.codec import JSON, Decoder, Target
from dialects.json.body import Quirks, read_body
from dialects.json.not_json import NOT_JSON
from dialects.streams.event_stream import (
    CONTENT_TYPE,
    EXCEPTION,
    MALFORMED,
    Message,
    MessageFrames,
    read_exception,
)
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.upstream_errors import aws_errors

# Bedrock refuses a request with a beta that it does not know.
BETAS: Final = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "output-128k-2025-02-19",
        "token-efficient-tools-2025-02-19",
        "tool-examples-2025-10-29",
        "tool-search-tool-2025-10-19",
    }
)
_FORM: Final[Mapping[str, bytes | None]] = {
    "model": None,
    "stream": None,
    "anthropic_version": b'"bedrock-2023-05-31"',
}
# The prefix of a model's id for an inference profile of several regions.
_PROFILE: Final = re.compile(r"^[a-z]+(?:-[a-z]+)*\.(?=anthropic\.)")
_METRICS: Final = b"amazon-bedrock-invocationMetrics"
_EVENT_TYPE: Final = re.compile(rb'\{"type":"([a-z_]{1,64})"')


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for InvokeModel; see `request_encode.encode`. Bedrock has no web search."""
    searches = [tool for tool in request.tools if isinstance(tool, WebSearch)]
    dropped = [omit_tool(request, search) for search in searches]
    tools = tuple(tool for tool in request.tools if tool not in searches)
    encoded = request_encode.encode(msgspec.structs.replace(request, tools=tools), upstream)
    fitted = fit_body(encoded, request, _FORM)
    return replace(fitted, dropped=(*fitted.dropped, *dropped))


class BedrockMessagesCodec(HostedMessagesCodec):
    """Messages by InvokeModel."""

    form = _FORM
    encode = staticmethod(encode)
    read_error = staticmethod(aws_errors.read)
    read_error_object = staticmethod(aws_errors.read_object)

    def fit_headers(self, facts: ChatFacts, quirks: Quirks, headers: Mapping[str, str]) -> Quirks:
        own = msgspec.json.decode(facts.body.value("anthropic_beta") or b"[]")
        sent = list(own) if isinstance(own, list) else [own]
        wanted = betas(headers)
        sent += [beta for beta in wanted if beta in BETAS and beta not in sent]
        unknown = [beta for beta in wanted if beta not in BETAS]
        quirks = quirks._replace(dropped=(*quirks.dropped, *unknown))
        return quirks.and_members({"anthropic_beta": sent} if sent else {})

    def upstream_operation(self, *, stream: bool) -> Operation:
        return "invoke_model_stream" if stream else "invoke_model"

    def count_model(self, model: str) -> str | None:
        """Return the id of the foundation model, because Bedrock does not count tokens for
        inference profiles."""
        name = _PROFILE.sub("", model.rpartition("/")[2])
        return name if name.startswith("anthropic.") else None

    def count_request(self, body: bytes) -> bytes:
        """Return the body of CountTokens, which contains the body of InvokeModel with an output
        cap."""
        counted = read_body(body)
        cap = {} if "max_tokens" in counted.members else {"max_tokens": b"1"}
        invoked = b64encode(counted.splice({**_FORM, **cap})).decode()
        return msgspec.json.encode({"input": {"invokeModel": {"body": invoked}}})

    def count_answer(self, raw: bytes) -> bytes:
        try:
            return write_count(msgspec.json.decode(raw, type=_Count).inputTokens)
        except NOT_JSON:
            return b""

    def content_type(self, target: Target, *, stream: bool) -> str:
        return CONTENT_TYPE if stream else JSON

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return BedrockDecoder()

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return BedrockDecoder(translate=True, answer_tool=answer_tool)


class BedrockDecoder(stream_decode.Decoder):
    """Reads Claude's events out of the binary stream; its steps show them as server-sent events."""

    def __init__(
        self,
        *,
        translate: bool = False,
        answer_tool: str = "",
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        super().__init__(
            translate=translate, answer_tool=answer_tool, frame_bytes_max=frame_bytes_max
        )
        self._splitter = MessageFrames(frame_bytes_max, _read_message)
        self.splices = False

    def _read(self, frame: Frame) -> Step:
        if not frame.event.startswith(EXCEPTION):
            return super()._read(frame)
        fault = aws_errors.read_exception(frame.event[len(EXCEPTION) :], frame.data or b"")
        return self._fail(errors.error_frame(fault.kind, fault.message), fault)


class _Count(msgspec.Struct):
    inputTokens: int


class _Chunk(msgspec.Struct):
    bytes: str


_chunk = msgspec.json.Decoder(_Chunk)


def _read_message(message: Message) -> Frame:
    exception = read_exception(message)
    if exception is not None:
        return exception
    if message.headers.get(":event-type") != "chunk":
        return MALFORMED
    try:
        return _frame(b64decode(_chunk.decode(message.payload).bytes, validate=True))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return MALFORMED


def _frame(data: bytes) -> Frame:
    """Return an event of Claude as a server-sent event."""
    match = _EVENT_TYPE.match(data)
    if _METRICS in data or match is None or b"\n" in data or b"\r" in data:
        members: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        # Counts that are also in `usage`, and times.
        members.pop(_METRICS.decode(), None)
        members = {"type": members.get("type"), **members}
        data = msgspec.json.encode(members)
        match = _EVENT_TYPE.match(data)
    if match is None:
        return MALFORMED
    return Frame(b"event: %b\ndata: %b\n\n" % (match[1], data), match[1].decode(), data)
