"""Errors of the anthropic dialect: written for clients, read from upstreams. Its clients do not
know 422, and expect 529 for overload. Reading removes a provider's pages, keys and account ids: see
`clean_upstream`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dialects.errors.errors import ANTHROPIC_TYPES, KINDS, retry_after_s
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.raw_json import as_text
from dialects.upstream_errors.retry_after import WAIT_MS_MAX, retry_after_ms
from dialects.upstream_errors.upstream_errors import (
    UpstreamFault,
    describe,
    error_members,
    is_unsupported,
)

_STATUS_OF_TYPE: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_BY_STATUS: Mapping[int, tuple[ErrorKind, str]] = {
    401: ("upstream_auth", "F5"),
    402: ("upstream_auth", "F9"),
    403: ("upstream_auth", "F5"),
    404: ("upstream_error", "F7"),
    408: ("timeout", "F10"),
    413: ("body_too_large", "F6"),
    429: ("upstream_rate_limited", "F8"),
    503: ("overloaded", "F10"),
    504: ("timeout", "F10"),
    529: ("overloaded", "F10"),
}
# The dialect has one type for every invalid request; the messages distinguish them.
_NO_CREDIT = "credit balance is too low"
_CONTEXT = ("prompt is too long", "exceed context limit", "exceeds the context window")
_FILTERED = ("content filtering policy",)
_LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")


def status_of(kind: ErrorKind) -> int:
    """Return the HTTP status of `kind` in this dialect."""
    if ANTHROPIC_TYPES.get(kind) == "overloaded_error":
        return 529
    status = KINDS[kind].status
    return 400 if status == 422 else status


def render(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Return the body of an error response; `request_id` is our id of the request, "" before it has
    one."""
    error: dict[str, Any] = {
        "type": ANTHROPIC_TYPES.get(kind, "invalid_request_error"),
        "message": message,
    }
    if kind == "thread_unsupported":
        # This tells clients to send the whole conversation from now on.
        code = KINDS[kind].code
        error["details"] = {"error_code": code, "unsupported": ["message_threads"]}
    elif guard_code:
        error["details"] = {"error_code": guard_code}
    body = {"type": "error", "error": error, "request_id": request_id or None}
    return msgspec.json.encode(body)


def error_frame(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Write the error as the last event of a stream."""
    body = render(kind, message, request_id=request_id, guard_code=guard_code)
    return b"event: error\ndata: " + body + b"\n\n"


def headers(request_id: str, wait_ms: int | None = None) -> dict[str, str]:
    """Return the headers of a response in this dialect.

    `wait_ms` is how long the client should wait, None if waiting does not help.
    """
    fields = {"request-id": request_id}
    if wait_ms is not None:
        fields["retry-after"] = str(retry_after_s(wait_ms))
    return fields


def read(
    status: int, headers: Mapping[str, str], body: bytes, now_s: int | None = None
) -> UpstreamFault:
    """Read an upstream's answer whose status is not 200.

    `headers` have lower-case names; `now_s` (Unix seconds) is needed for a wait given as a date.
    """
    wait_ms = retry_after_ms(headers, now_s)
    if wait_ms is None and now_s is not None:
        wait_ms = _reset_ms(headers, now_s)
    return _classify(status, error_members(body), wait_ms)


def read_object(error: bytes) -> UpstreamFault:
    """Read an error inside a 200 (F23), by its own type, else `upstream_error`."""
    members = error_members(error)
    return _classify(_STATUS_OF_TYPE.get(as_text(members.get("type")), 500), members, None)


def _classify(status: int, members: dict[str, Any], wait_ms: int | None) -> UpstreamFault:
    detail = clean_upstream(as_text(members.get("message")))
    kind, fault = _kind_of(status, as_text(members.get("type")), detail.lower())
    return describe(kind, fault, detail, status=status, wait_ms=wait_ms)


def _kind_of(status: int, word: str, text: str) -> tuple[ErrorKind, str]:
    """Return the kind and the fault table's row. A message about our account takes precedence over
    the status."""
    if _NO_CREDIT in text or word == "billing_error":
        return "upstream_auth", "F9"
    if status == 500 and word == "overloaded_error":
        return "overloaded", "F10"
    if is_unsupported(status, text):
        return "unsupported_capability", "F39"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        if any(words in text for words in _CONTEXT):
            return "context_length_exceeded", "F6"
        if any(words in text for words in _FILTERED):
            return "content_filtered", "F6"
        return "provider_rejected", "F6"
    return "upstream_error", "F21" if 300 <= status < 400 else "F10"


def _reset_ms(headers: Mapping[str, str], now_s: int) -> int | None:
    """Return the time until every exhausted limit has been reset."""
    waits = []
    for limit in _LIMITS:
        name = f"anthropic-ratelimit-{limit}"
        if headers.get(f"{name}-remaining", "").strip() != "0":
            continue
        try:
            at_s = int(datetime.fromisoformat(headers.get(f"{name}-reset", "")).timestamp())
        except (ValueError, OverflowError):
            continue
        waits.append(min(max(0, at_s - now_s) * 1_000, WAIT_MS_MAX))
    return max(waits, default=None)
