"""Errors of Amazon Bedrock: responses, and exceptions in the middle of a stream. Source: the API
references of InvokeModel and Converse, and "Common Errors" (docs.aws.amazon.com, 2026-08).

The name of an error decides, because several have one status. Only the first line of a message is
kept: a wrong signature is answered with the request as Amazon read it, session token included.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.raw_json import as_text
from dialects.upstream_errors.retry_after import retry_after_ms
from dialects.upstream_errors.upstream_errors import (
    UpstreamFault,
    describe,
    error_members,
    is_unsupported,
)

_KEY: Final[tuple[ErrorKind, str]] = ("upstream_auth", "F5")
_BROKE: Final[tuple[ErrorKind, str]] = ("upstream_error", "F10")
_LIMITED: Final[tuple[ErrorKind, str]] = ("upstream_rate_limited", "F8")
_MODEL: Final[tuple[ErrorKind, str]] = ("upstream_error", "F7")
_BUSY: Final[tuple[ErrorKind, str]] = ("overloaded", "F10")
_LATE: Final[tuple[ErrorKind, str]] = ("timeout", "F10")
_BY_NAME: Final[Mapping[str, tuple[int, ErrorKind, str]]] = MappingProxyType(
    {
        "AccessDeniedException": (403, *_KEY),
        "UnrecognizedClientException": (403, *_KEY),
        "InvalidSignatureException": (403, *_KEY),
        "SignatureDoesNotMatch": (403, *_KEY),
        "IncompleteSignature": (403, *_KEY),
        "InvalidClientTokenId": (403, *_KEY),
        "MissingAuthenticationTokenException": (403, *_KEY),
        "ExpiredTokenException": (403, *_KEY),
        "NotAuthorized": (403, *_KEY),
        "OptInRequired": (403, *_KEY),
        "ThrottlingException": (429, *_LIMITED),
        "TooManyRequestsException": (429, *_LIMITED),
        "ServiceQuotaExceededException": (400, *_LIMITED),
        "ModelNotReadyException": (429, *_BUSY),
        "ServiceUnavailableException": (503, *_BUSY),
        "ResourceNotFoundException": (404, *_MODEL),
        "ModelTimeoutException": (408, *_LATE),
        "ModelErrorException": (424, *_BROKE),
        "ModelStreamErrorException": (424, *_BROKE),
        "InternalServerException": (500, *_BROKE),
        "InternalFailure": (500, *_BROKE),
    }
)
_BY_STATUS: Final[Mapping[int, tuple[ErrorKind, str]]] = MappingProxyType(
    {
        401: _KEY,
        402: ("upstream_auth", "F9"),
        403: _KEY,
        404: _MODEL,
        408: _LATE,
        413: ("body_too_large", "F6"),
        424: _BROKE,
        429: _LIMITED,
        503: _BUSY,
        504: _LATE,
    }
)
# The messages tell apart what has one name.
_NO_CREDIT: Final = ("invalid_payment_instrument", "valid payment")
_NO_MODEL: Final = (
    "access to the model",
    "provided model identifier is invalid",
    "on-demand throughput isn",
    "model id is not supported",
)
_CLOCK: Final = ("signature expired", "signature not yet current")
_CLOCK_ADVICE: Final = "; set the clock of this server right"
_CONTEXT: Final = ("input is too long", "prompt is too long", "exceed context limit",
                   "too many input tokens", "maximum context length")  # fmt: skip
_FILTERED: Final = ("content filtering policy", "content filters")


def read(
    status: int, headers: Mapping[str, str], body: bytes, now_s: int | None = None
) -> UpstreamFault:
    """Read an answer whose status is not 200; header names are lower-case."""
    members = error_members(body)
    name = headers.get("x-amzn-errortype", "") or as_text(members.get("__type"))
    name = name.partition(":")[0].rpartition("#")[2].strip()
    return _classify(status, name, _message(members), retry_after_ms(headers, now_s))


def read_exception(name: str, payload: bytes) -> UpstreamFault:
    """Read an exception of a stream by its name (`throttlingException`)."""
    name = name[:1].upper() + name[1:]
    status = 400 if name == "ValidationException" else 500
    return _classify(status, name, _message(error_members(payload)), None)


def read_object(error: bytes) -> UpstreamFault:
    """Read an error inside a 200 (F23)."""
    members = error_members(error)
    name = as_text(members.get("__type")).rpartition("#")[2]
    return _classify(500, name, _message(members), None)


def _message(members: Mapping[str, Any]) -> str:
    text = as_text(members.get("message")) or as_text(members.get("Message"))
    return clean_upstream(text.strip().partition("\n")[0])


def _classify(status: int, name: str, detail: str, wait_ms: int | None) -> UpstreamFault:
    status, kind, fault = _BY_NAME.get(name, (status, *_of_status(status, detail)))
    text = detail.lower()
    if fault in ("F5", "F6") and any(words in text for words in _NO_CREDIT):
        kind, fault = "upstream_auth", "F9"
    elif fault in ("F5", "F6") and any(words in text for words in _NO_MODEL):
        kind, fault = _MODEL
    elif fault == "F5" and any(words in text for words in _CLOCK):
        detail += _CLOCK_ADVICE
    elif is_unsupported(status, text):
        kind, fault = "unsupported_capability", "F39"
    expired = name == "ExpiredTokenException"
    return describe(kind, fault, detail, status=status, wait_ms=wait_ms, expired=expired)


def _of_status(status: int, detail: str) -> tuple[ErrorKind, str]:
    """Return the kind, and the row of the fault table, of an error whose name is unknown."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    text = detail.lower()
    if 400 <= status < 500:
        if any(words in text for words in _CONTEXT):
            return "context_length_exceeded", "F6"
        if any(words in text for words in _FILTERED):
            return "content_filtered", "F6"
        return "provider_rejected", "F6"
    return "upstream_error", "F21" if 300 <= status < 400 else "F10"
