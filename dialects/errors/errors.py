"""The error taxonomy: one table of every kind of error that a client can get.

The code raises a kind, and the usage record stores it. The client's dialect renders it, never the
upstream's.

    RequestFault      the client's request is refused before it is sent to an upstream

Phrases are exactly those of the contract, because clients match on them. A detail inside a phrase
never contains a whole key: see `masking.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import WHAT_CHARACTERS_MAX, mask_value, quote_value


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the taxonomy. `status` is the client's HTTP status; `type` and `code` are the
    openai dialect's names; `phrase` is the message, a template over what, model, seconds, size and
    limit.
    """

    status: int
    type: str
    code: str | None
    phrase: str


_CLIENT = "invalid_request_error"
_SERVER = "server_error"
_BAD_SHAPE = "API request failed: Invalid Format: {what}"
_FAILED = "API request failed: {what}"
_NO_CONNECTION = "Error: Cannot connect to API server"
_RATE = "Rate Limit Reached: {what}; retry in {seconds} s"

# The labels of the phrases.
_LABEL: Final = re.compile(
    r"(API request failed: (Invalid (Format|Parameters): )?"
    r"|Error: (Cannot connect to API server: )?"
    r"|(Rate Limit Reached|Insufficient Balance|Server Overloaded): )"
)

