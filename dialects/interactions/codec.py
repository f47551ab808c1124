"""The interactions dialect as a codec."""

from typing import Any

import msgspec

from dialects.chat.chat import ChatRequest, JsonObject, ReasoningSettings, Upstream
from dialects.chat.google_addresses import urls_to_fetch
from dialects.chat.hosted_tools import HostedTools, tools_of_interactions
from dialects.codec import Codec, Decoder, Encoder, Target, WholeAnswer
from dialects.errors.kinds import ErrorKind
from dialects.interactions import errors, usage
from dialects.interactions.answer import decode as answer_decode
from dialects.interactions.answer import encode as answer_encode
from dialects.interactions.request import decode as request_decode
from dialects.interactions.request import encode as request_encode
from dialects.interactions.request import read as request_read
from dialects.interactions.request.read import ChatFacts
from dialects.interactions.stream import decode as stream_decode
from dialects.interactions.stream import encode as stream_encode
from dialects.json.body import Quirks
from dialects.usage.usage import Quantities


class InteractionsCodec(Codec[ChatFacts]):
    """Interactions."""

    name = "interactions"
    model_in_frame = ("interaction", "model")
    encode = staticmethod(request_encode.encode)
    urls_to_fetch = staticmethod(urls_to_fetch)
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
        return request_read.edit(
            facts, model, output_cap=output_cap, thinking=thinking, quirks=quirks
        )

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        if settings.effort is None or not settings.only_effort:
            return None
        return {"thinking_level": request_encode.write_level(settings.effort, upstream.efforts)}

    def decode(
        self, facts: ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return request_decode.decode(facts.body.raw, request_id=request_id, received_at=received_at)

    def hosted_tools(self, facts: ChatFacts) -> HostedTools:
        raw = facts.body.value("tools")
        if raw is not None and (
            b"google_search" in raw
            or b"url_context" in raw
            or b"code_execution" in raw
            or b"mcp_server" in raw
        ):
            return tools_of_interactions(raw)
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
        return answer_decode.decode(raw, translate=True)

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return stream_decode.Decoder()

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder(translate=True)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return stream_encode.Encoder(request)

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
