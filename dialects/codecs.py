"""The codec of each dialect, of the endpoints beside them that are served through a chat, and of
those whose streams are no chat's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from dialects.anthropic.codec import MessagesCodec
from dialects.chat.chat import Dialect
from dialects.codec import Codec
from dialects.endpoints.completions.codec import CompletionsCodec
from dialects.endpoints.edits import EditsCodec
from dialects.gemini.codec import GenerateContentCodec
from dialects.media.media_codec import ImagesCodec, MediaCodec
from dialects.openai.codec import ChatCompletionsCodec
from dialects.responses.codec import CompactCodec, ResponsesCodec

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
