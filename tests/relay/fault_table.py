"""The fault table as data: how the fake makes each fault, and what must come of it
(docs/promises.md, "Fault table").

BEFORE    before the first content: an error of the client's dialect, or the next channel
AFTER     in the middle of a stream: a prefix, one typed error, no end
SERVED    what is a success to the client, and how it is counted
"""

from dataclasses import dataclass
from typing import Literal

PLAIN, STREAM = False, True
BOTH = (PLAIN, STREAM)

# Kind -> status, openai code, anthropic type, gemini status.
WORDS: dict[str, tuple[int, str | None, str, str]] = {
    "provider_rejected": (400, None, "invalid_request_error", "INVALID_ARGUMENT"),
    "context_length_exceeded": (
        400, "context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT"),
    "content_filtered": (400, "content_filter", "invalid_request_error", "INVALID_ARGUMENT"),
    "unsupported_capability": (
        400, "unsupported_parameter", "invalid_request_error", "INVALID_ARGUMENT"),
    "body_too_large": (413, "request_too_large", "request_too_large", "INVALID_ARGUMENT"),
    "upstream_rate_limited": (
        429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    "upstream_auth": (502, "upstream_error", "api_error", "INTERNAL"),
    "upstream_error": (502, "upstream_error", "api_error", "INTERNAL"),
    "upstream_truncated": (502, "upstream_truncated", "api_error", "INTERNAL"),
    "upstream_malformed": (502, "upstream_malformed", "api_error", "INTERNAL"),
    "upstream_unreachable": (502, "upstream_unreachable", "api_error", "UNAVAILABLE"),
    "overloaded": (503, "server_overloaded", "overloaded_error", "UNAVAILABLE"),
    "timeout": (504, "timeout", "timeout_error", "DEADLINE_EXCEEDED"),
}  # fmt: skip


_WITH_COMMENTS = ("openai", "responses", "anthropic", "gemini", "interactions")
ALL = (*_WITH_COMMENTS, "converse")


@dataclass(frozen=True)
class Before:
    """A fault before the first content. `money`: the basis of the failed attempt's record;
    `sends`: how often the fault may be met in one attempt's place (a re-send, F32); `of`: the
    upstreams that have it; `wait`: the bounds of Retry-After; `crossed`: proved for every pair of
    dialects."""

    fault: str
    kind: str
    money: Literal["none", "absorbed"] = "none"
    then: Literal["next", "never"] = "next"
    forms: tuple[bool, ...] = BOTH
    flag: str = ""
    sends: int = 1
    of: tuple[str, ...] = ALL
    wait: tuple[int, int] | None = None
    crossed: bool = False
    more: str = ""


_NOT_GEMINI = ("openai", "responses", "anthropic")
BEFORE = [
    # Made by listeners, not by the fake.
    Before("F1:refused", "upstream_unreachable"),
    Before("F2:name", "upstream_unreachable"),
    Before("F3:expired", "upstream_unreachable"),
    Before("F3:wrong_host", "upstream_unreachable"),
    Before("F3:self_signed", "upstream_unreachable"),
    Before("F3:old", "upstream_unreachable"),
    Before("F3:no_tls", "upstream_unreachable"),
    Before("F4:hangs", "upstream_unreachable"),
    # Made by the fake.
    Before("F5:401", "upstream_auth", crossed=True),
    Before("F5:403", "upstream_auth"),
    Before("F6:400", "provider_rejected", then="never", crossed=True),
    Before("F6:422", "provider_rejected", then="never"),
    Before("F6:413", "body_too_large", then="never"),
    Before("F6:context", "context_length_exceeded", then="never"),
    # Gemini blocks a prompt with a 200 that is billed.
    Before("F6:content", "content_filtered", then="never", of=(*_NOT_GEMINI, "converse")),
    Before("F7", "upstream_error"),
    Before("F8:seconds", "upstream_rate_limited", wait=(7, 8), crossed=True),
    Before("F8:date", "upstream_rate_limited", wait=(5, 8)),
    Before("F8:junk", "upstream_rate_limited", wait=(1, 2)),
    Before("F8:ms", "upstream_rate_limited", wait=(7, 8)),
    Before("F8:none", "upstream_rate_limited", wait=(1, 2)),
    Before("F8:huge", "upstream_rate_limited", wait=(120, 132)),
    Before("F9:429", "upstream_auth"),
    Before("F9:402", "upstream_auth"),
    Before("F10:500", "upstream_error", "absorbed", crossed=True),
    Before("F10:502", "upstream_error", "absorbed"),
    Before("F10:503", "overloaded", "absorbed", crossed=True, wait=(1, 2)),
    Before("F10:504", "timeout", "absorbed"),
    Before("F10:529", "overloaded", "absorbed", wait=(1, 2)),
    Before("F11:headers", "timeout", "absorbed", crossed=True),
    Before("F11:content", "timeout", "absorbed", forms=(STREAM,)),
    # Half the time of the first content, from the first byte on.
    Before("F12", "timeout", "absorbed", more="#every_ms=150"),
    Before("F13:stall", "timeout", "absorbed", forms=(PLAIN,)),
    # Amazon's streams have no comments.
    Before(
        "F13:comments",
        "timeout",
        "absorbed",
        forms=(STREAM,),
        flag="F11",
        more="#every_ms=90",
        of=_WITH_COMMENTS,
    ),
    Before("F14:eof", "upstream_truncated", "absorbed", forms=(STREAM,)),
    Before("F14:close", "upstream_truncated", "absorbed", crossed=True),
    Before("F14:short", "upstream_truncated", "absorbed"),
    Before("F14:chunk", "upstream_truncated", "absorbed", forms=(STREAM,)),
    Before("F15", "upstream_malformed", "absorbed"),
    Before("F16", "upstream_malformed", "absorbed"),
    Before("F19:html", "upstream_error"),
    Before("F19:json", "upstream_error", forms=(STREAM,)),
    Before("F19:sse", "upstream_error", forms=(PLAIN,)),
    Before("F20:gzip", "upstream_error", "absorbed"),
    Before("F20:deflate", "upstream_error", "absorbed"),
    Before("F20:bomb", "upstream_error", "absorbed", more="#bytes=1000000"),
    *(Before(f"F21:{status}", "upstream_error") for status in (301, 302, 303, 307, 308)),
    Before("F22:flood", "upstream_error"),
    Before("F22:giant", "upstream_error"),
    Before("F23:error", "overloaded", crossed=True, wait=(1, 2)),
    Before("F23:body", "overloaded", wait=(1, 2)),
    Before("F24:200", "upstream_truncated"),
    Before("F24:204", "upstream_truncated"),
    Before("F24:stream", "upstream_truncated", forms=(STREAM,)),
    # On a connection that was used before, a reset without an answer is met once more (F32).
    Before("F33", "upstream_error", "absorbed", then="never", sends=2),
    Before("F35", "body_too_large", then="never", flag="F6"),
    # What servers of many models say under a status of their own faults.
    Before("F39:404", "unsupported_capability", crossed=True, of=_NOT_GEMINI),
    Before("F39:500", "unsupported_capability", of=_NOT_GEMINI),
]
LARGE = [
    Before("F17", "upstream_malformed", "absorbed", forms=(STREAM,)),
    Before("F34", "upstream_error", "absorbed", then="never", forms=(PLAIN,)),
]

# What takes a key or a route out of use: every cell has channels of its own.
TAKING_OUT = ("F5", "F7", "F8", "F9")
# What is met only after a time limit.
WAITING = ("F4", "F11", "F12", "F13")


@dataclass(frozen=True)
class After:
    """A fault behind four tokens of a stream; `of` as above."""

    fault: str
    kind: str
    crossed: bool = False
    flag: str = ""
    more: str = ""
    of: tuple[str, ...] = ALL


AFTER = [
    After("F13:stall", "timeout", crossed=True),
    After("F13:comments", "timeout", more="#every_ms=90", of=_WITH_COMMENTS),
    After("F14:eof", "upstream_truncated", crossed=True),
    After("F14:close", "upstream_truncated"),
    After("F14:chunk", "upstream_truncated"),
    After("F15", "upstream_malformed", crossed=True),
    After("F16", "upstream_malformed"),
    After("F23:error", "overloaded", crossed=True),
    # Behind the head a reset is an answer that ends too early.
    After("F33", "upstream_truncated", flag="F14"),
]


@dataclass(frozen=True)
class Served:
    """What the client does not notice. `basis` and `review` are those of the record; `translated`:
    where no dialect lies between, the upstream's frames are passed on as they are."""

    fault: str
    how: str
    basis: Literal["measured", "estimated"] = "measured"
    review: bool = False
    forms: tuple[bool, ...] = BOTH
    crossed: bool = False
    free: bool = False
    translated: bool = False


SERVED = [
    Served("F25", "#usage=none", "estimated", crossed=True),
    Served("F25", "#usage=null", "estimated"),
    Served("F26", "#usage=twice", forms=(STREAM,)),
    Served("F26", "#usage=cumulative", forms=(STREAM,)),
    Served("F26", "#usage=early", forms=(STREAM,)),
    Served("F27", "#usage=negative", "estimated", review=True, crossed=True),
    Served("F27", "#usage=float", "estimated", review=True),
    Served("F27", "#usage=string", "estimated", review=True, crossed=True),
    Served("F27", "#usage=nan", "estimated", review=True, crossed=True),
    Served("F27", "#usage=huge", "estimated", review=True, crossed=True),
    Served("F27", "#usage=context", "estimated", review=True),
    Served("F27", "#usage=cached", "estimated", review=True, crossed=True),
    Served("F28", "#usage=zero", crossed=True, free=True),
    Served("F29", "#fault=F29", forms=(STREAM,)),
    Served("F29", "#chunk_bytes=3 #chunked", forms=(PLAIN,)),
    Served("F30", "#fault=F30", forms=(STREAM,), crossed=True, translated=True),
    Served("F31", "#fault=F31", crossed=True, translated=True),
    Served("F37", "#fault=F37:both"),
    Served("F37", "#fault=F37:1xx"),
    Served("F37", "#fault=F37:trailers"),
]
