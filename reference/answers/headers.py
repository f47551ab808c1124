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
            "The API key. One of these three is enough; requests with two different keys are "
            "rejected."
        ),
    ),
    Field("x-api-key", "sk-weir-…", _("The same, as sent by Anthropic clients.")),
    Field(
        "x-goog-api-key",
        "sk-weir-…",
        _("The same, as sent by Google clients. They can also send ?key=."),
    ),
    Field(
        "Idempotency-Key",
        "string",
        _("The same key and body within 24 hours return the same answer, charged once."),
        limits="≤ 128",
    ),
    Field(
        "x-weir-max-cost",
        "USD",
        _(
            "The most this request may cost, in USD. If it could cost more, an answer without an "
            "output limit is shortened. With an output limit, or if even a short answer costs "
            "more, the request is rejected with 402 before anything is sent."
        ),
    ),
    Field(
        "x-weir-labels",
        "JSON",
        _(
            "Labels for grouping and budgets: project, tags (20 at most), customer. As for a key's "
            "tags, each label has 1 to 100 visible characters and no space at the start or end."
        ),
    ),
    Field(
        "x-title, http-referer",
        "string",
        _(
            "The name of your application, or else its address. Weir lists requests under it. "
            "Without either, Weir lists them under the library in user-agent."
        ),
    ),
    Field(
        "x-weir-session",
        "string",
        _(
            "The session that the request is part of, such as one task of a coding agent. The "
            "requests of a session are listed together. Most agents name it by themselves: see "
            "Sessions below."
        ),
        limits=f"≤ {NAME_LENGTH}",
    ),
    Field(
        CAP_HEADER,
        "USD",
        _(
            "The most that the request's session may cost, in USD, including all its sub-agents. "
            "All money spent and reserved since the first request counts. A request that could "
            "exceed this amount is rejected with 402. To continue the session, send a higher "
            "amount. The header never increases a budget. A request that names no session is "
            "rejected with 400."
        ),
    ),
    Field(
        "x-weir-data-policy",
        "JSON",
        _(
            "Where the request may go: zero_retention (only providers that keep no data) and "
            "regions (only these, such as eu). Added to the policies of the key and the "
            "organisation; if no channel meets all of them, the request is rejected with 403."
        ),
    ),
    Field(
        "x-weir-include-cost",
        "true, false",
        _(
            "Includes the charge in the response, next to usage; also in chat completion "
            "streams. An organisation can turn it on for all requests with include_cost."
        ),
    ),
    Field(
        "x-weir-store",
        "true, false",
        _(
            "false: the content log does not keep this request, unless a rule of the organisation "
            "forbids to leave requests out, and the cache stores no answer to it. Stored answers "
            "follow the member store of the body."
        ),
    ),
    Field(
        "cache-control",
        "no-cache, no-store, max-age=60",
        _(
            "Leaves the cache of answers out (RFC 9111): no-cache gets a new answer, which is "
            "stored; no-store gets a new one, which is not; max-age gets none that is older."
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
            "Chats that name no session, if the operator has turned this on: chats with the same "
            "instructions and the same first message of the user"
        ),
    ),
)
"""Where a request may name its session and its agent."""

ANSWERED: Final[tuple[Field, ...]] = (
    Field(
        "x-request-id",
        "string",
        _("The request's ID on the Requests page. Include it when you ask for help."),
    ),
    Field(
        "x-weir-hold",
        "USD",
        _("The amount reserved before the request was sent. The charge is never higher."),
    ),
    Field(
        "x-weir-cost",
        "USD",
        _(
            "The charge for the request. For a stream it is known at the end and shown on "
            "the request's page."
        ),
    ),
    Field(
        "x-weir-output-cap",
        "integer",
        _(
            "The output limit that applied instead of yours, because you sent none and the "
            "balance, a budget, x-weir-max-cost or a token limit covers no more, or because yours "
            "is above the model's limit."
        ),
    ),
    Field(
        "x-weir-fallback",
        "budget",
        _(
            "A budget was used up, so another model answered, which your operator chose for this "
            "case. The response names the model."
        ),
    ),
    Field(
        "x-weir-content-log",
        "kept, not-kept",
        _(
            "Whether the organisation keeps the texts of this request and its answer; on a "
            "WebSocket, of requests to some model. Absent if no rule of its content log applies, "
            "and from error answers."
        ),
    ),
    Field(
        "x-weir-end-user",
        "verified, missing, network, signature, expired, invalid",
        _(
            "Whether the end user that the request names is believed, or why not. Absent if the "
            "key names no end users."
        ),
    ),
    Field(
        "cache-status",
        "weir; hit; ttl=540",
        _(
            "Whether a stored answer was served (RFC 9211): hit, with the seconds for which it "
            "will be served yet; or fwd=miss, fwd=request (the request left the cache out) or "
            "fwd=bypass (answers to such requests are not stored). Absent if the key has no rule "
            "of the cache."
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
            "The time since which the model is deprecated (RFC 9745). The model's page names its "
            "replacement."
        ),
    ),
    Field(
        "sunset",
        "HTTP date",
        _("The time at which the model is retired (RFC 8594)."),
    ),
    Field(
        "x-weir-dropped-params",
        "list",
        _("Parameters that were dropped because the model does not support them."),
    ),
    Field(
        "x-weir-channel, x-weir-attempts",
        "string, integer",
        _("The channel that answered, and the number of attempts. Only for operators."),
    ),
    Field(
        "idempotent-replayed",
        "true",
        _("The response was stored for an earlier request with the same Idempotency-Key."),
    ),
    Field(
        "retry-after, retry-after-ms",
        "s, ms",
        _("How long to wait before retrying, for 429 and 503."),
    ),
    Field(
        "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests",
        "integer, integer, duration",
        _(
            "The key's limit of requests per minute. Headers with -tokens instead of -requests "
            "show its limit of tokens."
        ),
    ),
)
