"""Errors of the interactions dialect: written for clients, read from upstreams (`google_errors`). A
code is a word; its list is at ai.google.dev, "API errors". The request's id is a sibling of the
error."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.errors.errors import GEMINI_STATUSES, KINDS
from dialects.errors.kinds import ErrorKind
from dialects.upstream_errors.api_errors import name_request
from dialects.upstream_errors.google_errors import read as read
from dialects.upstream_errors.google_errors import read_object as read_object
from dialects.upstream_errors.google_errors import status_of as status_of

DONE: Final = b"event: done\ndata: [DONE]\n\n"

# The dialect's code, by the name in Google's older form.
_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "UNAUTHENTICATED": "authentication",
        "PERMISSION_DENIED": "permission_denied",
        "NOT_FOUND": "not_found",
        "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
        "DEADLINE_EXCEEDED": "gateway_timeout",
        "UNAVAILABLE": "service_unavailable",
        "CANCELLED": "cancelled",
        "UNIMPLEMENTED": "not_implemented",
        "INTERNAL": "internal",
    }
)


def code_of(kind: ErrorKind) -> str:
    """Return the dialect's code of a kind."""
    if kind in ("model_not_found", "model_retired"):
        return "model_not_found"
    if KINDS[kind].status == 402:
        return "payment_required"
    return _CODES.get(GEMINI_STATUSES.get(kind, ""), "invalid_request")


def write_error(kind: ErrorKind, message: str, guard_code: str | None = None) -> JsonObject:
    """Return the error object; a guard's code replaces the kind's own."""
    return {"code": guard_code or code_of(kind), "message": message}


def render(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Return the body of an error response."""
    error = write_error(kind, message, guard_code)
    return msgspec.json.encode({"error": error, **name_request(request_id)})


def error_frame(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Return the event that ends a failed stream; no end marker follows."""
    error = write_error(kind, message, guard_code)
    body = {"error": error, "event_type": "error", **name_request(request_id)}
    return b"event: error\ndata: " + msgspec.json.encode(body) + b"\n\n"
