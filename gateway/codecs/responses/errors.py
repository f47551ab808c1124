"""Errors of the responses dialect: written for clients, read from upstreams.

An error response has the body of OpenAI's other endpoints. Inside a stream an error is the whole
response with status `failed`, or `event: error` where no response had begun.

Reading never lets a provider's page, key or account id through: see `clean_upstream`.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.codecs.errors import KINDS, ErrorKind, clean_upstream, message_of
from gateway.codecs.faults import UpstreamFault as UpstreamFault
from gateway.codecs.faults import retry_after_ms

_CONTEXT = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_FILTERED = frozenset(
    {
        "invalid_prompt",
        "content_policy_violation",
        "content_filter",
        "content_filtered",
        "bio_policy",
        "image_content_policy_violation",
    }
)
_ACCOUNT = frozenset(
    {
        "insufficient_quota",
        "invalid_api_key",
        "authentication_error",
        "permission_error",
        "permission_denied",
        "billing_not_active",
        "account_deactivated",
        "unsupported_country_region_territory",
        "data_residency_mismatch",
    }
)
_FUNDS = frozenset({"insufficient_quota", "billing_not_active"})
_RATE = frozenset({"rate_limit_exceeded", "rate_limit_error", "too_many_requests"})
_OVERLOADED = frozenset(
    {"overloaded", "overloaded_error", "server_overloaded", "service_unavailable_error"}
)
# What a failed response says of the client's own pictures and request.
_REQUEST = frozenset(
    {
        "invalid_request_error",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
_BY_STATUS: Mapping[int, ErrorKind] = {
    408: "timeout",
    413: "body_too_large",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_REJECTED = frozenset({400, 415, 422})
_CLIENT_KINDS = frozenset({"context_length_exceeded", "content_filtered"})
_LIMIT_KINDS: Final[frozenset[ErrorKind]] = frozenset({"rate_limited", "upstream_rate_limited"})
_NO_REASON = "the provider gave no reason"


def render(
    kind: ErrorKind, message: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """The body of an error response; `code` takes the place of the kind's own."""
    row = KINDS[kind]
    error = {"message": message, "type": row.type, "param": param, "code": code or row.code}
    return msgspec.json.encode({"error": error})


def frame(
    kind: ErrorKind, message: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """The only event of a stream in which no response has begun.

    Where one has, `stream.Encoder.fail` and `stream.Decoder.fail` tell it as failed.
    """
    row = KINDS[kind]
    told = {
        "type": "error",
        "sequence_number": 0,
        "code": code or row.code or row.type,
        "message": message,
        "param": param,
    }
    return b"event: error\ndata: " + msgspec.json.encode(told) + b"\n\n"


def failed_code(kind: ErrorKind) -> str:
    """The word in the `error` of a failed response."""
    if kind in _LIMIT_KINDS:
        return "rate_limit_exceeded"
    return "invalid_prompt" if KINDS[kind].type == "invalid_request_error" else "server_error"


def read(
    status: int, headers: Mapping[str, str], body: bytes, *, now_s: int | None = None
) -> UpstreamFault:
    """Read an upstream's answer whose status is not 200.

    `headers` have lower-case names; `now_s` (Unix seconds) is needed for a wait given as a date.
    """
    return _classify(status, _error_members(body), retry_after_ms(headers, now_s))


def read_object(error: bytes) -> UpstreamFault:
    """Read an error that came inside a 200 (F23): by its own code, else `upstream_error`.

    Takes the `error` of a failed response, an error body, and an `error` event of either form.
    """
    members = _error_members(error)
    number = members.get("code")
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number[:4])
    if isinstance(number, int) and 400 <= number <= 599:
        return _classify(number, members, None)
    status = 400 if _words(members) & (_REQUEST | _CONTEXT | _FILTERED) else 500
    return _classify(status, members, None)


def _classify(status: int, members: dict[str, Any], wait_ms: int | None) -> UpstreamFault:
    kind, fault = _kind_of(status, _words(members))
    detail = clean_upstream(_text(members.get("message")))
    client_status = 422 if kind == "provider_rejected" and status == 422 else KINDS[kind].status
    rejected = kind == "provider_rejected"
    code = _text(members.get("code")) if rejected else ""
    param = _text(members.get("param")) if rejected or kind in _CLIENT_KINDS else ""
    message = message_of(kind, detail or _NO_REASON)
    if kind == "upstream_rate_limited":
        seconds = max(1, -(-(wait_ms or 1_000) // 1_000))
        message = message_of(kind, "the provider's limit", seconds=seconds)
    elif kind == "body_too_large":
        message = f"API request failed: Invalid Format: {detail or _NO_REASON}"
    return UpstreamFault(
        kind=kind,
        status=client_status,
        message=message,
        code=clean_upstream(code)[:64] or None,
        param=clean_upstream(param)[:64] or None,
        detail=detail,
        fault=fault,
        retry_after_ms=wait_ms,
    )


def _kind_of(status: int, words: set[str]) -> tuple[ErrorKind, str]:
    """Kind and row of the fault table. Words about our account stand above any status."""
    if words & _FUNDS or status == 402:
        return "upstream_auth", "F9"
    if words & _ACCOUNT or status in (401, 403):
        return "upstream_auth", "F5"
    if status in _REJECTED:
        if words & _CONTEXT:
            return "context_length_exceeded", "F6"
        return "content_filtered" if words & _FILTERED else "provider_rejected", "F6"
    if status == 404:
        return "upstream_error", "F7"
    if status == 429 or words & _RATE:
        return "upstream_rate_limited", "F8"
    if status >= 500 and words & _OVERLOADED:
        return "overloaded", "F10"
    kind = _BY_STATUS.get(status)
    if kind is not None:
        return kind, "F6" if kind == "body_too_large" else "F10"
    if 400 <= status < 500:
        return "provider_rejected", "F6"
    return "upstream_error", "F21" if 300 <= status < 400 else "F10"


def _error_members(body: bytes) -> dict[str, Any]:
    """The members of the error object, wherever a provider puts it; {} when there is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and "error" in value:
        value = value["error"]
    if isinstance(value, str):
        return {"message": value}
    return value if isinstance(value, dict) else {}


def _words(members: dict[str, Any]) -> set[str]:
    words = {_text(members.get(name)).lower() for name in ("code", "type")}
    inner = members.get("innererror")
    if isinstance(inner, dict) and inner.get("code") == "ResponsibleAIPolicyViolation":
        words.add("content_filter")
    return words


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
