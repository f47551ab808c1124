"""The openai dialect as a codec."""

from collections.abc import Mapping
from typing import Any

from dialects.chat.chat import ChatRequest, Flag, JsonObject, ReasoningSettings, Upstream
from dialects.chat.media import audio_type
from dialects.chat.operation import Needs
from dialects.codec import Codec, Decoder, Encoder, F, Target, WholeAnswer
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Quirks
from dialects.json.raw_json import value_of
from dialects.openai import errors, usage
from dialects.openai.answer import decode as answer_decode
from dialects.openai.answer import encode as answer_encode
from dialects.openai.request import decode as request_decode
from dialects.openai.request import encode as request_encode
from dialects.openai.request import quirks
from dialects.openai.request import read as request_read
from dialects.openai.request.read import ChatFacts
from dialects.openai.stream import decode as stream_decode
from dialects.openai.stream import encode as stream_encode
from dialects.usage.usage import Quantities


class OpenAICodec(Codec[F]):
    """The shared parts of the openai dialect's endpoints: upstreams, errors, usage."""

    name = "openai"
    encode = staticmethod(request_encode.encode)
    urls_to_fetch = staticmethod(request_encode.urls_to_fetch)
    read_error = staticmethod(errors.read)
    read_error_object = staticmethod(errors.read_object)

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return answer_decode.decode(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        format_ = "" if request.audio is None else request.audio.format
        return answer_decode.decode(
            raw,
            translate=True,
            audio_type=audio_type(format_ or "wav"),
            request_id=request.request_id,
        )

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder(
            include_usage=True,
            choices=request.choices or 1,
            translate=True,
            request_id=request.request_id,
        )

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return stream_encode.Encoder(request)

    def fail(self, decoder: Any, kind: ErrorKind, message: str, request_id: str) -> bytes:
        return errors.error_frame(kind, message, request_id=request_id)

    def quantities(self, answer: Any) -> Quantities:
        return usage.quantities(answer.usage)

    def error_frame(
        self,
        kind: ErrorKind,
        message: str,
        request_id: str,
        target: Target,
        guard_code: str | None = None,
    ) -> bytes:
        return errors.error_frame(kind, message, request_id=request_id, guard_code=guard_code)


class ChatCompletionsCodec(OpenAICodec[ChatFacts]):
    """Chat completions."""

    write_answer = staticmethod(answer_encode.encode)
    hosted_tools = staticmethod(request_read.hosted_tools)

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
        if thinking is not None:
            quirks = quirks.and_members(thinking)
        return request_read.edit(facts, model, output_cap=output_cap, quirks=quirks)

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        return {"reasoning_effort": settings.effort} if settings.only_effort else None

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return quirks.needs_fit(facts.body, flags)

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return quirks.quirks_for(facts.body, upstream, thoughts)

    def calls_without_reasoning(self, facts: ChatFacts) -> list[str]:
        return quirks.calls_without_reasoning(facts.body)

    def decode(
        self, facts: ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return request_decode.decode(facts.body.raw, request_id=request_id, received_at=received_at)

    def answer_request(
        self, facts: ChatFacts, model: str, request_id: str, received_at: int
    ) -> ChatRequest | None:
        if not request_read.has_plain_answer(facts.body):
            return None
        return ChatRequest(
            dialect="openai",
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

    def needs(self, facts: ChatFacts) -> Needs:
        body = facts.body
        effort = value_of(body.value("reasoning_effort"))
        switch = value_of(body.value("thinking"))
        thinks = body.value("enable_thinking") == b"true" or (
            isinstance(switch, dict) and switch.get("type") in ("enabled", "auto", "adaptive")
        )
        own = value_of(body.value("parameters"))
        if isinstance(own, dict):
            thinks = thinks or own.get("enable_thinking") is True
        return Needs(
            files="file" in facts.media,
            tools=body.value("tools") not in (None, b"[]"),
            effort=effort if isinstance(effort, str) else None,  # type: ignore[arg-type]
            search=body.value("web_search_options") is not None,
            audio_output=facts.audio_output,
            thinks=True if thinks else None,
        )

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return stream_decode.Decoder(include_usage=facts.include_usage, choices=facts.choices)
