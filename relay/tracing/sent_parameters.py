"""The parameters of a request as its provider receives them, under the names of the gen_ai
conventions, for spans. Texts of the client, such as stop sequences, are left out."""

from collections.abc import Mapping
from typing import Final

import msgspec

from dialects.chat.chat import Dialect
from dialects.json.not_json import NOT_JSON

Parameters = Mapping[str, str | int | float | list[str]]

NOTHING: Final[Parameters] = {}


class _Typed(msgspec.Struct):
    type: str = ""


class _Text(msgspec.Struct):
    format: _Typed | None = None


class _Effort(msgspec.Struct):
    effort: str | None = None


class _Named(msgspec.Struct):
    id: str = ""


class _Thinking(msgspec.Struct, rename="camel"):
    thinking_level: str | None = None


class _GenerationConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    candidate_count: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_mime_type: str | None = None
    thinking_config: _Thinking | None = None


class _InteractionConfig(msgspec.Struct):
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    seed: int | None = None
    thinking_level: str | None = None


class _InferenceConfig(msgspec.Struct, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class _Sent(msgspec.Struct):
    """The fields of these parameters in every dialect. The rest of a body is skipped."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: _Typed | None = None
    text: _Text | None = None
    reasoning_effort: str | None = None
    reasoning: _Effort | None = None
    output_config: _Effort | None = None
    conversation: str | _Named | None = None
    generation_config: _GenerationConfig | None = msgspec.field(
        default=None, name="generationConfig"
    )
    interaction_config: _InteractionConfig | None = msgspec.field(
        default=None, name="generation_config"
    )
    inference_config: _InferenceConfig | None = msgspec.field(default=None, name="inferenceConfig")


class _SentEmbeddings(msgspec.Struct):
    encoding_format: str | None = None
    dimensions: int | None = None


_BODY: Final = msgspec.json.Decoder(_Sent)
_EMBEDDINGS: Final = msgspec.json.Decoder(_SentEmbeddings)
_OUTPUT_TYPES: Final = {
    "text": "text",
    "json_object": "json",
    "json_schema": "json",
    "text/plain": "text",
    "application/json": "json",
}


def chat_parameters(body: bytes, dialect: Dialect) -> Parameters:
    """Return the parameters of a chat in a provider's dialect; none for an unreadable body."""
    try:
        sent = _BODY.decode(body)
    except NOT_JSON:
        return NOTHING
    read = _READ.get(dialect, _parameters_of_others)
    parameters = read(sent)
    return {name: value for name, value in parameters.items() if value is not None}


def embedding_parameters(body: bytes) -> Parameters:
    """Return the parameters of an embeddings request in OpenAI's form."""
    try:
        sent = _EMBEDDINGS.decode(body)
    except NOT_JSON:
        return NOTHING
    parameters: dict[str, str | int | float | list[str]] = {}
    if sent.encoding_format is not None:
        parameters["gen_ai.request.encoding_formats"] = [sent.encoding_format]
    if sent.dimensions is not None:
        parameters["gen_ai.embeddings.dimension.count"] = sent.dimensions
    return parameters


def _parameters_of_others(sent: _Sent) -> dict[str, str | int | float | None]:
    caps = (sent.max_completion_tokens, sent.max_output_tokens, sent.max_tokens)
    form = sent.response_format or (sent.text and sent.text.format)
    effort = sent.reasoning or sent.output_config
    conversation = sent.conversation
    return {
        "gen_ai.request.max_tokens": next((cap for cap in caps if cap is not None), None),
        "gen_ai.request.choice.count": None if sent.n == 1 else sent.n,
        "gen_ai.request.temperature": sent.temperature,
        "gen_ai.request.top_p": sent.top_p,
        "gen_ai.request.top_k": sent.top_k,
        "gen_ai.request.seed": sent.seed,
        "gen_ai.request.frequency_penalty": sent.frequency_penalty,
        "gen_ai.request.presence_penalty": sent.presence_penalty,
        "gen_ai.request.reasoning.level": sent.reasoning_effort
        or (effort.effort if effort else None),
        "gen_ai.output.type": _OUTPUT_TYPES.get(form.type) if form else None,
        "gen_ai.conversation.id": conversation.id
        if isinstance(conversation, _Named)
        else conversation,
    }


def _parameters_of_gemini(sent: _Sent) -> dict[str, str | int | float | None]:
    config = sent.generation_config or _GenerationConfig()
    thinking, form = config.thinking_config, config.response_mime_type
    return {
        "gen_ai.request.max_tokens": config.max_output_tokens,
        "gen_ai.request.choice.count": None
        if config.candidate_count == 1
        else config.candidate_count,
        "gen_ai.request.temperature": config.temperature,
        "gen_ai.request.top_p": config.top_p,
        "gen_ai.request.top_k": config.top_k,
        "gen_ai.request.seed": config.seed,
        "gen_ai.request.frequency_penalty": config.frequency_penalty,
        "gen_ai.request.presence_penalty": config.presence_penalty,
        "gen_ai.request.reasoning.level": thinking.thinking_level if thinking else None,
        "gen_ai.output.type": _OUTPUT_TYPES.get(form) if form else None,
    }


def _parameters_of_interactions(sent: _Sent) -> dict[str, str | int | float | None]:
    config = sent.interaction_config or _InteractionConfig()
    return {
        "gen_ai.request.max_tokens": config.max_output_tokens,
        "gen_ai.request.temperature": config.temperature,
        "gen_ai.request.top_p": config.top_p,
        "gen_ai.request.seed": config.seed,
        "gen_ai.request.reasoning.level": config.thinking_level,
    }


def _parameters_of_converse(sent: _Sent) -> dict[str, str | int | float | None]:
    config = sent.inference_config or _InferenceConfig()
    return {
        "gen_ai.request.max_tokens": config.max_tokens,
        "gen_ai.request.temperature": config.temperature,
        "gen_ai.request.top_p": config.top_p,
    }


_READ: Final = {
    "gemini": _parameters_of_gemini,
    "interactions": _parameters_of_interactions,
    "converse": _parameters_of_converse,
}
