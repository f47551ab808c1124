"""The codec of each dialect, of the endpoints beside them that are served through a chat, and of
those whose streams are no chat's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from dialects.anthropic.codec import MessagesCodec
from dialects.chat.chat import Dialect
from dialects.codec import Codec, Target
from dialects.endpoints.completions.codec import CompletionsCodec
from dialects.endpoints.edits import EditsCodec
from dialects.errors.errors import ErrorKind
from dialects.gemini.codec import GenerateContentCodec
from dialects.openai.codec import ChatCompletionsCodec
from dialects.openai.errors import render
from dialects.responses.codec import CompactCodec, ResponsesCodec


class MediaCodec(ChatCompletionsCodec):
    """Their events have a type, and so has an error among them."""

    before: ClassVar[bytes] = b""

    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        error = render(kind, message, request_id=request_id)
        return self.before + b'data: {"type":"error",' + error[1:] + b"\n\n"


class ImagesCodec(MediaCodec):
    """Those of images are named as well."""

    before = b"event: error\n"


CODECS: Final[Mapping[Dialect, Codec[Any]]] = MappingProxyType(
    {
        "openai": ChatCompletionsCodec(),
        "responses": ResponsesCodec(),
        "anthropic": MessagesCodec(),
        "gemini": GenerateContentCodec(),
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
