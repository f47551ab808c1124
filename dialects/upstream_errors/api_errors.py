"""Errors of OpenAI's endpoints, and of compatible ones.

The dialects openai and responses share the body of an error and most of its codes; `Words` has
those that each of them adds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.raw_json import as_text, dicts
from dialects.upstream_errors.google_errors import account_fault
from dialects.upstream_errors.retry_after import retry_after_ms
from dialects.upstream_errors.upstream_errors import (
    UpstreamFault,
    describe,
    error_members,
    is_unsupported,
)

_CONTEXT = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_FILTERED = frozenset(
    {"invalid_prompt", "content_policy_violation", "content_filter", "content_filtered"}
)
# Also the codes of Kimi ("exceeded_current_quota_error"), GLM ("1113", both with status 429) and
# Qwen ("Arrearage", 400) for an account without credit (2026-09).
_FUNDS = frozenset(
    {
        "insufficient_quota",
        "billing_not_active",
        "exceeded_current_quota_error",
        "1113",
        "arrearage",
    }
)
_ACCOUNT = frozenset(
    {
        "invalid_api_key",
        "authentication_error",
        "permission_error",
        "permission_denied",
        "account_deactivated",
        "unsupported_country_region_territory",
    }
)
# xAI answers a wrong key with 400 and this sentence, without a code (2026-03). Only the beginning
# is read, because further behind a message may quote what a client sent.
_WRONG_KEY: Final = re.compile(r"(?:Incorrect|Invalid) API key\b", re.IGNORECASE)
_GOOGLES_TYPES: Final = "type.googleapis.com/"
_RATE = frozenset({"rate_limit_exceeded", "rate_limit_error", "too_many_requests"})
_OVERLOADED = frozenset(
    {"overloaded", "overloaded_error", "server_overloaded", "service_unavailable_error"}
)
_BY_STATUS: Mapping[int, ErrorKind] = {
    408: "timeout",
    413: "body_too_large",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_REJECTED = frozenset({400, 415, 422})
# Kinds besides `provider_rejected` that report the upstream's own parameter.
_CLIENT_KINDS = frozenset({"context_length_exceeded", "content_filtered"})


@dataclass(frozen=True, slots=True)
class Words:
    """The codes and types that one dialect adds: for filtered content, for our account, and for an
    invalid request inside a 200."""

    filtered: frozenset[str] = frozenset()
    account: frozenset[str] = frozenset()
    request: frozenset[str] = frozenset()


def render(
    kind: ErrorKind,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    request_id: str = "",
) -> bytes:
    """Return the body of an error response; `code` replaces the kind's own. The request's id is a
    sibling of the error, whose members are fixed.
    """
    row = KINDS[kind]
    error = {"message": message, "type": row.type, "param": param, "code": code or row.code}
    named = name_request(request_id)
    return msgspec.json.encode({"error": error, **named})


def name_request(request_id: str) -> dict[str, str]:
    """Return the member with the request's id that stands next to `error`; nothing for ""."""
    return {"request_id": request_id} if request_id else {}


def name_guard_code(guard_code: str | None) -> dict[str, str]:
    """Return the member with the code of the guard that refused, for an error whose own `code`
    clients know as one of a list; nothing for None."""
    return {"guard_code": guard_code} if guard_code else {}


def read(
    words: Words,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now_s: int | None = None,
) -> UpstreamFault:
    """Read an upstream's answer whose status is not 200.

    `headers` have lower-case names; `now_s` (Unix seconds) is needed for a wait given as a date.
    """
    return _classify(words, status, error_members(body), retry_after_ms(headers, now_s))


def read_object(words: Words, error: bytes) -> UpstreamFault:
    """Read an error inside a 200 (F23): by its own code, else `upstream_error`. Accepts an error
    body, an `error` event in either form, and the `error` of a failed response.
    """
    members = error_members(error)
    number = members.get("code")
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number[:4])
    if isinstance(number, int) and 400 <= number <= 599:
        return _classify(words, number, members, None)
    clients = words.request | words.filtered | _CONTEXT | _FILTERED
    return _classify(words, 400 if _codes(members) & clients else 500, members, None)


def _classify(
    words: Words, status: int, members: dict[str, Any], wait_ms: int | None
) -> UpstreamFault:
    message = as_text(members.get("message"))
    kind, fault = _account_fault(words, status, members) or _kind_of(words, status, _codes(members))
    if fault in ("F7", "F10") and is_unsupported(status, message):
        kind, fault = "unsupported_capability", "F39"
    rejected = kind == "provider_rejected"
    return describe(
        kind,
        fault,
        clean_upstream(message),
        status=status,
        wait_ms=wait_ms,
        code=as_text(members.get("code")) if rejected else "",
        param=as_text(members.get("param")) if rejected or kind in _CLIENT_KINDS else "",
    )


def _account_fault(
    words: Words, status: int, members: dict[str, Any]
) -> tuple[ErrorKind, str] | None:
    """Return the kind and the fault table's row of an error about our key or account, which takes
    precedence over the status; None for any other."""
    codes = _codes(members)
    if codes & _FUNDS or status == 402:
        return "upstream_auth", "F9"
    about_account = account_fault(status, members) if _is_googles(members) else None
    if about_account is not None:
        return about_account
    wrong = status == 400 and _WRONG_KEY.match(as_text(members.get("message")))
    if codes & (_ACCOUNT | words.account) or status in (401, 403) or wrong:
        return "upstream_auth", "F5"
    return None


def _is_googles(members: dict[str, Any]) -> bool:
    """Return whether an error has Google's form, which Google's compatible API keeps."""
    details = dicts(members.get("details"))
    return any(as_text(one.get("@type")).startswith(_GOOGLES_TYPES) for one in details)


def _kind_of(words: Words, status: int, codes: set[str]) -> tuple[ErrorKind, str]:
    """Return the kind and the fault table's row of an error that is not about our account."""
    if status in _REJECTED:
        if codes & _CONTEXT:
            return "context_length_exceeded", "F6"
        filtered = codes & (_FILTERED | words.filtered)
        return "content_filtered" if filtered else "provider_rejected", "F6"
    if status == 404:
        return "upstream_error", "F7"
    if status == 429 or codes & _RATE:
        return "upstream_rate_limited", "F8"
    if status >= 500 and codes & _OVERLOADED:
        return "overloaded", "F10"
    kind = _BY_STATUS.get(status)
    if kind is not None:
        return kind, "F6" if kind == "body_too_large" else "F10"
    if 400 <= status < 500:
        return "provider_rejected", "F6"
    return "upstream_error", "F21" if 300 <= status < 400 else "F10"


def _codes(members: dict[str, Any]) -> set[str]:
    words = {as_text(members.get(name)).lower() for name in ("code", "type")}
    inner = members.get("innererror")
    if isinstance(inner, dict) and inner.get("code") == "ResponsibleAIPolicyViolation":
        words.add("content_filter")
    return words
