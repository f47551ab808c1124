"""The meaning of an upstream's error."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from dialects.chat.events import UpstreamError
from dialects.errors.errors import KINDS, message_of, retry_after_s
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.not_json import NOT_JSON

# Messages about input or tools that a model does not support, sent with a misleading status:
# OpenRouter (404), llama.cpp and Ollama (500); 2026-10.
_UNSUPPORTED = re.compile(
    r"no endpoints found that support\b|\binput is not supported\b|unsupported content part type"
    r"|missing data required for image input|\bdoes not support (?:image|audio|video|file|tool)",
    re.IGNORECASE,
)


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
    except NOT_JSON:
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and "error" in value:
        value = value["error"]
    if isinstance(value, str):
        return {"message": value}
    return value if isinstance(value, dict) else {}
