"""The codecs of the dialects, of the endpoints that are served by chats, and of media endpoints
that stream.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from dialects.anthropic.codec import MessagesCodec
from dialects.chat.chat import Dialect
from dialects.codec import Codec, Target
from dialects.converse.codec import ConverseCodec
from dialects.endpoints.completions.codec import CompletionsCodec
from dialects.endpoints.edits import EditsCodec
from dialects.errors.kinds import ErrorKind
from dialects.gemini.codec import GenerateContentCodec
from dialects.interactions.codec import InteractionsCodec
from dialects.openai.codec import ChatCompletionsCodec
from dialects.openai.errors import render
from dialects.responses.codec import CompactCodec, ResponsesCodec


class MediaCodec(ChatCompletionsCodec):
    """The codec of media streams, whose events, including errors, have a `type`."""

    before: ClassVar[bytes] = b""

    def error_frame(
        self,
        kind: ErrorKind,
        message: str,
        request_id: str,
        target: Target,
        guard_code: str | None = None,
    ) -> bytes:
        error = render(kind, message, code=guard_code, request_id=request_id)
        return self.before + b'data: {"type":"error",' + error[1:] + b"\n\n"


class ImagesCodec(MediaCodec):
    """The codec of image streams, whose events also have an SSE event name."""

    before = b"event: error\n"


CODECS: Final[Mapping[Dialect, Codec[Any]]] = MappingProxyType(
    {
        "openai": ChatCompletionsCodec(),
        "responses": ResponsesCodec(),
        "anthropic": MessagesCodec(),
        "gemini": GenerateContentCodec(),
        "interactions": InteractionsCodec(),
        "converse": ConverseCodec(),
    }
)
TEXT_CODECS: Final[Mapping[str, Codec[Any]]] = MappingProxyType(
    {"completions": CompletionsCodec(), "edits": EditsCodec(), "responses_compact": CompactCodec()}
)
MEDIA_CODECS: Final[Mapping[str, Codec[Any]]] = MappingProxyType(
    {
        "image_generations": ImagesCodec(),
        "image_edits": ImagesCodec(),
        "image_variations": ImagesCodec(),
        "speech": MediaCodec(),
        "transcriptions": MediaCodec(),
        "translations": MediaCodec(),
    }
)
