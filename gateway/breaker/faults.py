"""The fault table: what every fault of an upstream means, as data.

Before the commit point (nothing of the upstream has reached the client), a fault either leads to
the next channel or is answered. After it, a fault always ends the stream with one typed error
frame, no end marker, and a settlement of what was delivered. A fault is never reported as success.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from dialects.errors.kinds import ErrorKind

Next = Literal["next", "if_free", "resend", "never"]
Health = Literal[
    "none", "count", "misconfigured", "key_off", "route_off", "cool", "alert", "note", "quarantine"
]
Money = Literal[
    "none", "unknown_cost", "partial", "hold", "estimated", "last", "lower_bound", "zero", "exact"
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    `next` is the action before the commit point: go to the next channel ("next"), do so a single
    time if the failed one bills nobody ("if_free"), send again on a fresh connection ("resend"), or
    answer ("never"). `kind` is the
    error for the client when no channel is left, or after the commit point; None when the answer is
    still a success, or the upstream's own error decides (F6, F10, F23, F39). `health` is the effect
    on the channel's health. `money` is how the attempt is booked; "unknown_cost" goes to the
    platform, never to the customer (I15).
    """

    name: str
    next: Next
    kind: ErrorKind | None
    health: Health
    money: Money


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "F1": Fault("connect_refused", "next", "upstream_unreachable", "count", "none"),
        "F2": Fault("name_unresolved", "next", "upstream_unreachable", "count", "none"),
        "F3": Fault("tls_refused", "next", "upstream_unreachable", "misconfigured", "none"),
        "F4": Fault("connect_timeout", "next", "upstream_unreachable", "count", "none"),
        "F5": Fault("key_refused", "next", "upstream_auth", "key_off", "none"),
        "F6": Fault("content_refused", "never", None, "none", "none"),
        "F7": Fault("model_unknown_upstream", "next", "upstream_error", "route_off", "none"),
        "F8": Fault("upstream_rate_limit", "next", "upstream_rate_limited", "cool", "none"),
        "F9": Fault("upstream_no_credit", "next", "upstream_auth", "key_off", "none"),
        "F10": Fault("upstream_failed", "next", None, "count", "unknown_cost"),
        "F11": Fault("first_content_timeout", "next", "timeout", "count", "unknown_cost"),
        "F12": Fault("header_timeout", "next", "timeout", "count", "unknown_cost"),
        "F13": Fault("idle_timeout", "next", "timeout", "count", "partial"),
        "F14": Fault("answer_cut", "next", "upstream_truncated", "count", "partial"),
        "F15": Fault("event_malformed", "next", "upstream_malformed", "count", "partial"),
        "F16": Fault("invalid_utf8", "next", "upstream_malformed", "count", "partial"),
        "F17": Fault("event_too_large", "next", "upstream_malformed", "count", "partial"),
        "F18": Fault("stream_endless", "never", None, "none", "hold"),
        "F19": Fault("wrong_content_type", "next", "upstream_error", "count", "none"),
        "F20": Fault("compressed_answer", "next", "upstream_error", "alert", "partial"),
        "F21": Fault("redirect", "next", "upstream_error", "misconfigured", "none"),
        "F22": Fault("headers_too_large", "next", "upstream_error", "count", "none"),
        "F23": Fault("error_in_success", "next", None, "count", "none"),
        "F24": Fault("answer_empty", "next", "upstream_truncated", "count", "none"),
        "F25": Fault("usage_missing", "never", None, "note", "estimated"),
        "F26": Fault("usage_repeated", "never", None, "none", "last"),
        "F27": Fault("usage_lies", "never", None, "quarantine", "lower_bound"),
        "F28": Fault("usage_zero", "never", None, "none", "zero"),
        "F29": Fault("chunk_cut_inside", "never", None, "none", "exact"),
        "F30": Fault("content_after_end", "never", None, "note", "exact"),
        "F31": Fault("line_ends_in_text", "never", None, "none", "exact"),
        "F32": Fault("connection_was_closed", "resend", "upstream_error", "count", "unknown_cost"),
        "F33": Fault("reset_after_body", "if_free", "upstream_error", "count", "unknown_cost"),
        "F34": Fault("answer_too_large", "never", "upstream_error", "count", "unknown_cost"),
        "F35": Fault("answered_while_sending", "never", None, "none", "none"),
        "F36": Fault("http2_reset", "resend", "upstream_unreachable", "count", "unknown_cost"),
        "F37": Fault("interim_answer", "never", None, "none", "exact"),
        "F38": Fault("tool_call_cut", "next", "upstream_truncated", "count", "partial"),
        "F39": Fault("capability_missing", "next", None, "none", "none"),
    }
)


def final_kind(kinds: list[ErrorKind]) -> ErrorKind:
    """Return the error for the client when every attempt failed: the kind of the last failure; but
    if that is `upstream_error`, a single `upstream_rate_limited` takes precedence. `kinds` must not
    be empty."""
    last = kinds[-1]
    limited: ErrorKind = "upstream_rate_limited"
    return limited if last == "upstream_error" and limited in kinds else last
