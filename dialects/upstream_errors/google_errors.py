"""Errors of Google's APIs, as far as the dialects gemini and interactions share them. Their clients
do not know 422. Reading removes a provider's pages, keys and account ids: see `clean_upstream`.

    {"error": {"code": 404, "status": "NOT_FOUND", "message": ..., "details": [...]}}
    {"error": {"code": "model_not_found", "message": ...}}     interactions alone
"""

import re
from collections.abc import Mapping
from typing import Any

from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.raw_json import as_text, dicts
from dialects.upstream_errors.retry_after import milliseconds, retry_after_ms
from dialects.upstream_errors.upstream_errors import (
    UpstreamFault,
    describe,
    error_members,
)

# HTTP statuses of google.rpc.Code, for errors without a number.
_HTTP_OF: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    # The codes of interactions (ai.google.dev, "API errors").
    "invalid_request": 400,
    "failed_precondition": 400,
    "parameter_unknown": 400,
    "authentication": 401,
    "payment_required": 402,
    "permission_denied": 403,
    "not_found": 404,
    "model_not_found": 404,
    "out_of_range": 416,
    "rate_limit_exceeded": 429,
    "quota_exceeded": 429,
    "resource_exhausted": 429,
    "service_unavailable": 503,
    "gateway_timeout": 504,
}
_BY_STATUS: Mapping[int, tuple[ErrorKind, str]] = {
    401: ("upstream_auth", "F5"),
    402: ("upstream_auth", "F9"),
    403: ("upstream_auth", "F5"),
    404: ("upstream_error", "F7"),
    408: ("timeout", "F10"),
    413: ("body_too_large", "F6"),
    429: ("upstream_rate_limited", "F8"),
    499: ("upstream_error", "F10"),
    503: ("overloaded", "F10"),
    504: ("timeout", "F10"),
}
# Google's reasons (google.rpc.ErrorInfo) about our account, at any status of a client's error.
_BILLING_REASON = "BILLING_DISABLED"
_KEY_REASONS = (
    "API_KEY_", "SERVICE_DISABLED", "CONSUMER_", "ACCOUNT_", "CREDENTIALS", "ACCESS_TOKEN_",
)  # fmt: skip
# The same as sentences. Only the beginning of a message is read, because further behind it may
# quote what a client sent.
_BILLING = re.compile(
    r"This API method requires billing|Billing is (?:not enabled|disabled)|Please enable billing"
    r"|Gemini API free tier is not available"
    r"|Your (?:[a-z]+ )?credits? (?:is|are) (?:depleted|used up|exhausted)",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"API_KEY_|(?:Your )?API key (?:not valid|not found|expired|was reported)"
    r"|(?:User )?location is not supported",
    re.IGNORECASE,
)
# 403 about something that a client named: a file or a cache that this account does not have.
_CLIENTS_OWN = re.compile(r"access the File|CachedContent not found", re.IGNORECASE)
_CONTEXT = re.compile(r"token count.{0,40} exceeds", re.IGNORECASE | re.DOTALL)


def status_of(kind: ErrorKind) -> int:
    """Return the HTTP status for a client of this dialect, which does not know 422."""
    status = KINDS[kind].status
    return 400 if status == 422 else status


def read(
    status: int, headers: Mapping[str, str], body: bytes, now_s: int | None = None
) -> UpstreamFault:
    """Read an upstream's answer whose status is not 200.

    `headers` have lower-case names; `now_s` (Unix seconds) is needed for a wait given as a date.
    """
    members = error_members(body)
    wait_ms = _wait_ms(members)
    return _classify(
        status, members, retry_after_ms(headers, now_s) if wait_ms is None else wait_ms
    )


def read_object(error: bytes) -> UpstreamFault:
    """Read an error inside a 200 (F23): by its own code, else `upstream_error`."""
    members = error_members(error)
    number = members.get("code")
    if not isinstance(number, int) or not 400 <= number <= 599:
        number = _HTTP_OF.get(_code(members), 500)
    return _classify(number, members, _wait_ms(members))


def _classify(status: int, members: dict[str, Any], wait_ms: int | None) -> UpstreamFault:
    detail = clean_upstream(as_text(members.get("message")))
    kind, fault = _kind_of(status, members)
    rejected = kind == "provider_rejected"
    return describe(
        kind,
        fault,
        detail,
        status=status,
        wait_ms=wait_ms,
        code=_code(members) if rejected else "",
        param=_field(members) if rejected else "",
    )


def account_fault(status: int, members: Mapping[str, Any]) -> tuple[ErrorKind, str] | None:
    """Return the kind and the fault table's row of an error about our key or account; None for any
    other. A wrong key has status 400, like a rejected request."""
    message = as_text(members.get("message"))
    reasons = [as_text(detail.get("reason")) for detail in _details(members)]
    if _BILLING_REASON in reasons or _BILLING.match(message):
        return "upstream_auth", "F9"
    if not 400 <= status < 500 or (status == 403 and _CLIENTS_OWN.search(message)):
        return None
    if any(reason.startswith(_KEY_REASONS) for reason in reasons) or _KEY.match(message):
        return "upstream_auth", "F5"
    return None


def _kind_of(status: int, members: dict[str, Any]) -> tuple[ErrorKind, str]:
    """Return the kind and the fault table's row. A message about our account takes precedence over
    the status."""
    message = as_text(members.get("message"))
    about_account = account_fault(status, members)
    if about_account is not None:
        return about_account
    if status == 403 and _CLIENTS_OWN.search(message):
        return "provider_rejected", "F6"
    if status == 400 and _CONTEXT.search(message):
        return "context_length_exceeded", "F6"
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return "provider_rejected", "F6"
    return "upstream_error", "F21" if 300 <= status < 400 else "F10"


def _code(members: dict[str, Any]) -> str:
    return as_text(members.get("status")) or as_text(members.get("code"))


def _wait_ms(members: dict[str, Any]) -> int | None:
    """Return the wait of a RetryInfo, a number of seconds such as 31s or 0.5s."""
    for detail in _details(members):
        delay = as_text(detail.get("retryDelay"))
        if delay.endswith("s"):
            return milliseconds(delay[:-1], 1_000)
    return None


def _field(members: Mapping[str, Any]) -> str:
    """Return the field that a BadRequest names."""
    for detail in _details(members):
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else []:
            field = as_text(violation.get("field")) if isinstance(violation, dict) else ""
            if field:
                return field
    return ""


def _details(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    return dicts(members.get("details"))
