"""Display names of the kinds of errors, bases and flags."""

from collections.abc import Callable, Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.key_uses.last_uses import PLAYGROUND
from accounts.names.names import PLAYGROUND_NAME
from billing.prices.meter_words import METER_NAMES
from lib.numbers import formatting
from usage.requests.refusals import BALANCE_TOO_LOW, BUDGET_REACHED

# The APIs in which a request can be written: proper names, which are not translated.
_API_NAMES: Final[Mapping[str, str]] = {
    "chat_completions": "OpenAI Chat Completions",
    "responses": "OpenAI Responses",
    "messages": "Anthropic Messages",
    "generate_content": "Gemini generateContent",
    "stream_generate_content": "Gemini streamGenerateContent",
    "interactions": "Gemini Interactions",
    "converse": "Amazon Converse",
    "converse_stream": "Amazon ConverseStream",
    "predict_long_running": "Gemini predictLongRunning",
    "videos": "OpenAI Videos",
}


def api_format(dialect: str, operation: str) -> str:
    """Return the API of a request: "OpenAI Chat Completions"."""
    return _API_NAMES.get(operation, f"{dialect} · {operation}")


CHAT_TITLE: Final = "Chat title"
CHAT_SUMMARY: Final = "Chat summary"
SIDE_REQUESTS: Final[Mapping[str, Promise]] = {
    CHAT_TITLE: _("Chat title"),
    CHAT_SUMMARY: _("Chat summary"),
}
"""The applications of the playground's requests that are not turns of a chat."""


def app_name(app: str) -> str:
    """Return the display name of an application. Only those of the playground are translated."""
    return gettext("Playground") if app == PLAYGROUND else str(SIDE_REQUESTS.get(app, app))


def source_name(source: str, app: str) -> str:
    """Return where a request came from: "Chat title" for one, else the API or the playground."""
    if app in SIDE_REQUESTS:
        return app_name(app)
    return gettext("Playground") if source == PLAYGROUND else gettext("API")


BASES: Final[Mapping[str, Promise]] = {
    "measured": pgettext_lazy("basis", "measured"),
    "cached": pgettext_lazy("basis", "served from cache"),
    "drained": pgettext_lazy("basis", "measured after disconnect"),
    "estimated": pgettext_lazy("basis", "estimated"),
    "absorbed": pgettext_lazy("basis", "not charged, covered by the operator"),
    "held": pgettext_lazy("basis", "reserved"),
    "free": pgettext_lazy("basis", "free"),
    "none": pgettext_lazy("basis", "none"),
}

# How a request was charged, in one sentence each.
CHARGED_BY: Final[Mapping[str, Promise]] = {
    "measured": _("Based on the usage that the provider reported."),
    "cached": _(
        "An earlier answer to the identical request was served, at the cache's share of its charge."
    ),
    "drained": _(
        "The client disconnected, or its key was revoked or expired. The answer was read to the "
        "end and charged by its usage."
    ),
    "estimated": _(
        "The provider reported no usable count. Charged by our own count, never more than was "
        "reserved."
    ),
    "absorbed": _("Not charged. The operator pays the provider for this request."),
    "held": _("Part of it has no price. The amount stays reserved until an operator decides."),
    "free": _("The model has no price and is free on this installation."),
    "none": _("No model answered, so nothing was charged."),
}

