"""The data of an operation's page, and texts that several pages share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Field:
    """`type` is code, which is not translated, or a few words. `limits` is code, `meaning` text."""

    name: str
    type: str | Promise
    meaning: str | Promise
    required: bool = False
    limits: str = ""


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """One page. `operations` are named as in `relay/endpoints/table.py`; the first is that of the
    example. `example` is the body of a valid request, with the model's name in `model_field`,
    `files` are those of its form by field, and `path` is where it is sent. `members` are those of
    the answer, where `reference/answers/schemas.py` has none."""

    slug: str
    title: Promise
    summary: Promise
    operations: tuple[str, ...]
    path: str
    fields: tuple[Field, ...] = ()
    example: Mapping[str, Any] | None = None
    answer: str = ""
    notes: tuple[Promise, ...] = ()
    argument: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    model_field: str = "model"
    members: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that are listed together."""

    title: Promise
    pages: tuple[ReferencePage, ...]


MODEL_FIELD: Final = Field("model", "string", _("The model to use. See GET /v1/models."), True)
MAX_COST: Final = Field(
    "max_cost",
    "string | number",
    _(
        "The most this request may cost, in USD, as a plain decimal with up to 9 decimal "
        "places. If it could cost more, an answer without an output limit is shortened, and any "
        "other request is rejected with 402. Specific to Weir; not sent to the provider."
    ),
)
FALLBACKS: Final = Field(
    "models",
    "array",
    _(
        "Models to use instead, in order, if the model fails before it answers: an error, a "
        "context that is too long, or content that the provider blocks. The answer names the model "
        "used, and its price is charged. At most 8. Specific to Weir; not sent to the provider."
    ),
)
STREAM: Final = Field("stream", "boolean", _("Stream the answer as server-sent events."))
TEMPERATURE: Final = Field(
    "temperature",
    "number",
    _("Randomness. Lower is more focused, higher is more varied."),
    limits="0–2",
)
TOP_P: Final = Field(
    "top_p",
    "number",
    _("Only considers the most likely tokens up to this total probability."),
    limits="0–1",
)
PRESENCE: Final = Field(
    "presence_penalty",
    "number",
    _("Reduces repetition of words that were already used."),
    limits="-2–2",
)
FREQUENCY: Final = Field(
    "frequency_penalty",
    "number",
    _("Reduces repetition of words in proportion to how often they were used."),
    limits="-2–2",
)
SEED: Final = Field(
    "seed", "integer", _("The same seed gives the same answer, as far as the model supports it.")
)
USER: Final = Field(
    "user",
    "string",
    _(
        "An ID of your end user. It is passed on to the provider, and the first 256 characters are "
        "kept with the request. To group requests, use x-weir-labels."
    ),
)
STOP: Final = Field("stop", "string | string[]", _("Sequences that end the answer."), limits="≤ 4")
LOGIT_BIAS: Final = Field(
    "logit_bias", "object", _("Bias for individual tokens, by token ID."), limits="-100–100"
)
STREAM_OPTIONS: Final = Field(
    "stream_options", "object", _("include_usage: adds a final chunk with usage.")
)
N: Final = Field(
    "n", "integer", _("How many answers to generate. Each is charged."), limits="1–128"
)
PASSED: Final = _("Passed on to providers that support it, dropped for others.")
CONTENTS: Final = Field(
    "contents",
    "object[]",
    _(
        "The conversation: role user or model, parts with text, inlineData, fileData, "
        "functionCall, functionResponse."
    ),
    True,
)
