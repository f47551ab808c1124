"""What a client called a parameter, so that a dropped one is named in its own words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.codecs.chat import ChatRequest, Dialect

# Fields that all but gemini call as we do are not listed.
_GENERATION: Final = "generationConfig."
_NAMES: Final[Mapping[Dialect, Mapping[str, str]]] = MappingProxyType(
    {
        "openai": {
            "output_form": "response_format",
            "output_cap": "max_completion_tokens",
            "choices": "n",
            "reasoning": "reasoning_effort",
        },
        "responses": {
            "output_form": "text.format",
            "verbosity": "text.verbosity",
            "output_cap": "max_output_tokens",
            "tool_calls_max": "max_tool_calls",
        },
        "anthropic": {
            "stop": "stop_sequences",
            "output_form": "output_config.format",
            "output_cap": "max_tokens",
            "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
            "reasoning": "thinking",
            "user": "metadata.user_id",
        },
        "gemini": {
            "tool_choice": "toolConfig",
            "temperature": _GENERATION + "temperature",
            "top_p": _GENERATION + "topP",
            "top_k": _GENERATION + "topK",
            "seed": _GENERATION + "seed",
            "presence_penalty": _GENERATION + "presencePenalty",
            "frequency_penalty": _GENERATION + "frequencyPenalty",
            "stop": _GENERATION + "stopSequences",
            "choices": _GENERATION + "candidateCount",
            "output_cap": _GENERATION + "maxOutputTokens",
            "output_form": _GENERATION + "responseJsonSchema",
            "logprobs": _GENERATION + "responseLogprobs",
            "top_logprobs": _GENERATION + "logprobs",
            "modalities": _GENERATION + "responseModalities",
            "audio": _GENERATION + "speechConfig",
            "reasoning": _GENERATION + "thinkingConfig",
        },
    }
)


def client_name(request: ChatRequest, field: str) -> str:
    """The client's own name of a field of ChatRequest."""
    return _NAMES[request.dialect].get(field, field)


def given(request: ChatRequest, field: str) -> bool:
    """Whether the client said anything for a field; False, 0 and "none" are something."""
    value = getattr(request, field)
    return value is not None and value != () and value != {}


def dropped_names(request: ChatRequest, dialect: Dialect, *fields: str) -> tuple[str, ...]:
    """The names of those `fields` that the client gave, and of what only its own dialect has.

    `dialect` is the one that is encoded to: members of `extra` survive only in their own.
    """
    names = [client_name(request, field) for field in fields if given(request, field)]
    if dialect != request.dialect:
        names += request.extra
    return tuple(dict.fromkeys(names))
