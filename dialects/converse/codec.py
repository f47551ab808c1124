"""The converse dialect as a codec."""

from collections.abc import Callable, Mapping
from typing import Any

from dialects.chat.chat import ChatRequest, Flag, JsonObject, Upstream
from dialects.chat.cloud_names import bedrock_names
from dialects.codec import JSON, Codec, Decoder, Encoder, Framing, Target, WholeAnswer
from dialects.converse import errors, usage
from dialects.converse.answer import decode as answer_decode
from dialects.converse.answer import encode as answer_encode
from dialects.converse.request import decode as request_decode
from dialects.converse.request import encode as request_encode
from dialects.converse.request import read as request_read
from dialects.converse.request.read import ChatFacts
from dialects.converse.stream import decode as stream_decode
from dialects.converse.stream import encode as stream_encode
from dialects.converse.stream import frames
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Quirks
from dialects.streams.event_stream import CONTENT_TYPE
from dialects.usage.usage import Quantities


class ConverseCodec(Codec[ChatFacts]):
    """Converse and ConverseStream. The stream has no place for a keep-alive: clients refuse events
    that they do not know.
    """

    name = "converse"
    ping = b""
    request_header = errors.REQUEST_ID.encode()
    encode = staticmethod(request_encode.encode)
    urls_to_fetch = staticmethod(request_encode.urls_to_fetch)
    other_names = staticmethod(bedrock_names)
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
        return request_read.edit(facts, output_cap=output_cap, quirks=quirks)

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return facts.foreign

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return request_read.fit(facts)

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
        return CONTENT_TYPE if stream else JSON

    def framing(self, elapsed_ms: Callable[[], int]) -> Framing:
        return frames.open_writer(elapsed_ms)

    def add_time(self, raw: bytes, elapsed_ms: int) -> bytes:
        return answer_encode.add_latency(raw, elapsed_ms)

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return answer_decode.decode(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return answer_decode.decode(raw)

    def decoder(self, facts: ChatFacts, target: Target) -> Decoder:
        return stream_decode.Decoder(forwarded=True)

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder()

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

    def headers(
        self, kind: ErrorKind, status: int, request_id: str, wait_ms: int | None
    ) -> dict[str, str]:
        return errors.headers(kind, request_id, wait_ms)