CHOSEN: Final[Mapping[str, Promise]] = {
    "only": _("The only channel for the model"),
    "priority": _("First by priority"),
    "weight": _("Picked by weight"),
    "last_resort": _("No healthy channel left"),
    "own_key": _("Organisation's own key"),
    "failover": _("Next after a failure"),
    "retry": _("Retried: no other channel left"),
    "resend": _("Resent: the connection was closed"),
    "model_fallback": _("Fallback model"),
    "fallback_rule": _("Fallback model, by an operator's rule"),
    "budget_rule": _("Fallback model, because a budget was used up"),
    "latency": _("Picked by latency"),
    "ttft": _("Picked by time to first token"),
    "throughput": _("Picked by throughput"),
    "in_flight": _("Picked by requests in flight"),
    "price": _("Picked by price"),
    "conversation": _("Picked by conversation"),
    "user": _("Picked by user"),
}
"""Why an attempt went to its channel."""
SKIPPED: Final[Mapping[str, Promise]] = {
    "requests": _("its limit of requests per minute was reached"),
    "tokens": _("its limit of tokens per minute was reached"),
    "parallel": _("its limit of concurrent requests was reached"),
    "spend_day": _("its cap on daily cost was reached"),
    "spend_month": _("its cap on monthly cost was reached"),
    "cooling": _("it was at the provider's rate limit"),
    "failing": _("it was failing"),
    "key_refused": _("the provider rejected its key"),
    "no_credit": _("the provider's rate limit or credit was used up"),
    "misconfigured": _("no connection to the provider"),
    "model_unknown": _("the provider does not know the model"),
    "prepaid": _("it ignores output limits, so it serves only organisations with a credit line"),
    "unsupported": _("it cannot serve this request"),
    "disabled": _("it is turned off"),
    "retry_budget": _("too many of its retries failed recently"),
    "plan": _("it does not serve this plan"),
    "team": _("it does not serve this team"),
    "label": _("it does not serve these labels"),
    "prompt_length": _("it does not serve prompts of this length"),
    "content": _("it does not serve this kind of request"),
    "retention": _("its provider may keep data"),
    "region": _("it is not in the required region"),
}
"""Why a channel was passed over."""
KINDS: Final[Mapping[str, Promise]] = {
    "malformed_json": _("The request body was not valid JSON"),
    "missing_parameter": _("A required parameter was missing"),
    "invalid_type": _("A parameter had the wrong type"),
    "invalid_value": _("A parameter had a value that is not allowed"),
    "context_length_exceeded": _("The request was longer than the model's context"),
    "content_filtered": _("The provider blocked the content"),
    "guard_refused": _("A guard rejected the content"),
    "provider_rejected": _("The provider rejected the request as invalid"),
    "unsupported_capability": _("The model does not support what was requested"),
    "thread_unsupported": _("Provider threads are not supported here"),
    "authentication": _("The key was not accepted"),
    "key_conflict": _("Two different keys were sent"),
    "insufficient_balance": _("The balance or a budget was too low for the request"),
    "max_cost_exceeded": _("The request's cost limit was too low"),
    "model_unpriced": _("The model has no price"),
    "permission": _("Not permitted for this key"),
    "data_policy": _("No channel meets the data policy"),
    "session_ended": _("The session was ended"),
    "model_not_found": _("Model not found"),
    "model_retired": _("The model has been retired"),
    "task_not_found": _("Task not found"),
    "conflict": _("The request conflicted with another one"),
    "idempotency_mismatch": _("The Idempotency-Key was already used with another body"),
    "body_too_large": _("The request body was too large"),
    "unsupported_media_type": _("The content type is not supported"),
    "rate_limited": _("Rate limit reached"),
    "upstream_rate_limited": _("Provider rate limit reached"),
    "internal": _("The hub failed"),
    "upstream_error": _("The provider failed"),
    "upstream_truncated": _("The answer was cut off"),
    "upstream_malformed": _("The provider's answer could not be read"),
    "upstream_unreachable": _("The provider could not be reached"),
    "upstream_auth": _("The provider rejected the channel's own key"),
    "no_channel": _("No channel could serve the model"),
    "guard_failed": _("A guard did not answer"),
    "overloaded": _("The provider or the hub was overloaded"),
    "server_shutting_down": _("The hub was shutting down"),
    "timeout": _("No answer within the time limit"),
    "not_implemented": _("Not supported"),
    "client_closed": _("The client disconnected"),
}

_LACKS: Final[Mapping[str, Promise]] = {
    BALANCE_TOO_LOW: _("Balance too low"),
    BUDGET_REACHED: _("Budget reached"),
}


