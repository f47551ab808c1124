"""Frequent questions with answers."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FAQ: Final[tuple[tuple[Promise, Promise], ...]] = (
    (
        _("Do I need to change my code?"),
        _(
            "Only the base URL and the key. The OpenAI, Anthropic and Google clients work "
            "unchanged, and each API format reaches every chat model."
        ),
    ),
    (
        _("Which base URL do I use?"),
        _(
            "With /v1 at the end for OpenAI clients, without it for Anthropic and Google "
            "clients. A doubled /v1 is accepted too."
        ),
    ),
    (
        _("What does a request cost?"),
        _(
            "The tokens counted by the provider, at the price in effect when the request "
            "started. The Requests page shows every line and can recompute it."
        ),
    ),
    (
        _("Why is more reserved than charged?"),
        _(
            "Before a request is sent, its maximum cost is reserved so that a balance never goes "
            "below zero. Unused amounts are released when the answer ends. A lower output limit "
            "reserves less."
        ),
    ),
    (
        _("Am I charged for failed requests?"),
        _(
            "Not if there was no answer. If an answer is cut off, you are charged for what "
            "arrived. The request's page shows the rule that applied."
        ),
    ),
    (
        _("Are failed requests retried?"),
        _(
            "Yes, on other channels, until the first content arrives. After that, retrying "
            "is up to you; use an Idempotency-Key if it must not be charged twice."
        ),
    ),
    (
        _("What happens to parameters a model does not support?"),
        _(
            "They are dropped and listed in x-weir-dropped-params. A request whose meaning "
            "would change is rejected instead."
        ),
    ),
    (
        _("How do I see a model's reasoning?"),
        _(
            "Request it with reasoning_effort, thinking or reasoning, depending on the API "
            "format. What the provider shows is returned as reasoning_content, thinking "
            "blocks or reasoning items."
        ),
    ),
    (
        _("Are prompts and answers stored?"),
        _(
            "Not by default. Stored responses and answers to requests with an "
            "Idempotency-Key are kept encrypted for up to 24 hours, and not at all with "
            "store: false."
        ),
    ),
    (
        _("How large can a request be?"),
        _("72 MiB of JSON, and files of up to 50 MB by URL. A stream can run for half an hour."),
    ),
)
