"""The gemini dialect as a codec."""

from collections.abc import Mapping
from typing import Any

from dialects.chat.chat import ChatRequest, Flag, JsonObject, Upstream
from dialects.chat.google_addresses import urls_to_fetch
from dialects.chat.hosted_tools import HostedTools, tools_of_gemini
from dialects.codec import EVENT_STREAM, JSON, Codec, Decoder, Encoder, Target, WholeAnswer
from dialects.errors.errors import KINDS, retry_after_s
from dialects.errors.kinds import ErrorKind
from dialects.gemini import errors, usage
from dialects.gemini.answer import decode as answer_decode
from dialects.gemini.answer import encode as answer_encode
from dialects.gemini.request import decode as request_decode
from dialects.gemini.request import encode as request_encode
from dialects.gemini.request import foreign_thoughts
from dialects.gemini.request import read as request_read
from dialects.gemini.request.read import ChatFacts
from dialects.gemini.request.thinking import suffix_thinking
from dialects.gemini.stream import decode as stream_decode
from dialects.gemini.stream import encode as stream_encode
from dialects.json.body import Quirks
from dialects.usage.usage import Quantities


class GenerateContentCodec(Codec[ChatFacts]):
    """generateContent and streamGenerateContent."""

    name = "gemini"
    model_in_answer = model_in_frame = ("modelVersion",)
    encode = staticmethod(request_encode.encode)
    urls_to_fetch = staticmethod(urls_to_fetch)
    thinking = staticmethod(suffix_thinking)
    write_answer = staticmethod(answer_encode.encode)
    read_error = staticmethod(errors.read)
    read_error_object = staticmethod(errors.read_object)

    def read(self, raw: bytes, target: Target) -> ChatFacts:
        return request_read.read(raw, model=target.model, stream=target.stream)

    def edit(
        self,
        facts: ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        return request_read.edit(
            facts, model, output_cap=output_cap, thinking=thinking, quirks=quirks
        )

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return facts.foreign or (facts.calls and foreign_thoughts.WANTS_SEALS in flags)

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return foreign_thoughts.quirks_for(facts.body, upstream.flags)

    def decode(
        self, facts: ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return request_decode.decode(
            facts.body.raw,
            model=target.model,
            stream=target.stream,
            request_id=request_id,
            received_at=received_at,
        )

    def content_type(self, target: Target, *, stream: bool) -> str:
        return EVENT_STREAM if stream and not target.array else JSON

    def hosted_tools(self, facts: ChatFacts) -> HostedTools:
        raw = facts.body.value("tools")
        if raw is not None and (
            b"google" in raw
            or b"urlContext" in raw
            or b"url_context" in raw
            or b"codeExecution" in raw
            or b"code_execution" in raw
        ):
            return tools_of_gemini(raw)
        return ()

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return answer_decode.decode(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return answer_decode.decode(raw, translate=True, request_id=request.request_id)

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return stream_decode.Decoder(choices=facts.choices, array=target.array)

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder(
            choices=request.choices or 1, translate=True, request_id=request.request_id
        )

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return stream_encode.Encoder(request, array=target.array)

    def quantities(self, answer: Any) -> Quantities:
        return usage.quantities(answer.usage)

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        request_id: str,
        wait_ms: int | None,
        target: Target,
        guard_code: str | None = None,
        **_: Any,
    ) -> bytes:
        limited = wait_ms if KINDS[kind].status == 429 else None
        return errors.render(
            kind,
            message,
            retry_after_ms=limited,
            array=target.array,
            request_id=request_id,
            guard_code=guard_code,
        )

    def error_frame(
        self,
        kind: ErrorKind,
        message: str,
        request_id: str,
        target: Target,
        guard_code: str | None = None,
    ) -> bytes:
        return errors.error_frame(
            kind, message, request_id=request_id, guard_code=guard_code, array=target.array
        )

    def status(self, kind: ErrorKind, status: int) -> int:
        return errors.status_of(kind)

    def headers(
        self, kind: ErrorKind, status: int, request_id: str, wait_ms: int | None
    ) -> dict[str, str]:
        return {} if wait_ms is None else {"retry-after": str(retry_after_s(wait_ms))}
