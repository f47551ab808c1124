"""Headers of requests and answers, besides those of HTTP."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.operations.page import Field
from relay.requests.session_prefix import PREFIX
from relay.requests.sessions import AGENT_HEADERS, NAME_LENGTH, PARENT_SESSION_HEADERS, SOURCES
from usage.sessions.sources import CAP_HEADER
from usage.sessions.words import SENDERS

SENT: Final[tuple[Field, ...]] = (
    Field(
        "Authorization",
        "Bearer sk-weir-…",
        _(
            "The API key. Send it in one of the first three headers of this table. Weir rejects a "
            "request with two different keys."
        ),
    ),
    Field("x-api-key", "sk-weir-…", _("The API key, as sent by Anthropic clients.")),
    Field(
        "x-goog-api-key",
        "sk-weir-…",
        _(
            "The API key, as sent by Google clients. Google clients can also send the key in the "
            "URL, as ?key=."
        ),
    ),
    Field(
        "Idempotency-Key",
        "string",
        _(
            "A text of your choice that identifies the request. If you send the same text and the "
            "same body again within 24 hours, the request is charged only once, and you usually "
            "get the same answer."
        ),
        limits="≤ 128",
    ),
    Field(
        "x-weir-max-cost",
        "USD",
        _(
            "The most that this request may cost, in USD. If the request could cost more, Weir "
            "limits the length of the answer. In two cases, Weir rejects the request with 402 "
            "instead: even a short answer could cost more, or the request could cost more with an "
            "output limit that you set. Weir does not call the requested model in these cases."
        ),
    ),
    Field(
        "x-weir-labels",
        "JSON",
        _(
            "Labels for grouping and budgets: project, tags (20 at most), customer. Like the tags "
            "of a key, each label has 1 to 100 visible characters and no space at the start or end."
        ),
    ),
    Field(
        "x-title, http-referer",
        "string",
        _(
            "x-title is the name of your application, and http-referer is its address. Weir lists "
            "requests under the name. If you send no name, Weir lists the requests under the host "
            "of the address. If you send neither header, Weir lists the requests under the library "
            "or program that user-agent names."
        ),
    ),
    Field(
        "x-weir-session",
        "string",
        _(
            "The session that the request is part of, such as one task of a coding agent. The "
            "requests of a session are listed together. Most agents name their session by "
            "themselves: see Sessions below."
        ),
        limits=f"≤ {NAME_LENGTH}",
    ),
    Field(
        CAP_HEADER,
        "USD",
        _(
            "The most that the request's session may cost, in USD, including all sub-agents of the "
            "session. The first request with this header counts what the session has spent and "
            "reserved so far. After that, only requests with this header count. If a request could "
            "exceed the amount, Weir limits the length of the answer or rejects the request with "
            "402, as with x-weir-max-cost. To continue the session, send a higher amount. The "
            "organisation's budgets still apply. If a request has this header but names no "
            "session, Weir rejects the request with 400."
        ),
    ),
    Field(
        "x-weir-data-policy",
        "JSON",
        _(
            "Where the request may go: zero_retention (only to providers that keep no data) and "
            "regions (only to these regions, such as eu). The data policies of the key and the "
            "organisation apply too. If no channel meets all these policies, Weir rejects the "
            "request with 403."
        ),
    ),
    Field(
        "x-weir-include-cost",
        "true, false",
        _(
            "With true, Weir adds the charge to the usage in the response, also in most streams. A "
            "response without a usage object does not contain the charge. With the setting "
            "include_cost, an organisation turns this on for all requests without this header."
        ),
    ),
    Field(
        "x-weir-store",
        "true, false",
        _(
            "With false, the cache stores no answer to this request. The content log does not keep "
            "the request either, unless a rule of the organisation keeps it anyway. This header "
            "does not decide whether later requests can continue the response. For this, use "
            '"store" in the body.'
        ),
    ),
    Field(
        "cache-control",
        "no-cache, no-store, max-age=60",
        _(
            "Limits the use of the cache of answers (RFC 9111). With no-cache or no-store, the "
            "request gets a new answer. With no-store, Weir does not store the new answer either. "
            "With max-age, the request gets no stored answer that is older than this number of "
            "seconds."
        ),
    ),
)
SESSIONS: Final[tuple[Field, ...]] = (
    *(Field(one.place, one.kind, SENDERS[one.place]) for one in SOURCES),
    Field(
        ", ".join(name for one in AGENT_HEADERS for name in (one.agent, one.parent)),
        "header",
        _("Claude Code and Codex: the sub-agent that sends the request, and its parent agent"),
    ),
    Field(
        ", ".join(PARENT_SESSION_HEADERS),
        "header",
        _("opencode: the parent of a sub-agent's session; the request belongs to the parent"),
    ),
    Field(
        PREFIX,
        "digest",
        _(
            "Chats of the same key are one session if they have the same instructions, and the "
            "user writes the same before the first answer. This rule applies only if an operator "
            "has turned it on, and only to chats that name no session"
        ),
    ),
)
"""Where a request may name its session and its agent."""

ANSWERED: Final[tuple[Field, ...]] = (
    Field(
        "x-request-id",
        "string",
        _(
            "The request's ID on the Requests page. Include it when you ask for help. Clients of "
            "Anthropic's API find the same ID in request-id."
        ),
    ),
    Field(
        "x-weir-hold",
        "USD",
        _("The amount that Weir reserved for the request. The charge is never higher."),
    ),
    Field(
        "x-weir-cost",
        "USD",
        _(
            "The charge for the request. For a stream, the charge is known only at the end. To get "
            "the charge of a stream, send x-weir-include-cost, or see the request's page."
        ),
    ),
    Field(
        "x-weir-output-cap",
        "integer",
        _(
            "The output limit that Weir set for this request. Weir sets a limit in two cases. "
            "First, your own limit is above the model's limit. Second, you sent no limit, and one "
            "of these does not cover the longest possible answer: the balance, a budget, "
            "x-weir-max-cost, x-weir-session-budget or a token limit."
        ),
    ),
    Field(
        "x-weir-fallback",
        "budget",
        _(
            "A budget did not cover the requested model, so another model answered. Your operator "
            "chose this model for such cases. The response names the model."
        ),
    ),
    Field(
        "x-weir-content-log",
        "kept, not-kept",
        _(
            "Whether the organisation keeps the texts of this request and its answer. On a "
            "WebSocket, the header shows whether the organisation keeps the texts of requests to "
            "at least one model. Absent if no rule of the organisation's content log applies, and "
            "absent from error answers."
        ),
    ),
    Field(
        "x-weir-end-user",
        "verified, missing, network, signature, expired, invalid",
        _(
            "Whether Weir accepts the end user that the request names, or why not. Absent if the "
            "key has no header for end users."
        ),
    ),
    Field(
        "cache-status",
        "weir; hit; ttl=540",
        _(
            "Whether Weir served a stored answer (RFC 9211). With hit, Weir served a stored "
            "answer, and can serve it for another ttl seconds. With fwd=miss, there was no stored "
            "answer. With fwd=request, there was no stored answer that cache-control allows. With "
            "fwd=bypass, Weir did not look for an answer to this request, and stores none. Absent "
            "if the cache is off for the key, and absent from error answers."
        ),
    ),
    Field(
        "age",
        _("seconds"),
        _("How long ago the served answer was stored. Absent from all other answers."),
    ),
    Field(
        "deprecation",
        "@Unix time",
        _(
            "The time since which the model is deprecated (RFC 9745). If there is a replacement, "
            "the model's page names it."
        ),
    ),
    Field(
        "sunset",
        "HTTP date",
        _("The time at which the model is retired (RFC 8594). Only if the model is deprecated."),
    ),
    Field(
        "x-weir-dropped-params",
        "list",
        _(
            "Parameters that were dropped because the model or its provider does not support them, "
            "or because an operator chose to drop them."
        ),
    ),
    Field(
        "x-weir-channel, x-weir-attempts",
        "string, integer",
        _("The channel that answered, and the number of attempts. Only for keys of operators."),
    ),
    Field(
        "idempotent-replayed",
        "true",
        _("The response was stored for an earlier request with the same Idempotency-Key."),
    ),
    Field(
        "retry-after, retry-after-ms",
        "s, ms",
        _(
            "How long to wait before the next try, in seconds and in milliseconds. Only on errors "
            "with the status 429, 503 or 529, and only if waiting helps. The Anthropic and Google "
            "formats have only retry-after."
        ),
    ),
    Field(
        "x-should-retry",
        "false",
        _(
            "The same request would fail again, so the clients of OpenAI and Anthropic do not "
            "repeat it. Only on errors; absent if a repeat may succeed."
        ),
    ),
    Field(
        "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests",
        "integer, integer, duration",
        _(
            "The key's limit of requests per minute, what is left of it, and the time until the "
            "whole limit is available again. Headers with -tokens instead of -requests show the "
            "key's limit of tokens. In the Anthropic format, the names have another form, such as "
            "anthropic-ratelimit-requests-limit. Absent if the key has no such limit."
        ),
    ),
)
