"""What a page of an operation holds, and what several pages say alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from reference.fields import Field


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """One page. `operations` as endpoints.py names them, the first for its example; `example` is
    the body of a request that works, and `path` where it goes."""

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


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that stand together in the list."""

    title: Promise
    pages: tuple[ReferencePage, ...]


MODEL_FIELD: Final = Field(
    "model", "string", _("Which model answers; GET /v1/models lists them."), True
)
MAX_COST: Final = Field(
    "max_cost",
    "string | number",
    _(
        "The most in USD that this request may cost, else it is refused with 402: a plain decimal "
        "with at most 9 digits after the point. Ours; it is not sent on."
    ),
)
STREAM: Final = Field("stream", "boolean", _("Answer as server-sent events while it is written."))
TEMPERATURE: Final = Field(
    "temperature", "number", _("Randomness; low is focused, high is varied."), limits="0–2"
)
TOP_P: Final = Field(
    "top_p", "number", _("Only the likeliest tokens up to this share are drawn from."), limits="0–1"
)
PRESENCE: Final = Field(
    "presence_penalty", "number", _("Makes any word that was used less likely."), limits="-2–2"
)
FREQUENCY: Final = Field(
    "frequency_penalty",
    "number",
    _("Makes words less likely by how often they were used."),
    limits="-2–2",
)
SEED: Final = Field(
    "seed", "integer", _("The same seed gives the same answer as far as the model can.")
)
USER: Final = Field(
    "user",
    "string",
    _(
        "An id of your own end user, passed on to the provider and not kept here. Group requests "
        "by x-weir-labels."
    ),
)
STOP: Final = Field("stop", "string | string[]", _("Texts at which the answer ends."), limits="≤ 4")
LOGIT_BIAS: Final = Field(
    "logit_bias", "object", _("Likelihood of single tokens, by their id."), limits="-100–100"
)
STREAM_OPTIONS: Final = Field(
    "stream_options", "object", _("include_usage: a last chunk with the usage.")
)
N: Final = Field("n", "integer", _("How many answers are wanted. Each is charged."), limits="1–128")
PASSED: Final = _("Sent on to providers that know it, left out for others.")
CONTENTS: Final = Field(
    "contents",
    "object[]",
    _(
        "The conversation: role user or model, parts with text, inlineData, fileData, "
        "functionCall, functionResponse."
    ),
    True,
)
