"""The anthropic dialect as a codec."""

from collections.abc import Mapping
from typing import Any

from dialects.anthropic import errors, steps, usage
from dialects.anthropic.answer import decode as answer_decode
from dialects.anthropic.answer import encode as answer_encode
from dialects.anthropic.request import decode as request_decode
from dialects.anthropic.request import encode as request_encode
from dialects.anthropic.request import foreign_thoughts
from dialects.anthropic.request import read as request_read
from dialects.anthropic.request.read import ChatFacts
from dialects.anthropic.stream import decode as stream_decode
from dialects.anthropic.stream import encode as stream_encode
from dialects.chat.chat import ChatRequest, Flag, JsonObject, Upstream
from dialects.chat.hosted_tools import HostedTools, tools_of_messages
from dialects.chat.steps import OtherSteps
from dialects.codec import Codec, Decoder, Encoder, Target, WholeAnswer
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Quirks
from dialects.usage.usage import Quantities


class MessagesCodec(Codec[ChatFacts]):
    """Messages."""

    name = "anthropic"
    request_header = b"request-id"
    model_in_frame = ("message", "model")
    tool_name_max = 128
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    encode = staticmethod(request_encode.encode)
    urls_to_fetch = staticmethod(request_encode.urls_to_fetch)
    write_answer = staticmethod(answer_encode.encode)
    read_error = staticmethod(errors.read)
    read_error_object = staticmethod(errors.read_object)

    def read(self, raw: bytes, target: Target) -> ChatFacts:
        return request_read.read(raw)

    def edit(
        self,
        facts: ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        return request_read.edit(facts, model, output_cap=output_cap, quirks=quirks)

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return facts.foreign or facts.system_turns

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return foreign_thoughts.quirks_for(facts.body, upstream.model)

    def decode(
        self, facts: ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return request_decode.decode(facts.body.raw, request_id=request_id, received_at=received_at)

    def answer_request(
        self, facts: ChatFacts, model: str, request_id: str, received_at: int
    ) -> ChatRequest | None:
        return ChatRequest(
            dialect="anthropic",
            request_id=request_id,
            received_at=received_at,
            model=model,
            messages=(),
            output_cap=facts.output_cap,
            user=facts.user or None,
            choices=facts.choices,
            stream=facts.stream,
            include_usage=facts.include_usage,
        )

    def hosted_tools(self, facts: ChatFacts) -> HostedTools:
        raw = facts.body.value("tools")
        mcp_servers = "mcp_servers" in facts.body.members
        if mcp_servers or (
            raw is not None
            and (b"web_" in raw or b"code_execution" in raw or b"tool_search_tool" in raw)
        ):
            return tools_of_messages(raw or b"[]", mcp_servers=mcp_servers)
        return ()

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return answer_decode.decode(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return answer_decode.decode(raw, translate=True, answer_tool=answer_tool)

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return stream_decode.Decoder()

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder(translate=True, answer_tool=answer_tool)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return stream_encode.Encoder(request)

    def fail(self, decoder: Any, kind: ErrorKind, message: str, request_id: str) -> bytes:
        return errors.error_frame(kind, message, request_id=request_id)

    def other_steps(self, facts: ChatFacts) -> OtherSteps | None:
        return steps.other_steps(facts.body)

    def quantities(self, answer: Any) -> Quantities:
        return usage.quantities(answer.usage)

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        request_id: str,
        guard_code: str | None = None,
        **_: Any,
    ) -> bytes:
        return errors.render(kind, message, request_id=request_id, guard_code=guard_code)

    def error_frame(
        self,
        kind: ErrorKind,
        message: str,
        request_id: str,
        target: Target,
        guard_code: str | None = None,
    ) -> bytes:
        return errors.error_frame(kind, message, request_id=request_id, guard_code=guard_code)

    def status(self, kind: ErrorKind, status: int) -> int:
        return errors.status_of(kind)

    def headers(
        self, kind: ErrorKind, status: int, request_id: str, wait_ms: int | None
    ) -> dict[str, str]:
        return errors.headers(request_id, wait_ms)
