"""The endpoints of images and sound as codecs of the openai dialect: errors inside a stream."""

from typing import ClassVar

from dialects.codec import Target
from dialects.errors.errors import ErrorKind
from dialects.openai.codec import ChatCompletionsCodec
from dialects.openai.errors import render


class MediaCodec(ChatCompletionsCodec):
    """Their events have a type, and so has an error among them."""

    before: ClassVar[bytes] = b""

    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        error = render(kind, message, request_id=request_id)
        return self.before + b'data: {"type":"error",' + error[1:] + b"\n\n"


class ImagesCodec(MediaCodec):
    """Those of images are named as well."""

    before = b"event: error\n"
