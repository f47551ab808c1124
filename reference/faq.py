"""Questions that come up, each with its answer."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FAQ: Final[tuple[tuple[Promise, Promise], ...]] = (
    (
        _("Must I change my code?"),
        _(
            "Only the base URL and the key. The clients of OpenAI, Anthropic and Google work "
            "unchanged, and each of their forms reaches every chat model."
        ),
    ),
    (
        _("Which base URL is right?"),
        _(
            "With /v1 at the end for OpenAI's clients, without it for Anthropic's and Google's. "
            "/v1 typed twice is understood."
        ),
    ),
    (
        _("What does a request cost?"),
        _(
            "The tokens that the provider counted, by the price that was in force when the "
            "request came in. The Requests page shows every line and recomputes it."
        ),
    ),
    (
        _("Why is more held than charged?"),
        _(
            "Before a request is sent, the most that it can cost is held, so that a balance "
            "never goes below zero. What is not used is free again when the answer ends. A cap "
            "on output tokens makes the hold smaller."
        ),
    ),
    (
        _("Am I charged for failed requests?"),
        _(
            "Not when no answer came. When an answer breaks off, what arrived is charged, and "
            "the request's page says by which rule."
        ),
    ),
    (
        _("Are failures tried again for me?"),
        _(
            "Yes, on other channels, as long as nothing of an answer has arrived. After that a "
            "second try is yours, with an Idempotency-Key if it must not be charged twice."
        ),
    ),
    (
        _("What happens to parameters that a model does not have?"),
        _(
            "They are left out and named in x-weir-dropped-params. What would change the meaning "
            "of the request is refused instead."
        ),
    ),
    (
        _("How do I see what a model thinks?"),
        _(
            "Ask with reasoning_effort, thinking or reasoning, each in its form. What the "
            "provider shows comes as reasoning_content, thinking blocks or reasoning items."
        ),
    ),
    (
        _("Are prompts and answers kept?"),
        _(
            "Not by the relay. Stored responses and answers under an Idempotency-Key are kept "
            "encrypted for at most 24 hours, and not at all with store: false."
        ),
    ),
    (
        _("How large may a request be?"),
        _("72 MiB as JSON; files by URL up to 50 MB. A stream may run half an hour."),
    ),
)
