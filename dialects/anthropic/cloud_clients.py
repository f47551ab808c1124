"""Clients that use Claude's dialect as a cloud writes it (`AnthropicBedrock`, `AnthropicVertex`,
Claude Code, InvokeModel of Amazon's own clients).

    Bedrock      model and stream are in the path, betas in the body; streams are Amazon's messages,
                 and errors have Amazon's form
    Vertex AI    model and stream are in the path

Their requests become Claude's own before they are read, and only the frames of their answers are
written otherwise. Source: the official client `anthropic` 2.10 (2026-11), and `bedrock.py`.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from dialects.anthropic.codec import MessagesCodec
from dialects.anthropic.hosted import BETA_HEADER
from dialects.chat.cloud_names import bedrock_names, vertex_names
from dialects.codec import Framing, HeaderLines, Target
from dialects.errors.errors import RequestFault
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Body, read_body
from dialects.json.raw_json import value_of
from dialects.streams import aws_error_answers
from dialects.streams.event_stream import EventWriter, write_event
from dialects.streams.sse import Frame

_VERSION: Final = "anthropic_version"
_BETA: Final = "anthropic_beta"
# Claude's types of errors by Amazon's names; others are errors of the model's stream.
_EXCEPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "invalid_request_error": "ValidationException",
        "rate_limit_error": "ThrottlingException",
        "api_error": "InternalServerException",
        "overloaded_error": "ServiceUnavailableException",
    }
)


class VertexClientCodec(MessagesCodec):
    """Messages by rawPredict and streamRawPredict."""

    other_names = staticmethod(vertex_names)

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        body = _read(raw)
        return (raw, ()) if body is None else (_standard(body, target), ())


class VertexCountCodec(VertexClientCodec):
    """A count of tokens, whose body names the model."""

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        body = _read(raw)
        return (raw if body is None else body.splice({_VERSION: None})), ()


class BedrockClientCodec(MessagesCodec):
    """Messages by InvokeModel and InvokeModelWithResponseStream."""

    request_header = aws_error_answers.REQUEST_ID.encode()
    other_names = staticmethod(bedrock_names)

    def framing(self, elapsed_ms: Callable[[], int]) -> Framing:
        return EventWriter(_write_message)

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        body = _read(raw)
        if body is None:
            return raw, ()
        betas = _betas(body)
        edited = body if betas is None else read_body(body.splice({_BETA: None}))
        lines = ((BETA_HEADER.encode(), ",".join(betas).encode()),) if betas else ()
        return _standard(edited, target), lines

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        request_id: str,
        guard_code: str | None = None,
        **_: Any,
    ) -> bytes:
        return aws_error_answers.render(kind, message, request_id=request_id, guard_code=guard_code)

    def headers(
        self, kind: ErrorKind, status: int, request_id: str, wait_ms: int | None
    ) -> dict[str, str]:
        return aws_error_answers.headers(kind, request_id, wait_ms)


def _read(raw: bytes) -> Body | None:
    try:
        return read_body(raw)
    except RequestFault:
        return None


def _standard(body: Body, target: Target) -> bytes:
    return body.splice(
        {
            "model": msgspec.json.encode(target.model),
            "stream": b"true" if target.stream else b"false",
            _VERSION: None,
        }
    )


def _betas(body: Body) -> list[str] | None:
    """Return the betas of a body; None for a member that is no list of words, which then stays."""
    raw = body.value(_BETA)
    value = None if raw is None else value_of(raw)
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        return None
    known = [word for word in words if isinstance(word, str) and word.isascii()]
    return known if len(known) == len(words) and all(map(str.isprintable, known)) else None


class _Details(msgspec.Struct):
    error_code: str = ""


class _ErrorMembers(msgspec.Struct):
    type: str = ""
    message: str = ""
    details: _Details | None = None


class _Error(msgspec.Struct):
    error: _ErrorMembers


def _write_message(frame: Frame) -> bytes:
    data = frame.data or b""
    if frame.event == "error":
        error = msgspec.json.decode(data, type=_Error).error
        guard_code = error.details.error_code if error.details else None
        name = _EXCEPTIONS.get(error.type, "")
        return aws_error_answers.exception(name, error.message, guard_code)
    return write_event("chunk", b'{"bytes":"%b"}' % b64encode(data))