def kind_text(kind: str) -> str:
    """Return what happened to a request, by its `RequestRow.display_kind`."""
    return str(_LACKS.get(kind) or KINDS.get(kind) or kind)


STATUS_WORDS: Final[Mapping[int, Promise]] = {
    200: pgettext_lazy("status", "OK"),
    400: _("Invalid request"),
    401: _("Key not accepted"),
    402: _("Balance or limit too low"),
    403: _("Not permitted"),
    404: _("Not found"),
    408: _("Timed out"),
    409: _("Conflict"),
    413: _("Too large"),
    415: _("Unsupported type"),
    422: _("Invalid request"),
    429: _("Rate limited"),
    499: _("Stopped"),
    500: _("Server error"),
    501: _("Not supported"),
    502: _("Provider failed"),
    503: pgettext_lazy("status", "Unavailable"),
    504: _("Timed out"),
}


_WORDS_OF_402: Final[Mapping[str, Promise]] = {
    **_LACKS,
    "insufficient_balance": _("Balance or budget too low"),
    "max_cost_exceeded": _("Cost limit too low"),
    "model_unpriced": _("No price"),
}


def status_text(status: int, kind: str | None = None) -> str:
    """Return a status with its meaning: ``429 Rate limited``. 402 has one for each kind of
    error, and so has what a guard rejected."""
    word = STATUS_WORDS.get(status, "")
    if status == 402:
        word = _WORDS_OF_402.get(kind or "", word)
    elif kind == "guard_refused":
        word = pgettext("status", "Rejected by a guard")
    return f"{status} {word}".rstrip()


FLAGS: Final[Mapping[str, Promise]] = {
    "crash_cut": _("Interrupted by a crash"),
    "above_hold": _("Cost more than was reserved"),
    "unpriced": _("No price"),
    "masked": _("Masked by a guard"),
    "quarantine": _("Count under review"),
    "unpriced_meter": _("Meter without a price"),
    "negative_quantity": _("Negative count"),
    "out_of_range": _("Count out of range"),
    "unstorable": _("Text could not be stored"),
    "usage_missing": _("No count from the provider"),
    "usage_unreadable": _("The provider's count could not be read"),
    "usage_not_integer": _("The provider's count is not a whole number"),
    "usage_negative": _("The provider's count is negative"),
    "usage_huge": _("The provider's count is too large"),
    "usage_cached_above_input": _("More cached than input tokens"),
    "usage_parts_above_total": _("Parts exceed their total"),
    "usage_mismatch": _("Counts contradict each other"),
    "unknown_member": _("Usage that is not classified"),
    # The rule by which an abandoned request, or one that failed midway, was charged.
    "measured_by_organisation": _("Organisation's rule: charged until it was closed"),
    "measured_by_model": _("Model's rule: charged until it was closed"),
    "drain_by_organisation": _("Organisation's rule: kept reading"),
    "drain_by_model": _("Model's rule: kept reading"),
    "absorb_by_organisation": _("Organisation's rule: not charged"),
    "absorb_by_model": _("Model's rule: not charged"),
    "drain_limit": _("Charged up to the rule's limit"),
    "end_user_verified": _("End user verified"),
    "end_user_ignored": _("End user not accepted"),
    "hold_replaced": _("Another hold took its place"),
    # What went wrong with an attempt, by its row in the table of faults.
    "F1": _("Connection refused"),
    "F2": _("Host name not found"),
    "F3": _("TLS failed"),
    "F4": _("Connection timed out"),
    "F5": _("Channel's key rejected"),
    "F6": _("Content rejected"),
    "F7": _("Model unknown to the provider"),
    "F8": _("Provider's rate limit"),
    "F9": _("Out of credit at the provider"),
    "F10": _("Provider failed"),
    "F11": _("No content in time"),
    "F12": _("No answer in time"),
    "F13": _("Answer stalled"),
    "F14": _("Answer cut off"),
    "F15": _("Malformed event"),
    "F16": _("Not UTF-8"),
    "F17": _("Event too large"),
    "F18": _("Answer never ended"),
    "F19": _("Wrong content type"),
    "F20": _("Unexpected compression"),
    "F21": _("Redirect"),
    "F22": _("Headers too large"),
    "F23": _("Error inside a successful response"),
    "F24": _("Empty answer"),
    "F25": _("No count from the provider"),
    "F26": _("Count reported more than once"),
    "F27": _("Count implausible"),
    "F28": _("Zero count"),
    "F29": _("Chunk split inside a character"),
    "F30": _("Content after the end"),
    "F31": _("Line break inside text"),
    "F32": _("Connection already closed"),
    "F33": _("Connection lost after sending"),
    "F34": _("Answer too large"),
    "F35": _("Answered before the request was sent"),
    "F36": _("HTTP/2 stream reset"),
    "F37": _("Interim response"),
    "F38": _("Tool call cut off"),
    "F39": _("Not supported by the model"),
}


