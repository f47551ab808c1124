"""The pages of lists and counts, and of what is not offered."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import MODEL
from reference.operations.page import CONTENTS, MODEL_FIELD, Field, ReferencePage

MODELS: Final = ReferencePage(
    slug="list-models",
    title=_("List models"),
    summary=_(
        "The models the key may use, with limits and prices. Add a name to get a single "
        "model. Models that are not in the catalogue have no limits, modalities or "
        "supported_parameters."
    ),
    operations=("models", "model"),
    path="/v1/models",
    fields=(
        Field(
            "x-goog-api-key, key",
            "header, query",
            _("If sent instead of a bearer key, the list is in Gemini's format."),
        ),
        Field(
            "anthropic-version",
            "header",
            _("If sent, the list is in Anthropic's format, however the key is sent."),
        ),
        Field(
            "limit, after, after_id, before_id, pageSize, pageToken",
            "query",
            _(
                "Paging, with the parameters of each format. In OpenAI's format the whole list "
                "is returned without them."
            ),
        ),
    ),
    example=None,
    answer="""{
  "object": "list",
  "data": [
    {
      "id": "gpt-4o-mini", "object": "model", "created": 1766000000, "owned_by": "openai",
      "context_length": 128000, "max_output_tokens": 16000, "modalities": ["text", "image"],
      "pricing": {"in_text": "0.15", "out_text": "0.6"},
      "supported_parameters": ["max_tokens", "temperature", "tools"],
      "shutdown_date": "2027-01-14"
    }
  ]
}""",
)
COUNT: Final = ReferencePage(
    slug="count-tokens",
    title=_("Count tokens"),
    summary=_("Counts the input tokens of a request. No model is called and nothing is charged."),
    operations=("count_tokens",),
    path="/v1/messages/count_tokens",
    fields=(
        MODEL_FIELD,
        Field("messages", "object[]", _("As in Messages."), True),
        Field("system, tools, tool_choice, thinking", "string | object", _("As in Messages.")),
    ),
    example={"model": MODEL, "messages": [{"role": "user", "content": "Why do rivers meander?"}]},
    answer="""{"input_tokens": 14}""",
)
RESPONSES_COUNT: Final = ReferencePage(
    slug="responses-input-tokens",
    title=_("Count tokens (Responses)"),
    summary=_("Counts the input tokens of a request. No model is called and nothing is charged."),
    operations=("responses_input_tokens",),
    path="/v1/responses/input_tokens",
    fields=(
        MODEL_FIELD,
        Field("input", "string | object[]", _("As in Responses."), True),
        Field("instructions, tools, tool_choice", "string | object", _("As in Responses.")),
    ),
    example={"model": MODEL, "input": "Why do rivers meander?"},
    answer="""{"object": "response.input_tokens", "input_tokens": 14}""",
    notes=(_("A response, conversation or prompt that is stored elsewhere is rejected."),),
)
GEMINI_COUNT: Final = ReferencePage(
    slug="gemini-count-tokens",
    title=_("Count tokens (Gemini)"),
    summary=_("Counts the input tokens of a request. No model is called and nothing is charged."),
    operations=("gemini_count_tokens",),
    path=f"/v1beta/models/{MODEL}:countTokens",
    fields=(
        CONTENTS,
        Field("generateContentRequest", "object", _("A whole request instead of contents.")),
    ),
    example={"contents": [{"role": "user", "parts": [{"text": "Why do rivers meander?"}]}]},
    answer="""{"totalTokens": 14}""",
)
ESTIMATE: Final = ReferencePage(
    slug="estimate",
    title=_("Estimate cost"),
    summary=_(
        "What a request would reserve, and why. Send the same body or form as to its endpoint: it "
        "is checked and routed in the same way, but nothing is sent to a provider, reserved or "
        "charged."
    ),
    operations=("estimate",),
    path="/v1/estimate",
    fields=(
        Field(
            "endpoint",
            "query",
            _(
                "The path of the endpoint that the body is for, such as /v1/messages. Default: "
                "/v1/chat/completions. The key must be allowed to use it."
            ),
        ),
    ),
    example={
        "model": MODEL,
        "messages": [{"role": "user", "content": "Why do rivers meander?"}],
        "max_tokens": 300,
    },
    answer="""{
  "object": "estimate", "operation": "chat_completions", "model": "gpt-4o-mini", "currency": "USD",
  "reserved": "0.0001968", "expected": "0.0001821",
  "available": "24.9", "fits": true, "output_cap": null,
  "meters": [
    {"meter": "in_text", "quantity": 112, "rate": "0.15", "amount": "0.0000168"},
    {"meter": "out_text", "quantity": 300, "rate": "0.6", "amount": "0.00018"}
  ]
}""",
    notes=(
        _(
            "reserved is the most that the request can cost; more is never charged. Each meter has "
            "its most, at its highest rate."
        ),
        _(
            "expected counts the input, one use of each tool of the provider, and an answer of 400 "
            "tokens or up to the limit."
        ),
        _(
            "If fits is false, the request would be rejected with 402 now. output_cap is the limit "
            "that an answer without one would get because of the balance."
        ),
        _("Errors have the format of OpenAI, whichever the endpoint."),
    ),
)
FEEDBACK: Final = ReferencePage(
    slug="feedback",
    title=_("Send feedback"),
    summary=_(
        "Stores how good the answer to a request was. Any API key of the request's team can send "
        "it; a second one of the same key replaces the first. Free."
    ),
    operations=("feedback",),
    path="/v1/requests/01JZ8Q4Y3T6K9V2M5N7P0R1S4W/feedback",
    fields=(
        Field(
            "id",
            "string",
            _("The request ID, in the path: x-request-id of the answer."),
            True,
        ),
        Field("score", "integer", _("From 0, bad, to 100, good."), limits="0–100"),
        Field("label", "string", _("A word of yours, such as wrong or too long."), limits="≤ 100"),
        Field("comment", "string", _("Why, as text. It is stored as sent."), limits="≤ 4000"),
    ),
    example={"score": 100, "label": "helpful", "comment": "Short and right."},
    answer="""{
  "object": "request.feedback", "request_id": "01JZ8Q4Y3T6K9V2M5N7P0R1S4W",
  "score": 100, "label": "helpful", "comment": "Short and right.",
  "created_at": "2026-11-29T10:15:00Z"
}""",
    notes=(
        _("At least one of score, label and comment is required; other members are rejected."),
        _("Requests of other teams do not exist for the key: the answer is 404."),
    ),
    argument="01JZ8Q4Y3T6K9V2M5N7P0R1S4W",
)
BALANCE: Final = ReferencePage(
    slug="balance",
    title=_("Balance"),
    summary=_(
        "What the key has spent and can still spend, in the format of OpenAI's former "
        "dashboard API, for desktop clients that show it."
    ),
    operations=("billing_subscription", "billing_usage", "billing_credit_grants"),
    path="/v1/dashboard/billing/subscription",
    fields=(
        Field(
            "start_date, end_date",
            "query",
            _("First and last day of usage, in UTC. The last day is not included."),
            limits="YYYY-MM-DD",
        ),
    ),
    example=None,
    answer="""{
  "object": "billing_subscription", "has_payment_method": true,
  "soft_limit_usd": 50.0, "hard_limit_usd": 50.0, "system_hard_limit_usd": 50.0
}""",
)
PASS_THROUGH: Final = ReferencePage(
    slug="pass-through",
    title=_("Pass-through"),
    summary=_(
        "Passes a request on to a provider as it is, with the provider's key, and its answer back. "
        "Operators choose the channels, paths and methods, and their prices."
    ),
    operations=("passthrough",),
    path="/passthrough/acme/files",
    notes=(
        _("The path after the channel's name follows the channel's base URL at the provider."),
        _(
            "Any body and query is passed on, up to 1 GiB; request and answer are streamed. Of the "
            "headers only those about the content, ranges, conditions and the API's version are "
            "passed on, and those that operators add."
        ),
        _(
            "A path that could be read in two ways is rejected with 400: with two slashes in a "
            "row, dot segments, or an encoded slash, backslash, percent sign or semicolon."
        ),
        _(
            "Only answered requests are charged. Errors of the provider about the request are "
            "passed on; a redirect is passed on if it leads to an allowed path, without its query."
        ),
    ),
    answer="""{"object": "list", "data": []}""",
)
NOT_MADE: Final = ReferencePage(
    "not-offered",
    _("Files, batches, assistants and fine-tunes"),
    _(
        "These endpoints return 501 and are not charged, so that clients can tell "
        "unsupported endpoints from mistyped ones."
    ),
    (
        "files",
        "fine_tunes",
        "batches",
        "assistants",
        "threads",
        "vector_stores",
        "realtime_sessions",
        "live_calls",
    ),
    "/v1/files",
    answer='{"error": {"message": "This API is not implemented.", "type": "not_implemented_error", "param": null, "code": "not_implemented"}, "request_id": "01M7YYFGRCEHGS5PPRYN1BF7R2"}',  # noqa: E501
)
