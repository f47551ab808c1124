"""The converse dialect as a codec of upstreams."""

from typing import Any

from dialects.chat.chat import ChatRequest
from dialects.chat.whole_answer import WholeAnswer
from dialects.codec import JSON, Decoder, Target, UpstreamCodec
from dialects.converse import usage
from dialects.converse.answer import decode as answer_decode
from dialects.converse.request import encode as request_encode
from dialects.converse.stream import decode as stream_decode
from dialects.errors import aws_errors
from dialects.streams.event_stream import CONTENT_TYPE
from dialects.usage.usage import Quantities


class ConverseCodec(UpstreamCodec):
    """Converse and ConverseStream."""

    name = "converse"
    encode = staticmethod(request_encode.encode)
    urls_to_fetch = staticmethod(request_encode.urls_to_fetch)
    read_error = staticmethod(aws_errors.read)
    read_error_object = staticmethod(aws_errors.read_object)

    def content_type(self, target: Target, *, stream: bool) -> str:
        return CONTENT_TYPE if stream else JSON

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return answer_decode.decode(raw)

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return stream_decode.Decoder()

    def quantities(self, answer: Any) -> Quantities:
        return usage.quantities(answer.usage)
