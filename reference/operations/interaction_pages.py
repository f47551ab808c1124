"""The pages of Google's Interactions API."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import MODEL
from reference.operations.page import (
    FALLBACKS,
    MAX_COST,
    MODEL_FIELD,
    STREAM,
    TEMPERATURE,
    TOP_P,
    Field,
    ReferencePage,
)

INTERACTIONS: Final = ReferencePage(
    slug="interactions",
    title=_("Interactions"),
    summary=_("Google's newer format: steps in, steps out. Works with every chat model."),
    operations=("interactions",),
    path="/v1beta/interactions",
    fields=(
        MODEL_FIELD,
        Field(
            "input",
            "string | object | object[]",
            _(
                "A string, contents (text, image, audio, document, video), or steps: user_input, "
                "model_output, thought, function_call, function_result."
            ),
            True,
        ),
        Field("system_instruction", "string", _("The system prompt, for this request only.")),
        STREAM,
        Field(
            "generation_config.max_output_tokens",
            "integer",
            _("The maximum number of tokens to generate, including reasoning."),
            limits="≥ 1",
        ),
        Field("generation_config.temperature", "number", TEMPERATURE.meaning, limits="0–2"),
        Field("generation_config.top_p", "number", TOP_P.meaning, limits="0–1"),
        Field(
            "generation_config.stop_sequences",
            "string[]",
            _("Sequences that end the answer."),
            limits="≤ 5",
        ),
        Field(
            "generation_config.thinking_level, thinking_summaries",
            "string",
            _("minimal, low, medium, high or xhigh; auto or none."),
        ),
        Field(
            "generation_config.tool_choice",
            "string | object",
            _("auto, any, none or validated, or allowed_tools with mode and tools."),
        ),
        Field(
            "generation_config.seed, speech_config, image_config",
            "integer, object",
            _("As in Gemini's format."),
        ),
        Field(
            "tools",
            "object[]",
            _("Functions: type, name, description, parameters; google_search; others of Google."),
        ),
        Field(
            "response_format",
            "object | object[]",
            _("type text with mime_type application/json and a schema; image or audio."),
        ),
        Field("previous_interaction_id", "string", _("The stored interaction to continue from.")),
        Field(
            "store",
            "boolean",
            _("Whether it is stored. A stored interaction can be continued for 24 hours."),
        ),
        Field("service_tier", "string", _("standard, flex or priority.")),
        Field(
            "labels, safety_settings",
            "object, object[]",
            _("Passed on to Gemini, dropped for others."),
        ),
        Field(
            "background",
            "boolean",
            _(
                "Runs the interaction in the background: the answer is the interaction, "
                "in_progress, which GET shows until it has ended. Works with every model; needs a "
                "stored interaction."
            ),
        ),
        Field(
            "agent, agent_config, environment, webhook_config, continuation_token",
            "string, object",
            _("Not offered: a request with one gets 400."),
        ),
        MAX_COST,
        FALLBACKS,
    ),
    example={
        "model": MODEL,
        "input": "Why do rivers meander?",
        "generation_config": {"max_output_tokens": 100},
    },
    answer="""{
  "id": "v1_1", "object": "interaction", "status": "completed",
  "model": "gpt-4o-mini", "created": "2026-11-26T12:00:00Z",
  "steps": [
    {"type": "model_output", "content": [{"type": "text", "text": "Because …"}]}
  ],
  "usage": {"total_input_tokens": 24, "total_output_tokens": 31, "total_tokens": 55}
}""",
    notes=(
        _(
            "When streaming, step.start, step.delta and step.stop carry the steps. Then come "
            "interaction.completed, without them, and data: [DONE]; or else error."
        ),
        _("status is completed, requires_action when functions are called, or incomplete."),
        _(
            "With background: true the request is admitted, limited and charged like any other, "
            "and goes on when its client leaves. With stream: true too, each event has an "
            "event_id, after which the stream can be resumed."
        ),
    ),
)
STORED_INTERACTIONS: Final = ReferencePage(
    slug="stored-interactions",
    title=_("Stored interactions"),
    summary=_(
        "Retrieves a stored interaction, cancels it while it runs in the background, or deletes "
        "it. Only the API key that created it can use it. Interactions are deleted after 24 hours."
    ),
    operations=("interaction", "interaction_cancel"),
    path="/v1beta/interactions/v1_1",
    fields=(
        Field("id", "string", _("The ID of the interaction, in the path."), True),
        Field(
            "include_input",
            "boolean",
            _("true: with all steps before it, as input; in the query."),
        ),
        Field(
            "stream, last_event_id",
            "boolean, string",
            _(
                "GET with stream=true returns the events of an interaction that runs or ran in the "
                "background, from the one after this event_id; in the query."
            ),
        ),
    ),
    example=None,
    answer="""{"id": "v1_1", "object": "interaction", "status": "completed", "steps": [ … ]}""",
    notes=(
        _(
            "An interaction that runs in the background is in_progress, then completed, "
            "requires_action, incomplete, failed or cancelled."
        ),
        _(
            "Cancelling ends an interaction that runs in the background, and returns it; what was "
            "used until then is charged, as when a client leaves. One that has ended is returned "
            "as it is. The stream of a cancelled interaction ends without a last event. Other "
            "interactions get 400."
        ),
    ),
    argument="v1_1",
)