KINDS: Final[Mapping[ErrorKind, ErrorRow]] = MappingProxyType(
    {
        "malformed_json": ErrorRow(400, _CLIENT, None, _BAD_SHAPE),
        "missing_parameter": ErrorRow(400, _CLIENT, "missing_required_parameter", _BAD_SHAPE),
        "invalid_type": ErrorRow(400, _CLIENT, "invalid_type", _BAD_SHAPE),
        "invalid_value": ErrorRow(
            422, _CLIENT, "invalid_value", "API request failed: Invalid Parameters: {what}"
        ),
        "context_length_exceeded": ErrorRow(400, _CLIENT, "context_length_exceeded", _FAILED),
        "content_filtered": ErrorRow(400, _CLIENT, "content_filter", _FAILED),
        "guard_refused": ErrorRow(400, _CLIENT, "guard_refused", _FAILED),
        "provider_rejected": ErrorRow(400, _CLIENT, None, _FAILED),
        "unsupported_capability": ErrorRow(400, _CLIENT, "unsupported_parameter", _FAILED),
        "thread_unsupported": ErrorRow(400, _CLIENT, "thread_unsupported_request", _FAILED),
        "authentication": ErrorRow(
            401,
            "authentication_error",
            "invalid_api_key",
            "Error: Invalid or unauthorized API key",
        ),
        "key_conflict": ErrorRow(
            401,
            "authentication_error",
            "key_conflict",
            "Error: Two different API keys in one request",
        ),
        "insufficient_balance": ErrorRow(
            402, "insufficient_quota", "insufficient_quota", "Insufficient Balance: {what}"
        ),
        "max_cost_exceeded": ErrorRow(402, _CLIENT, "max_cost_exceeded", "{what}"),
        "model_unpriced": ErrorRow(
            402, _CLIENT, "model_unpriced", "Model {model} has no price{what}"
        ),
        "permission": ErrorRow(
            403, "permission_error", "permission_denied", "The API key may not use {what}"
        ),
        "data_policy": ErrorRow(
            403,
            "permission_error",
            "data_policy",
            "No channel of model {model} meets the data policy: {what}",
        ),
        "session_ended": ErrorRow(403, "permission_error", "session_ended", _FAILED),
        "model_not_found": ErrorRow(
            404,
            _CLIENT,
            "model_not_found",
            "Error: Model {model} does not exist or is not supported",
        ),
        "model_retired": ErrorRow(
            404, _CLIENT, "model_retired", "Error: Model {model} has been retired{what}"
        ),
        "task_not_found": ErrorRow(404, _CLIENT, "task_not_found", "Task {what} does not exist"),
        "route_not_found": ErrorRow(
            404, _CLIENT, "unknown_url", "API request failed: Unknown request URL: {what}"
        ),
        "method_not_allowed": ErrorRow(
            405, _CLIENT, "method_not_allowed", "API request failed: Method {what} is not allowed"
        ),
        "request_timeout": ErrorRow(408, _CLIENT, "request_timeout", _FAILED),
        "conflict": ErrorRow(409, _CLIENT, "conflict", _FAILED),
        "body_too_large": ErrorRow(
            413,
            _CLIENT,
            "request_too_large",
            "API request failed: Invalid Format: {what} is {size} bytes; the limit is {limit}",
        ),
        "unsupported_media_type": ErrorRow(415, _CLIENT, "unsupported_media_type", _BAD_SHAPE),
        "headers_too_large": ErrorRow(431, _CLIENT, "headers_too_large", _FAILED),
        "idempotency_mismatch": ErrorRow(422, _CLIENT, "idempotency_mismatch", _FAILED),
        "rate_limited": ErrorRow(429, "rate_limit_error", "rate_limit_exceeded", _RATE),
        "upstream_rate_limited": ErrorRow(429, "rate_limit_error", "rate_limit_exceeded", _RATE),
        "client_closed": ErrorRow(499, _CLIENT, "client_closed", "The client closed the request"),
        "internal": ErrorRow(500, _SERVER, "internal_error", "API request failed: Server Error"),
        "not_implemented": ErrorRow(
            501, "not_implemented_error", "not_implemented", "This API is not implemented.{what}"
        ),
        "upstream_error": ErrorRow(502, _SERVER, "upstream_error", _FAILED),
        "upstream_unreachable": ErrorRow(502, _SERVER, "upstream_unreachable", _NO_CONNECTION),
        "upstream_auth": ErrorRow(
            502,
            _SERVER,
            "upstream_error",
            "API request failed: the provider refused the request",
        ),
        "upstream_truncated": ErrorRow(
            502,
            _SERVER,
            "upstream_truncated",
            "API request failed: the provider's answer ended too early",
        ),
        "upstream_malformed": ErrorRow(
            502,
            _SERVER,
            "upstream_malformed",
            "API request failed: the provider's answer cannot be read",
        ),
        "no_channel": ErrorRow(
            503,
            _SERVER,
            "no_channel_available",
            "Server Overloaded: no channel is available for model {model}",
        ),
        "guard_failed": ErrorRow(503, _SERVER, "guard_failed", _FAILED),
        "overloaded": ErrorRow(
            503,
            _SERVER,
            "server_overloaded",
            "Server Overloaded: try again shortly",
        ),
        "server_shutting_down": ErrorRow(
            503, _SERVER, "server_shutting_down", "Server Overloaded: the server is shutting down"
        ),
        "timeout": ErrorRow(504, _SERVER, "timeout", _NO_CONNECTION),
    }
)

# The anthropic dialect's name for each kind; others are `invalid_request_error`.
ANTHROPIC_TYPES: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {
        "authentication": "authentication_error",
        "key_conflict": "authentication_error",
        "insufficient_balance": "billing_error",
        "max_cost_exceeded": "billing_error",
        "model_unpriced": "billing_error",
        "permission": "permission_error",
        "data_policy": "permission_error",
        "session_ended": "permission_error",
        "model_not_found": "not_found_error",
        "model_retired": "not_found_error",
        "task_not_found": "not_found_error",
        "route_not_found": "not_found_error",
        "body_too_large": "request_too_large",
        "rate_limited": "rate_limit_error",
        "upstream_rate_limited": "rate_limit_error",
        "internal": "api_error",
        "not_implemented": "api_error",
        "upstream_error": "api_error",
        "upstream_unreachable": "api_error",
        "upstream_auth": "api_error",
        "upstream_truncated": "api_error",
        "upstream_malformed": "api_error",
        "no_channel": "overloaded_error",
        "guard_failed": "api_error",
        "overloaded": "overloaded_error",
        "server_shutting_down": "overloaded_error",
        "timeout": "timeout_error",
    }
)

