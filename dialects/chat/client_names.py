"""The client's names of parameters, under which dropped parameters are reported. Each dialect's
`request/encode` decides what it drops and what it refuses."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dialects.chat.chat import (
    ChatRequest,
    Dialect,
    File,
    FunctionTool,
    Image,
    OwnPart,
    OwnTool,
    Text,
    ToolResult,
    WebSearch,
)
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value

# Seals are sent to every client, requested or not.
_ALWAYS_INCLUDED: Final = frozenset({"reasoning.encrypted_content"})
_MARKABLE: Final = frozenset({Text, Image, File, FunctionTool})
# These dialects cannot mark a failed tool result; its text is kept.
_NO_FAILED: Final[frozenset[Dialect]] = frozenset({"openai", "responses"})
# The limits of a web search that the forms have in common, by their reported names.
_SEARCH_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context_size": "search_context_size",
        "uses_max": "max_uses",
        "allowed_domains": "allowed_domains",
        "blocked_domains": "blocked_domains",
        "city": "user_location",
        "region": "user_location",
        "country": "user_location",
        "timezone": "user_location",
    }
)
# Fields that only Grok has.
_LIVE_SEARCH: Final = ("from_date", "to_date", "max_search_results")
# Search forms that are tools. The other forms request a search for this answer.
_SEARCH_TOOLS: Final = frozenset({"anthropic", "responses", "gemini", "interactions"})
# Hosted tools that an agent can do without, by the prefixes of their types. A tool search is not
# needed because all tools are offered from the start.
_OPTIONAL: Final[Mapping[Dialect, tuple[str, ...]]] = MappingProxyType(
    {"responses": ("image_generation", "tool_search"), "anthropic": ("tool_search_tool_",)}
)
# Fields that every dialect except gemini names as we do are not listed.
_GENERATION: Final = "generationConfig."
_CONFIG: Final = "generation_config."
_INFERENCE: Final = "inferenceConfig."
_ADDITIONAL: Final = "additionalModelRequestFields."
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
        "interactions": {
            "tool_choice": _CONFIG + "tool_choice",
            "temperature": _CONFIG + "temperature",
            "top_p": _CONFIG + "top_p",
            "seed": _CONFIG + "seed",
            "stop": _CONFIG + "stop_sequences",
            "output_cap": _CONFIG + "max_output_tokens",
            "output_form": "response_format",
            "modalities": "response_format",
            "audio": _CONFIG + "speech_config",
            "reasoning": _CONFIG + "thinking_level",
        },
        "converse": {
            "tool_choice": "toolConfig.toolChoice",
            "temperature": _INFERENCE + "temperature",
            "top_p": _INFERENCE + "topP",
            "top_k": _ADDITIONAL + "top_k",
            "stop": _INFERENCE + "stopSequences",
            "output_cap": _INFERENCE + "maxTokens",
            "output_form": "outputConfig.textFormat",
            "reasoning": _ADDITIONAL + "thinking",
            "service_tier": "serviceTier",
        },
    }
)


def client_name(request: ChatRequest, field: str) -> str:
    """Return the client's own name of a field of ChatRequest."""
    return _NAMES[request.dialect].get(field, field)


def is_set(request: ChatRequest, field: str) -> bool:
    """Return whether the client set a field; False, 0 and "none" count as set."""
    value = getattr(request, field)
    return value is not None and value != () and value != {}


def dropped_names(
    request: ChatRequest, dialect: Dialect, *fields: str, marks: bool = False
) -> tuple[str, ...]:
    """Return the client's names of those `fields` that the client set, and of members that exist
    only in the client's dialect. `dialect` is the target: members of `extra` survive only in their
    own dialect. `marks`: the model understands cache marks."""
    names = [client_name(request, field) for field in fields if _changes_nothing(request, field)]
    names += _lost_of_history(request, dialect, marks=marks)
    if any(type(tool) is FunctionTool and tool.grammar for tool in request.tools):
        names.append("tools.format")
    if dialect != request.dialect:
        names += request.extra
    return tuple(dict.fromkeys(names))


def _changes_nothing(request: ChatRequest, field: str) -> bool:
    """Return whether a field only states the default."""
    if field == "include" and set(request.include) <= _ALWAYS_INCLUDED:
        return False
    return is_set(request, field)


def lost_of_search(search: WebSearch, *supported: str) -> tuple[str, ...]:
    """Return the limits of a web search that the upstream cannot express, because it supports only
    `supported`."""
    names = [
        f"tools.{member}"
        for limit, member in _SEARCH_LIMITS.items()
        if limit not in supported and getattr(search, limit)
    ]
    if search.form == "search_parameters":
        own = search.own
        names += [f"search_parameters.{name}" for name in _LIVE_SEARCH if own.get(name) is not None]
        sources = own.get("sources") or ()
        if any(source.get("type") != "web" for source in sources):
            names.append("search_parameters.sources")
    return tuple(dict.fromkeys(names))


def omit_tool(
    request: ChatRequest,
    tool: OwnTool | WebSearch,
    why: str = "this model does not support web search",
) -> str:
    """Return the name of a hosted tool that is left out for this model, for `Encoded.dropped`;
    `why` explains why a search is not possible.

    Agents declare such tools with every request beside their own functions, and work without them.
    Raises RequestFault unsupported_capability if the client could believe that the answer had used
    the tool: if it is the only tool, if the client forces it, and for tools that look up or run
    what the model cannot know otherwise (file search, code, MCP, computer use).
    """
    name = "web_search" if isinstance(tool, WebSearch) else _own_name(tool)
    if _is_optional(tool, name) and any(type(other) is FunctionTool for other in request.tools):
        return f"tools.{name}"
    if isinstance(tool, WebSearch):
        what = why
    else:
        what = (
            f"tools: {quote_value(name)} is a tool of the {tool.dialect} dialect alone, and "
            "this model is reached in another one; declare a function in its place, or leave it out"
        )
    raise RequestFault("unsupported_capability", "tools", what)


def _is_optional(tool: OwnTool | WebSearch, name: str) -> bool:
    if isinstance(tool, WebSearch):
        return tool.form in _SEARCH_TOOLS
    return name.startswith(_OPTIONAL.get(tool.dialect, ()))


def _lost_of_history(request: ChatRequest, dialect: Dialect, *, marks: bool) -> list[str]:
    """Return what messages and tools lose: cache marks, failure marks, and parts that exist in one
    dialect only."""
    parts = [part for message in request.messages for part in message.parts]
    # Compare `type`, because this loop reads long histories, and isinstance is slow with these
    # classes.
    results = [part for part in parts if type(part) is ToolResult]
    inner = [item for result in results for item in result.parts]
    names = [_own_name(p) for p in parts if type(p) is OwnPart and p.dialect != dialect]
    markable = (
        *results,
        *(item for item in (*parts, *inner, *request.tools) if type(item) in _MARKABLE),
    )
    marked = any(getattr(item, "cache") is not None for item in markable)  # noqa: B009 - all have it
    failed = any(result.failed for result in results)
    if marked and not marks:
        names.append("cache_control")
    if failed and dialect in _NO_FAILED:
        names.append("is_error" if request.dialect == "anthropic" else "functionResponse.error")
    return names


def _own_name(own: OwnPart | OwnTool) -> str:
    """Return the name of a part that exists in one dialect only: its type, or in gemini its main
    member."""
    kind = own.value.get("type")
    members = (name for name in own.value if name not in ("thought", "thoughtSignature"))
    return kind if isinstance(kind, str) else next(members, "")
