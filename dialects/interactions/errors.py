"""Errors of the interactions dialect: written for clients, read from upstreams (`google_errors`). A
code is a word; its list is at ai.google.dev, "API errors". The request's id stands beside it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.errors.api_errors import name_request
from dialects.errors.errors import KINDS, ErrorKind
from dialects.errors.google_errors import read as read
from dialects.errors.google_errors import read_object as read_object
from dialects.errors.google_errors import status_of as status_of

DONE: Final = b"event: done\ndata: [DONE]\n\n"

_BY_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "authentication",
        402: "payment_required",
        403: "permission_denied",
        404: "not_found",
        408: "gateway_timeout",
        429: "rate_limit_exceeded",
        499: "cancelled",
        501: "not_implemented",
        503: "service_unavailable",
        504: "gateway_timeout",
    }
)


def code_of(kind: ErrorKind) -> str:
    """Return the dialect's code of a kind."""
    if kind in ("model_not_found", "model_retired"):
        return "model_not_found"
    status = KINDS[kind].status
    return _BY_STATUS.get(status, "invalid_request" if status < 500 else "internal")


def write_error(kind: ErrorKind, message: str) -> JsonObject:
    """Return the error object."""
    return {"code": code_of(kind), "message": message}


def render(kind: ErrorKind, message: str, *, request_id: str = "") -> bytes:
    """Return the body of an error response."""
    return msgspec.json.encode({"error": write_error(kind, message), **name_request(request_id)})


def frame(kind: ErrorKind, message: str, *, request_id: str = "") -> bytes:
    """Return the event that ends a failed stream; no end marker follows."""
    body = {"error": write_error(kind, message), "event_type": "error", **name_request(request_id)}
    return b"event: error\ndata: " + msgspec.json.encode(body) + b"\n\n"
