"""What a model can do, as the catalogue says it."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from dialects.chat.chat import Dialect, Effort, Flag, SearchForm

Modality = Literal["text", "image", "audio", "file", "video"]
# never: it does not reason; always: reasoning cannot be disabled; else the parameter that controls
# it.
Thinking = Literal["never", "always", "effort", "level", "budget", "adaptive", "switch"]
Endpoint = str
"""What a model is asked for: chat, embeddings, moderations, rerank, images, speech, transcriptions,
videos, realtime or live, or the name of a task service."""
Trait = Literal[
    "prefer_responses",  # use the responses dialect if the provider supports it
    "prefer_responses_to_think_with_tools",
    "files_by_responses",
    "search_by_responses",
    "stream_only",  # upstreams always stream; folded for clients that want no stream
    "stream_only_to_think",
    "verbosity",  # supports the verbosity parameter
    "usage_reasoning_outside",  # completion_tokens excludes reasoning: rewritten for clients
    "think_tags",  # reasoning is in the text, in <think> tags: moved to its own place
]

# Flags of the model owner's API, not of the model. No other server needs them.
OWNER_FLAGS: Final[frozenset[Flag]] = frozenset(
    {
        "no_developer_role",
        "thinking_switch",
        "thinking_default_off",
        "enable_thinking_switch",
        "params_object",
        "json_object_only",
        "tool_choice_auto_only",
        "no_penalties_no_stop",
        "reasoning_content_rule",
        "cap_without_thinking",
    }
)

_ANY: Final[frozenset[Modality]] = frozenset({"text", "image", "audio", "file", "video"})
_TEXT: Final[frozenset[Modality]] = frozenset({"text"})


class Product(NamedTuple):
    """What a model produces. `verb` says what such a model does, `noun` what a price must cover;
    `path` is its endpoint. A price covers it with the `meters` of one of these ways to bill it."""

    verb: str
    noun: str
    path: str
    meters: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A model's abilities at a provider, and what is needed to call it. The defaults are those of
    an unknown model.

    Limits are in tokens, None for unknown. `json` is the strictest output format that the model
    guarantees. `caching` is automatic, or by markers in the request. `dialects` are preferred
    dialects, best first, before the provider's order. `output_limit` is the largest cap that the
    provider accepts, by its own table, where that is certain; `output_max` is rounded and may only
    be typical. `chat_only`: it has no completions, although other models of its provider do.
    `endpoint` is its endpoint if it is not a chat model.
    """

    owner: str = ""
    inputs: frozenset[Modality] = _ANY
    outputs: frozenset[Modality] = _TEXT
    tools: bool = True
    parallel_tools: bool = True
    json: Literal["schema", "object", "none"] = "schema"
    thinking: Thinking | None = None
    efforts: tuple[Effort, ...] = ()
    budget_min: int = 0
    budget_max: int | None = None
    search: SearchForm | None = None
    caching: Literal["automatic", "marked"] | None = None
    context_max: int | None = None
    output_max: int | None = None
    output_limit: int | None = None
    dialects: tuple[Dialect, ...] = ()
    flags: frozenset[Flag] = frozenset()
    traits: frozenset[Trait] = frozenset()
    chat_only: bool = False
    endpoint: Endpoint = "chat"

    @property
    def may_think(self) -> bool:
        """Whether the model is known to reason, always or on request."""
        return self.thinking not in (None, "never")

    @property
    def temperature_max(self) -> int:
        """The maximum temperature."""
        return 1 if "temperature_max_1" in self.flags else 2


UNKNOWN: Final = Capabilities()
"""A model without a row."""
IMAGE_MODEL: Final = Capabilities(
    inputs=frozenset({"text", "image"}),
    outputs=frozenset({"image"}),
    tools=False,
    parallel_tools=False,
    json="none",
    thinking="never",
    endpoint="images",
)
"""A model that makes pictures of texts and pictures, and nothing else."""
