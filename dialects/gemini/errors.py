"""Errors of the gemini dialect: written for clients, read from upstreams (`google_errors`). An
error is an object, or an array of one for a stream of JSON.
"""

from typing import Any

import msgspec

from dialects.errors.errors import GEMINI_STATUSES, retry_after_s
from dialects.errors.kinds import ErrorKind
from dialects.upstream_errors.google_errors import read as read
from dialects.upstream_errors.google_errors import read_object as read_object
from dialects.upstream_errors.google_errors import status_of as status_of

ARRAY_OPEN = b"["
ARRAY_NEXT = b",\r\n"
ARRAY_CLOSE = b"\r\n]"

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_REQUEST_INFO = "type.googleapis.com/google.rpc.RequestInfo"
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
# Whose reasons those of an ErrorInfo are.
_DOMAIN = "weir"


def render(
    kind: ErrorKind,
    message: str,
    *,
    retry_after_ms: int | None = None,
    array: bool = False,
    request_id: str = "",
    guard_code: str | None = None,
) -> bytes:
    """Return the body of an error response; with `array` as streamGenerateContent without events
    writes it. A wait in ms becomes a RetryInfo in whole seconds, rounded up; the request's id
    becomes a RequestInfo, and a guard's code the reason of an ErrorInfo."""
    error = _write(kind, message, retry_after_ms, request_id, guard_code)
    return ARRAY_OPEN + error + b"]" if array else error


def error_frame(
    kind: ErrorKind,
    message: str,
    *,
    request_id: str = "",
    guard_code: str | None = None,
    array: bool = False,
    first: bool = True,
) -> bytes:
    """Return the error as the event that ends a stream; with `array` as the last element of the
    JSON array. `first`: it is the only element."""
    error = _write(kind, message, request_id=request_id, guard_code=guard_code)
    if array:
        return (ARRAY_OPEN if first else ARRAY_NEXT) + error + ARRAY_CLOSE
    return b"data: " + error + b"\r\n\r\n"


def _write(
    kind: ErrorKind,
    message: str,
    wait_ms: int | None = None,
    request_id: str = "",
    guard_code: str | None = None,
) -> bytes:
    status = GEMINI_STATUSES.get(kind, "INVALID_ARGUMENT")
    error: dict[str, Any] = {"code": status_of(kind), "message": message, "status": status}
    details: list[dict[str, str]] = []
    if guard_code:
        details.append({"@type": _ERROR_INFO, "reason": guard_code, "domain": _DOMAIN})
    if wait_ms is not None:
        details.append({"@type": _RETRY_INFO, "retryDelay": f"{retry_after_s(wait_ms)}s"})
    if request_id:
        details.append({"@type": _REQUEST_INFO, "requestId": request_id})
    if details:
        error["details"] = details
    return msgspec.json.encode({"error": error})