# The gemini dialect's status for each kind; others are `INVALID_ARGUMENT`.
GEMINI_STATUSES: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {
        "authentication": "UNAUTHENTICATED",
        "key_conflict": "UNAUTHENTICATED",
        "insufficient_balance": "RESOURCE_EXHAUSTED",
        "max_cost_exceeded": "RESOURCE_EXHAUSTED",
        "model_unpriced": "RESOURCE_EXHAUSTED",
        "permission": "PERMISSION_DENIED",
        "data_policy": "PERMISSION_DENIED",
        "session_ended": "PERMISSION_DENIED",
        "model_not_found": "NOT_FOUND",
        "model_retired": "NOT_FOUND",
        "task_not_found": "NOT_FOUND",
        "route_not_found": "NOT_FOUND",
        "request_timeout": "DEADLINE_EXCEEDED",
        "conflict": "ABORTED",
        "rate_limited": "RESOURCE_EXHAUSTED",
        "upstream_rate_limited": "RESOURCE_EXHAUSTED",
        "client_closed": "CANCELLED",
        "internal": "INTERNAL",
        "not_implemented": "UNIMPLEMENTED",
        "upstream_error": "INTERNAL",
        "upstream_unreachable": "UNAVAILABLE",
        "upstream_auth": "INTERNAL",
        "upstream_truncated": "INTERNAL",
        "upstream_malformed": "INTERNAL",
        "no_channel": "UNAVAILABLE",
        "guard_failed": "UNAVAILABLE",
        "overloaded": "UNAVAILABLE",
        "server_shutting_down": "UNAVAILABLE",
        "timeout": "DEADLINE_EXCEEDED",
    }
)


class DialectError(Exception):
    """An error of translation; `dialects/translation.py` has the class hierarchy."""


class RequestFault(DialectError):
    """The client's request is invalid; it is refused and never sent to an upstream. `kind` is a
    client kind of `KINDS`, `param` the path of the field or None, `message` the whole phrase, ready
    to be rendered.
    """

    def __init__(
        self,
        kind: ErrorKind,
        param: str | None,
        what: str,
        *,
        model: str = "",
        size: int = 0,
        limit: int = 0,
    ) -> None:
        self.kind: ErrorKind = kind
        self.param = param
        self.what = what
        self.message = message_of(kind, what, model=model, size=size, limit=limit)
        super().__init__(self.message)


def message_of(
    kind: ErrorKind,
    what: str = "",
    *,
    model: str = "",
    seconds: int = 0,
    size: int = 0,
    limit: int = 0,
) -> str:
    """Fill in the phrase of `kind`. `what` is truncated and its keys are masked, because it may
    contain a client's own names; `model` is quoted as a client's value. A timeout includes its
    `seconds`, if not 0.
    """
    phrase = KINDS[kind].phrase
    if kind == "timeout" and seconds:
        phrase += ": timed out after {seconds} s"
    return phrase.format(
        what=mask_value(what[:WHAT_CHARACTERS_MAX]),
        model=quote_value(model),
        seconds=seconds,
        size=size,
        limit=limit,
    )


def detail_of(kind: str, message: str) -> str:
    """Return what a message says in addition to its kind, for a page that names the kind in its own
    words; "" if the message adds only the model's name."""
    row = KINDS.get(kind)  # type: ignore[call-overload]
    if row and "{what}" not in row.phrase and _as_pattern(row.phrase).fullmatch(message):
        return ""
    return _LABEL.sub("", message)


def _as_pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", ".*", re.escape(phrase)), re.DOTALL)


def retry_after_s(wait_ms: int) -> int:
    """Return a wait in whole seconds, at least one, rounded up, for a header or a message."""
    return max(1, -(-wait_ms // 1_000))
