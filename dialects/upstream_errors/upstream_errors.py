"""The meaning of an upstream's error, and the wait that the upstream asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from dialects.chat.events import UpstreamError
from dialects.errors.errors import KINDS, ErrorKind, clean_upstream, message_of, retry_after_s

WAIT_MS_MAX = 120_000

# Messages about input or tools that a model does not support, sent with a misleading status:
# OpenRouter (404), llama.cpp and Ollama (500); 2026-10.
_UNSUPPORTED = re.compile(
    r"no endpoints found that support\b|\binput is not supported\b|unsupported content part type"
    r"|missing data required for image input|\bdoes not support (?:image|audio|video|file|tool)",
    re.IGNORECASE,
)
_SECONDS = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class UpstreamFault:
    """The meaning of an upstream's error.

    `status` is for the client; `message` is the client's phrase; `code` and `param` replace the
    kind's own for `provider_rejected` and are None otherwise. `detail` is the cleaned upstream
    message for the operator, `fault` the row of the fault table. `retry_after_ms` is the wait that
    the upstream asked for, at most 120 s, None without one. `expired`: credentials have expired,
    which says nothing of what they may do.
    """

    kind: ErrorKind
    status: int
    message: str
    code: str | None
    param: str | None
    detail: str
    fault: str
    retry_after_ms: int | None
    expired: bool = False

    @property
    def event(self) -> UpstreamError:
        """Return the fault as the event that ends the client's answer."""
        return UpstreamError(self.kind, self.message, self.code)


def describe(
    kind: ErrorKind,
    fault: str,
    detail: str,
    *,
    status: int,
    wait_ms: int | None,
    code: str = "",
    param: str = "",
    expired: bool = False,
) -> UpstreamFault:
    """Return the fault of an upstream's error with this `kind` and row of the fault table. `detail`
    is the upstream's cleaned message, `status` the upstream's own status; `code` and `param` are
    the upstream's values, "" if the client must not see them."""
    what = detail or "the provider gave no reason"
    message = message_of(kind, what)
    if kind == "upstream_rate_limited":
        message = provider_limit_message(wait_ms or 0)
    elif kind == "body_too_large":
        message = f"API request failed: Invalid Format: {what}"
    return UpstreamFault(
        kind=kind,
        status=422 if kind == "provider_rejected" and status == 422 else KINDS[kind].status,
        message=message,
        code=clean_upstream(code)[:64] or None,
        param=clean_upstream(param)[:64] or None,
        detail=detail,
        fault=fault,
        retry_after_ms=wait_ms,
        expired=expired,
    )


def provider_limit_message(wait_ms: int) -> str:
    """Return the client's message for a provider's rate limit."""
    seconds = retry_after_s(wait_ms)
    return message_of("upstream_rate_limited", "the provider's limit", seconds=seconds)


def is_unsupported(status: int, message: str) -> bool:
    """Return whether an error that looks like a server failure means that the model cannot do what
    was requested. The client must change the request: neither the model nor its channel is at fault
    (F39)."""
    return (status == 404 or status >= 500) and _UNSUPPORTED.search(message) is not None


def error_members(body: bytes) -> dict[str, Any]:
    """Return the members of the error object, in any provider's form; {} without one."""
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


def retry_after_ms(headers: Mapping[str, str], now_s: int | None) -> int | None:
    """Return the wait that the headers ask for, in ms: from a header in ms, else in seconds, else
    from a date. Invalid values count as no wait (F8)."""
    exact = milliseconds(headers.get("retry-after-ms", ""), 1)
    if exact is not None:
        return exact
    text = headers.get("retry-after", "")
    seconds = milliseconds(text, 1_000)
    if seconds is not None or now_s is None:
        return seconds
    try:
        at_s = int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
    return min(max(0, at_s - now_s) * 1_000, WAIT_MS_MAX)


def milliseconds(text: str, unit_ms: int) -> int | None:
    """Return a decimal number of units as whole ms, rounded up; None for an invalid number."""
    text = text.strip()
    if not _SECONDS.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    thousandths = int(whole) * 1_000 + int((fraction + "000")[:3])
    return min(-(-thousandths * unit_ms // 1_000), WAIT_MS_MAX)
