"""The responses dialect as a codec."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from dialects.chat.chat import (
    ChatAnswer,
    ChatRequest,
    Flag,
    JsonObject,
    ReasoningSettings,
    Upstream,
)
from dialects.chat.hosted_tools import HostedTools, tools_of_responses
from dialects.chat.operation import Operation
from dialects.codec import Codec, Decoder, Encoder, Target, WholeAnswer
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Quirks
from dialects.json.raw_json import members_of
from dialects.responses import compaction, errors, usage
from dialects.responses.answer import decode as answer_decode
from dialects.responses.answer import encode as answer_encode
from dialects.responses.request import decode as request_decode
from dialects.responses.request import encode as request_encode
from dialects.responses.request import quirks
from dialects.responses.request import read as request_read
from dialects.responses.request.read import ChatFacts
from dialects.responses.stream import decode as stream_decode
from dialects.responses.stream import encode as stream_encode
from dialects.usage.usage import Quantities


class ResponsesCodec(Codec[ChatFacts]):
    """Responses."""

    name = "responses"
    model_in_frame = ("response", "model")
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
        if thinking:
            reasoning = members_of(facts.body.value("reasoning"))
            quirks = quirks.and_members({"reasoning": reasoning | thinking})
        return request_read.edit(facts, model, output_cap=output_cap, quirks=quirks)

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        return {"effort": settings.effort} if settings.only_effort else None

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return quirks.needs_fit(flags)

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return quirks.quirks_for(facts.body, upstream.flags, upstream.efforts)

    def decode(
        self, facts: ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return request_decode.decode(facts.body.raw, request_id=request_id, received_at=received_at)

    def hosted_tools(self, facts: ChatFacts) -> HostedTools:
        raw = facts.body.value("tools")
        if raw is not None and (
            b"_search" in raw or b"mcp" in raw or b"code_interpreter" in raw or b'"shell"' in raw
        ):
            return tools_of_responses(raw, facts.body.value("max_tool_calls"))
        return ()

    def unseen_input(self, facts: ChatFacts) -> bool:
        return facts.unseen_input

    def continuation_of(self, facts: ChatFacts) -> ChatFacts:
        return facts

    def response_of(self, stream: Any) -> bytes | None:
        response: JsonObject | bytes | None = stream.response
        return msgspec.json.encode(response) if isinstance(response, dict) else response

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return answer_decode.decode(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return answer_decode.decode(raw, translate=True, request_id=request.request_id)

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return stream_decode.Decoder()

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder(translate=True, request_id=request.request_id)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return stream_encode.Encoder(request)

    def quantities(self, answer: Any) -> Quantities:
        return usage.quantities(answer.usage, searches=answer.searches)

    def error_frame(
        self,
        kind: ErrorKind,
        message: str,
        request_id: str,
        target: Target,
        guard_code: str | None = None,
    ) -> bytes:
        return errors.error_frame(kind, message, request_id=request_id, guard_code=guard_code)


class CompactCodec(ResponsesCodec):
    """A compaction is forwarded to a provider that has them. Other models are asked for a summary:
    see `compaction`.
    """

    def read(self, raw: bytes, target: Target) -> ChatFacts:
        facts = request_read.read(raw, compact=True)
        return replace(facts, text_bytes=facts.text_bytes + compaction.REQUEST_BYTES)

    def decode(
        self, facts: ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return compaction.ask_for_summary(super().decode(facts, target, request_id, received_at))

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return compaction.write_compaction(answer, request)

    def operation(self, target: Target, *, stream: bool) -> Operation:
        return "responses_compact"