GUARD_PURE: Final = "guard_pure"
GUARD_TIME: Final = "guard_ms"
GUARD_REQUEST: Final = "guard_request"
GUARD_POLICY: Final = "guard_policy"
GUARD_IN: Final = "guard_in"
GUARD_MASKED: Final = "guard_masked"
GUARD_REFUSED: Final = "guard_refused"

POSTINGS: Final[Mapping[str, Promise]] = {
    "hold": pgettext_lazy("posting", "Hold"),
    "settle": pgettext_lazy("posting", "Charge"),
    "void": pgettext_lazy("posting", "Release"),
    "expire": pgettext_lazy("posting", "Hold expired"),
    "correct": pgettext_lazy("posting", "Correction"),
}


def meter_word(name: str) -> str:
    """Return the name of a meter with its variant: `images[1024]` is "Images 1024"."""
    plain, _bracket, variant = name.partition("[")
    word = str(METER_NAMES.get(plain, plain))
    return f"{word} {variant.rstrip(']')}" if variant else word


def is_guard_use(flag: str) -> bool:
    """Return whether a flag is about the work of a guard, which a request's page shows by itself
    (`guard_uses.py`)."""
    return flag.startswith("guard_")


def flag_word(name: str) -> str:
    """Return the meaning of a flag, or the flag itself if it is unknown."""
    kind, _colon, rest = name.partition(":")
    guard, _colon, value = rest.partition(":")
    if kind == "guard" and value == "unchecked":
        return gettext("Guard %(guard)s failed, texts passed unchecked") % {"guard": guard}
    return str(FLAGS.get(name, name))


def key_name(name: str | None) -> str:
    """Return a key's display name. The name of the playground's own key is translated."""
    return gettext("Playground") if name == PLAYGROUND_NAME else name or ""


def duration_text(milliseconds: int | None) -> str:
    """Return milliseconds as ``842 ms``, ``3.21 s`` or ``1 min 12 s``, units in the page's
    language."""
    if milliseconds is None:
        return formatting.MISSING
    units = {
        "ms": pgettext("unit", "ms"),
        "s": pgettext("unit", "s"),
        "min": pgettext("unit", "min"),
    }
    return " ".join(f"{figure} {units[unit]}" for figure, unit in formatting.duration(milliseconds))


def speed_text(tenths: int | None) -> str:
    """Return the text of tokens per second, from tenths of them."""
    return formatting.MISSING if tenths is None else f"{tenths // 10}.{tenths % 10}"


def moved_text(now: int | None, before: int | None, text_of: Callable[[int], str]) -> str:
    """Return how much a figure changed, absolutely and in percent: ``+120 ms (5.1%)``; "" if one of
    the two is unknown."""
    if now is None or before is None:
        return ""
    sign = "+" if now > before else "\N{MINUS SIGN}" if now < before else ""
    share = formatting.percent(abs(now - before), before) if before else formatting.MISSING
    return f"{sign}{text_of(abs(now - before))} ({share})"
