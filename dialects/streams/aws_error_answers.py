"""Errors in Amazon Bedrock's form, for its clients: responses, and exceptions that end a stream.
Source: the API references of InvokeModel and Converse (docs.aws.amazon.com, 2026-08).

The clients read the name from `x-amzn-errortype`, or from `__type` in the body. The status is ours.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from dialects.errors.errors import KINDS, retry_after_s
from dialects.errors.kinds import ErrorKind
from dialects.streams.event_stream import EXCEPTION, write_exception
from dialects.upstream_errors.api_errors import name_guard_code

ERROR_TYPE: Final = "x-amzn-errortype"
REQUEST_ID: Final = "x-amzn-requestid"
_VALIDATION: Final = "ValidationException"
_STREAM: Final = "ModelStreamErrorException"
# The names of other kinds follow from their status.
_BY_KIND: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {
        "insufficient_balance": "ServiceQuotaExceededException",
        "max_cost_exceeded": "ServiceQuotaExceededException",
        "upstream_error": "ModelErrorException",
        "upstream_truncated": "ModelErrorException",
        "upstream_malformed": "ModelErrorException",
        "upstream_unreachable": "ModelErrorException",
        "upstream_auth": "ModelErrorException",
    }
)
_BY_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "UnrecognizedClientException",
        402: "AccessDeniedException",
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        408: "ModelTimeoutException",
        409: "ConflictException",
        429: "ThrottlingException",
        500: "InternalServerException",
        501: "InternalServerException",
        502: "ModelErrorException",
        503: "ServiceUnavailableException",
        504: "ModelTimeoutException",
    }
)
# What a stream may end with.
_IN_STREAM: Final = frozenset(
    {
        _VALIDATION,
        "ThrottlingException",
        "InternalServerException",
        "ServiceUnavailableException",
    }
)


def name_of(kind: ErrorKind) -> str:
    """Return Amazon's name for a kind of error."""
    return _BY_KIND.get(kind) or _BY_STATUS.get(KINDS[kind].status, _VALIDATION)


def render(
    kind: ErrorKind, message: str, *, request_id: str, guard_code: str | None = None
) -> bytes:
    """Return the body of an error response."""
    body = {"__type": name_of(kind), "message": message, "request_id": request_id or None}
    return msgspec.json.encode(body | name_guard_code(guard_code))


def headers(kind: ErrorKind, request_id: str, wait_ms: int | None) -> dict[str, str]:
    """Return the headers of an error response; `wait_ms` is None if waiting does not help."""
    fields = {ERROR_TYPE: name_of(kind), REQUEST_ID: request_id}
    return fields if wait_ms is None else fields | {"retry-after": str(retry_after_s(wait_ms))}


def error_frame(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Return the error that ends a stream, as a server-sent event; `write_message` makes Amazon's
    message of it.
    """
    name = name_of(kind)
    name = name if name in _IN_STREAM else _STREAM
    members = {"message": message, "request_id": request_id or None}
    body = msgspec.json.encode(members | name_guard_code(guard_code))
    return b"event: %b%b\ndata: %b\n\n" % (EXCEPTION.encode(), _lower(name).encode(), body)


def exception(name: str, message: str, guard_code: str | None = None) -> bytes:
    """Return the message of a stream that ends it with an error; `name` is Amazon's name of the
    exception."""
    name = name if name in _IN_STREAM else _STREAM
    return write_exception(
        _lower(name), msgspec.json.encode({"message": message} | name_guard_code(guard_code))
    )


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
