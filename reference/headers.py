"""Headers that a request may send and an answer has, beside those of HTTP."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.fields import Field

SENT: Final[tuple[Field, ...]] = (
    Field(
        "Authorization",
        "Bearer sk-weir-…",
        _(
            "The API key. One of the three is enough; two different keys in one request are "
            "refused."
        ),
    ),
    Field("x-api-key", "sk-weir-…", _("The same, as Anthropic's clients send it.")),
    Field(
        "x-goog-api-key",
        "sk-weir-…",
        _("The same, as Google's clients send it; they may also send ?key=."),
    ),
    Field(
        "Idempotency-Key",
        "string",
        _("The same key and body within 24 hours give the same answer, charged once."),
        limits="≤ 128",
    ),
    Field(
        "x-weir-max-cost",
        "USD",
        _(
            "The most that this request may cost, else it is refused with 402 before anything is "
            "sent."
        ),
    ),
    Field(
        "x-weir-labels",
        "JSON",
        _("Labels of the request, for grouping and budgets: project, tags, customer."),
    ),
    Field(
        "x-weir-include-cost",
        "true, false",
        _(
            "Ask for the charge inside the answer, beside the usage; of a stream of chat "
            "completions too. An organisation may have it always: include_cost."
        ),
    ),
)
ANSWERED: Final[tuple[Field, ...]] = (
    Field(
        "x-request-id",
        "string",
        _("The id of the request on the Requests page. Name it when you ask for help."),
    ),
    Field(
        "x-weir-hold",
        "USD",
        _("What was held before the request was sent. It can never cost more."),
    ),
    Field(
        "x-weir-cost",
        "USD",
        _(
            "What the request was charged. A stream's charge is known at its end, on the "
            "request's page."
        ),
    ),
    Field(
        "x-weir-output-cap",
        "integer",
        _(
            "The cap on output tokens that was put in, because you sent none and the balance "
            "holds no more, or because yours is above the limit of the model that answered."
        ),
    ),
    Field(
        "x-weir-dropped-params",
        "list",
        _("Parameters that the answering model has no counterpart for, and that were left out."),
    ),
    Field(
        "x-weir-channel, x-weir-attempts",
        "string, integer",
        _("Which channel answered, and after how many attempts; only for operators."),
    ),
    Field(
        "idempotent-replayed",
        "true",
        _("The answer is the stored one of an earlier request with the same Idempotency-Key."),
    ),
    Field(
        "retry-after, retry-after-ms",
        "s, ms",
        _("How long to wait before the next try, on 429 and 503."),
    ),
    Field(
        "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests",
        "integer, integer, duration",
        _("The key's limit of requests in a minute. The same with -tokens in place of -requests."),
    ),
)
