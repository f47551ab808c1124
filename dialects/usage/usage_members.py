"""The effect of each usage member on the price, as one table.

    meter      it is counted, on the named meters
    condition  it determines the terms of the rest (dialects/usage/price_conditions.py)
    part       it has the counts of a separate model or step
    free       it changes no price, for the given reason
    review     nobody publishes its price in a computable form: a request in which it counts
               anything is under review

A member outside the table is unknown, and puts its request under review as well (P28). A test
compares the table with the types of the vendors' clients, so that a new member must be classified
first. docs/reference/price-members.md shows the table.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

Role = Literal["meter", "condition", "part", "free", "review"]

# The stored length of an unknown member's name, and the maximum number of reported unknown members.
_NAME_MAX: Final = 80
READ_MAX: Final = 64
UNKNOWN_MAX: Final = 8


class Member(NamedTuple):
    """One member. `word` names its meters or its condition, or says why it is free or reviewed.
    `of` is the vendor that sends it, "" for the dialect itself."""

    role: Role
    word: str
    of: str = ""


def _meter(word: str, of: str = "") -> Member:
    return Member("meter", word, of)


def _free_member(why: str, of: str = "") -> Member:
    return Member("free", why, of)


_SUM: Final = "the sum of counts that are priced separately"
_INSIDE: Final = "included in a count that is priced"
_TOLD_TWICE: Final = "repeats a count under another name"
_COST: Final = "the provider's charge to its own customer"
_TIME: Final = "describes how the answer was generated; no provider charges for this"

_DETAILS_IN: Final = {
    "cached_tokens": _meter("in_cache_read, in_audio_cached, in_image_cached"),
    "cache_write_tokens": _meter("in_cache_write_5m"),
    "audio_tokens": _meter("in_audio"),
    "image_tokens": _meter("in_image"),
    "text_tokens": _free_member(_INSIDE),
    "video_tokens": _free_member(_INSIDE, "OpenRouter, Qwen"),
    "cache_creation_input_tokens": _meter("in_cache_write_5m", "Qwen"),
    "cache_creation.ephemeral_5m_input_tokens": _free_member(_TOLD_TWICE, "Qwen"),
    "cache_type": _free_member("names the cache; its tokens are priced", "Qwen"),
    "cached_creation_tokens": _free_member(_TOLD_TWICE, "New API"),
    "provisioned_tokens": _free_member(
        "counts tokens of capacity that was bought in advance", "Doubao"
    ),
    "messages[].*": _free_member(_INSIDE, "Mistral"),
}
_DETAILS_OUT: Final = {
    "reasoning_tokens": _meter("out_reasoning"),
    "audio_tokens": _meter("out_audio"),
    "image_tokens": _meter("out_image"),
    "text_tokens": _free_member(_INSIDE),
    "video_tokens": _free_member(_INSIDE, "OpenRouter"),
    "accepted_prediction_tokens": _free_member(_INSIDE),
    "rejected_prediction_tokens": _free_member(_INSIDE),
    "provisioned_tokens": _free_member(
        "counts tokens of capacity that was bought in advance", "Doubao"
    ),
}


def _prefix_names(name: str, members: Mapping[str, Member]) -> dict[str, Member]:
    return {f"{name}.{inner}": member for inner, member in members.items()}


_HUBS: Final = {
    "cost": _free_member(_COST, "OpenRouter, Weir"),
    "cost.*": _free_member(_COST, "Perplexity"),
    "estimated_cost": _free_member(_COST, "DeepInfra"),
    "is_byok": _free_member("says whose key was used", "OpenRouter"),
    **_prefix_names(
        "cost_details",
        {
            "upstream_inference_cost": _free_member(_COST, "OpenRouter"),
            "upstream_inference_prompt_cost": _free_member(_COST, "OpenRouter"),
            "upstream_inference_completions_cost": _free_member(_COST, "OpenRouter"),
            "upstream_inference_input_cost": _free_member(_COST, "OpenRouter"),
            "upstream_inference_output_cost": _free_member(_COST, "OpenRouter"),
        },
    ),
    "usage_semantic": _free_member("names the dialect of the counts", "New API"),
    "usage_source": _free_member("names the dialect of the counts", "New API"),
    "claude_cache_creation_5_m_tokens": _free_member(_TOLD_TWICE, "New API"),
    "claude_cache_creation_1_h_tokens": _free_member(_TOLD_TWICE, "New API"),
    "num_sources_used": _meter("searches", "xAI"),
    "num_server_side_tools_used": Member("review", "xAI charges for its tools by the call", "xAI"),
    "cost_in_usd_ticks": _free_member(_COST, "xAI"),
    **_prefix_names(
        "server_side_tool_usage_details",
        {
            name: Member("review", "xAI charges for its tools by the call", "xAI")
            for name in (
                "web_search_calls",
                "x_search_calls",
                "code_interpreter_calls",
                "file_search_calls",
                "mcp_calls",
                "document_search_calls",
            )
        },
    ),
}

_MISTRAL: Final = {
    "num_cached_tokens": _free_member(_TOLD_TWICE, "Mistral"),
    "request_count": _free_member("counts requests, whose tokens are priced", "Mistral"),
    **_prefix_names(
        "prompt_token_details",
        {
            name: _free_member(_TOLD_TWICE, "Mistral")
            for name in ("cached_tokens", "audio_tokens", "messages[].*")
        },
    ),
}

CHAT: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "prompt_tokens": _meter("in_text"),
        "completion_tokens": _meter("out_text"),
        "total_tokens": _free_member(_SUM),
        **_prefix_names("prompt_tokens_details", _DETAILS_IN),
        **_prefix_names("completion_tokens_details", _DETAILS_OUT),
        "prompt_cache_hit_tokens": _meter("in_cache_read", "DeepSeek"),
        "prompt_cache_miss_tokens": _free_member(_INSIDE, "DeepSeek"),
        "cached_tokens": _meter("in_cache_read", "Kimi"),
        "reasoning_tokens": _free_member(_INSIDE, "SGLang, Perplexity"),
        "plugins.search.count": _meter("searches", "Qwen"),
        "plugins.search.strategy": _free_member("names the strategy; all cost the same", "Qwen"),
        "input_tokens": _free_member(_TOLD_TWICE, "New API"),
        "output_tokens": _free_member(_TOLD_TWICE, "New API"),
        **_prefix_names(
            "input_tokens_details", {n: _free_member(_TOLD_TWICE, "New API") for n in _DETAILS_IN}
        ),
        "queue_time": _free_member(_TIME, "Groq"),
        "prompt_time": _free_member(_TIME, "Groq"),
        "completion_time": _free_member(_TIME, "Groq"),
        "total_time": _free_member(_TIME, "Groq"),
        **{
            name: _free_member(_TIME, "SambaNova")
            for name in (
                "acceptance_rate",
                "completion_tokens_after_first_per_sec",
                "completion_tokens_after_first_per_sec_first_ten",
                "completion_tokens_after_first_per_sec_graph",
                "completion_tokens_per_sec",
                "end_time",
                "is_last_response",
                "start_time",
                "stop_reason",
                "time_to_first_token",
                "total_latency",
                "total_tokens_per_sec",
            )
        },
        "prompt_audio_seconds": Member(
            "review", "Mistral charges for sound by the second", "Mistral"
        ),
        **_MISTRAL,
        "total_characters": _free_member("counts characters of tokens that are priced", "MiniMax"),
        "search_context_size": Member("review", "the price depends on this size", "Perplexity"),
        "citation_tokens": Member("review", "Perplexity charges for some of these", "Perplexity"),
        "num_search_queries": Member(
            "review", "Perplexity charges for some of these", "Perplexity"
        ),
        "server_tool_use.web_search_requests": Member(
            "review", "OpenRouter adds the cost of the search to the price", "OpenRouter"
        ),
        **_HUBS,
    }
)

RESPONSES: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "input_tokens": _meter("in_text"),
        "output_tokens": _meter("out_text"),
        "total_tokens": _free_member(_SUM),
        **_prefix_names(
            "input_tokens_details",
            {
                **_DETAILS_IN,
                "cache_write_tokens_details.ttl_30m_tokens": _meter("in_cache_write_30m"),
                "cache_write_tokens_details.ttl_12h_tokens": _meter("in_cache_write_12h"),
                "cache_read_input_tokens": _meter("in_cache_read", "Perplexity"),
            },
        ),
        **_prefix_names("output_tokens_details", _DETAILS_OUT),
        "x_details[].*": _free_member(_TOLD_TWICE, "Qwen"),
        "tool_usage.web_search.num_requests": _free_member("Weir counts the calls in the answer"),
        "tool_calls_details.search_web.invocation": _meter("searches", "Perplexity"),
        "tool_calls_details.search_web.cost_usd": _free_member(_COST, "Perplexity"),
        "tool_calls_details.*": Member(
            "review", "Perplexity charges for each call of a tool", "Perplexity"
        ),
        "tool_usage.image_gen.*": Member("review", "the answer does not name the image model"),
        **_HUBS,
    }
)

_ANTHROPIC_COUNTS: Final = {
    "input_tokens": _meter("in_text"),
    "output_tokens": _meter("out_text"),
    "cache_read_input_tokens": _meter("in_cache_read"),
    "cache_creation_input_tokens": _meter("in_cache_write_5m, in_cache_write_1h"),
    "cache_creation.ephemeral_5m_input_tokens": _meter("in_cache_write_5m"),
    "cache_creation.ephemeral_1h_input_tokens": _meter("in_cache_write_1h"),
}
ANTHROPIC: Final[Mapping[str, Member]] = MappingProxyType(
    {
        **_ANTHROPIC_COUNTS,
        "output_tokens_details.thinking_tokens": _meter("out_reasoning"),
        "server_tool_use.web_search_requests": _meter("searches"),
        "server_tool_use.web_fetch_requests": _free_member("a fetch costs only its tokens"),
        "server_tool_use.code_execution_requests": _meter("code_sessions"),
        "server_tool_use.tool_search_requests": _free_member(
            "a search for tools costs only its tokens"
        ),
        "service_tier": Member("condition", "service_tier, processing"),
        "speed": Member("condition", "speed"),
        "inference_geo": Member("condition", "inference_geo"),
        **_prefix_names(
            "iterations[]", {n: Member("part", m.word) for n, m in _ANTHROPIC_COUNTS.items()}
        ),
        "iterations[].type": Member(
            "part", "message, compaction, advisor_message, fallback_message"
        ),
        "iterations[].model": Member("part", "the model whose price applies"),
        "fallback_credit.*": Member("review", "lowers the bill by an unpublished amount"),
        **_HUBS,
    }
)

_MODALITIES: Final = ["modality", "tokenCount"]
GEMINI: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "promptTokenCount": _meter("in_text"),
        "candidatesTokenCount": _meter("out_text"),
        "thoughtsTokenCount": _meter("out_reasoning"),
        "toolUsePromptTokenCount": _meter("in_text"),
        "cachedContentTokenCount": _meter("in_cache_read, in_audio_cached, in_image_cached"),
        "totalTokenCount": _free_member(_SUM),
        **{
            f"{details}[].{name}": _meter(meters)
            for details, meters in (
                ("promptTokensDetails", "in_text, in_audio, in_image"),
                ("cacheTokensDetails", "in_cache_read, in_audio_cached, in_image_cached"),
                ("candidatesTokensDetails", "out_text, out_audio, out_image"),
                ("toolUsePromptTokensDetails", "in_text, in_audio, in_image"),
            )
            for name in _MODALITIES
        },
        "serviceTier": Member("condition", "service_tier"),
        "trafficType": Member("condition", "service_tier"),
        "webSearchCount": _meter("searches", "Weir"),
        "responseTokenCount": Member("review", "only in live sessions, which have their own table"),
        "responseTokensDetails[].modality": Member("review", "only in live sessions"),
        "responseTokensDetails[].tokenCount": Member("review", "only in live sessions"),
        "cost": _free_member(_COST, "Weir"),
    }
)

# Live sessions name the answer's tokens otherwise.
GEMINI_LIVE: Final[Mapping[str, Member]] = MappingProxyType(
    {
        **{name: member for name, member in GEMINI.items() if not name.startswith("candidates")},
        "responseTokenCount": _meter("out_text"),
        **{
            f"responseTokensDetails[].{name}": _meter("out_text, out_audio, out_image")
            for name in _MODALITIES
        },
    }
)

INTERACTIONS: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "total_input_tokens": _meter("in_text"),
        "total_output_tokens": _meter("out_text"),
        "total_thought_tokens": _meter("out_reasoning"),
        "total_tool_use_tokens": _meter("in_text"),
        "total_cached_tokens": _meter("in_cache_read, in_audio_cached, in_image_cached"),
        "total_tokens": _free_member(_SUM),
        "initial_input_tokens": _free_member(_INSIDE),
        **{
            f"{details}[].{name}": _meter(meters)
            for details, meters in (
                ("input_tokens_by_modality", "in_text, in_audio, in_image"),
                ("cached_tokens_by_modality", "in_cache_read, in_audio_cached, in_image_cached"),
                ("output_tokens_by_modality", "out_text, out_audio, out_image"),
                ("tool_use_tokens_by_modality", "in_text, in_audio, in_image"),
            )
            for name in ("modality", "tokens")
        },
        "grounding_tool_count[].type": _meter("searches"),
        "grounding_tool_count[].count": _meter("searches"),
        "cost": _free_member(_COST, "Weir"),
    }
)

REALTIME: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "input_tokens": _meter("in_text"),
        "output_tokens": _meter("out_text"),
        "total_tokens": _free_member(_SUM),
        **_prefix_names("input_token_details", _DETAILS_IN),
        **_prefix_names(
            "input_token_details.cached_tokens_details",
            {
                "text_tokens": _meter("in_cache_read"),
                "audio_tokens": _meter("in_audio_cached"),
                "image_tokens": _meter("in_image_cached"),
            },
        ),
        **_prefix_names("output_token_details", _DETAILS_OUT),
        "cost": _free_member(_COST, "Weir"),
    }
)

# A total of the session, which is charged by the minute.
LIVE: Final[Mapping[str, Member]] = MappingProxyType({"seconds": _meter("session_minutes")})

# Embeddings, moderations, pictures, speech, transcriptions: the price of the model decides which of
# them are meters (docs/guides/prices.md).
UNARY: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "type": _free_member("names the unit of the count"),
        "seconds": _meter("audio_ms"),
        "prompt_audio_seconds": _free_member("Weir measures the length of the sound", "Mistral"),
        **_MISTRAL,
        "prompt_tokens": _meter("in_text"),
        "completion_tokens": _free_member(_INSIDE),
        "input_tokens": _meter("in_text"),
        "output_tokens": _meter("out_text, out_image, out_audio"),
        "total_tokens": _free_member(_SUM),
        **{
            f"{details}.{name}": member
            for details in (
                "prompt_tokens_details",
                "input_tokens_details",
                "input_token_details",
            )
            for name, member in _DETAILS_IN.items()
        },
        **{
            f"{details}.{name}": member
            for details in (
                "completion_tokens_details",
                "output_tokens_details",
                "output_token_details",
            )
            for name, member in _DETAILS_OUT.items()
        },
        **_HUBS,
    }
)

CONVERSE: Final[Mapping[str, Member]] = MappingProxyType(
    {
        "inputTokens": _meter("in_text"),
        "outputTokens": _meter("out_text"),
        "totalTokens": _free_member(_SUM),
        "cacheReadInputTokens": _meter("in_cache_read"),
        "cacheWriteInputTokens": _meter("in_cache_write_5m, in_cache_write_1h"),
        "cacheReadInputTokenCount": _free_member(_TOLD_TWICE),
        "cacheWriteInputTokenCount": _free_member(_TOLD_TWICE),
        "serverToolUsage.*": Member("review", "Amazon charges for its tools by the call"),
        "cacheDetails[].ttl": _meter("in_cache_write_5m, in_cache_write_1h"),
        "cacheDetails[].inputTokens": _meter("in_cache_write_5m, in_cache_write_1h"),
        "serviceTier": Member("condition", "service_tier"),
    }
)

TABLES: Final[Mapping[str, Mapping[str, Member]]] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "gemini_live": GEMINI_LIVE,
    "converse": CONVERSE,
    "interactions": INTERACTIONS,
    "realtime": REALTIME,
    "live": LIVE,
    "unary": UNARY,
}


# ---- At run time: the same tables as trees, with one level for each level of the object

_LEAF: Final = 0
_REVIEW: Final = 1
_Node = dict[str, Any]


def _tree(table: Mapping[str, Member]) -> _Node:
    root: _Node = {}
    for path, member in table.items():
        *above, last = path.split(".")
        node = root
        for name in above:
            key = name.removesuffix("[]")
            branch = node.get(key)
            if branch.__class__ is not _Branch:
                branch = node[key] = _Branch({}, name.endswith("[]"), plain=key in node)
            node = branch.inner
        node[last] = _REVIEW if member.role == "review" else _LEAF
    return root


class _Branch(NamedTuple):
    """A member that holds other members. `plain`: some vendors send a plain value instead."""

    inner: _Node
    listed: bool
    plain: bool


_TREES: Final = {name: _tree(table) for name, table in TABLES.items()}


def unknown_members(wire: str, usage: Mapping[str, Any]) -> list[str]:
    """Return the paths of a usage object's members that nobody has classified, or whose price
    nobody publishes; at most READ_MAX.
    """
    unknown: list[str] = []
    tree = _TREES[wire]
    if _is_known(usage, tree):
        return unknown
    for path in _walk(usage, tree, ""):
        if path not in unknown:
            unknown.append(path)
        if len(unknown) == READ_MAX:
            break
    return unknown


def _is_known(members: Mapping[str, Any], node: _Node) -> bool:
    """Return whether every member is known, as in nearly all objects."""
    for name, value in members.items():
        known = node.get(name)
        if known is _LEAF:
            kind = value.__class__
            if kind is dict or kind is list:
                return False
        elif known.__class__ is not _Branch:
            return False
        elif value is not None:
            if not known.listed:
                value = (value,)
            elif value.__class__ is not list:
                return False
            for item in value:
                if item.__class__ is dict:
                    if not _is_known(item, known.inner):
                        return False
                elif not known.plain or item.__class__ is list:
                    return False
    return True


def _walk(members: Mapping[str, Any], node: _Node, above: str) -> Iterator[str]:
    anything = "*" in node
    for name, value in members.items():
        known = node.get(name)
        if known is _LEAF:
            if value.__class__ is dict or value.__class__ is list:
                yield from _value_paths(value, _path(above, name))
        elif known is None:
            if not anything or (node["*"] is _REVIEW and counts_anything(value)):
                yield from _value_paths(value, _path(above, name))
        elif known is _REVIEW:
            if counts_anything(value):
                yield from _value_paths(value, _path(above, name))
        elif value is None:
            continue
        elif known.listed:
            if value.__class__ is not list:
                yield _path(above, name)
                continue
            for item in value:
                if item.__class__ is dict:
                    yield from _walk(item, known.inner, _path(above, name))
                else:
                    yield _path(above, name)
        elif value.__class__ is dict:
            yield from _walk(value, known.inner, _path(above, name))
        elif not known.plain or value.__class__ is list:
            yield _path(above, name)


def may_be_accepted(wire: str, path: str) -> bool:
    """Return whether an operator may count a member as free: a complete name that no table
    classifies, not a value of a condition, and not inside a counted member.
    """
    if wire not in TABLES or "=" in path or "?" in path or len(path) >= _NAME_MAX:
        return False
    known = {name.replace("[]", ""): member.role for name, member in TABLES[wire].items()}
    above = path
    while "." in above:
        above = above.rpartition(".")[0]
        if known.get(above, "review") not in ("review", "free"):
            return False
    holds_known = any(name.startswith(f"{path}.") for name in known)
    return known.get(path, "review") == "review" and not holds_known


def _value_paths(value: Any, path: str) -> Iterator[str]:
    """Return the paths of the values inside an unknown member, so that accepting one does not
    accept others."""
    inner = value if value and len(path) < _NAME_MAX else None
    if inner.__class__ is dict:
        for name, item in inner.items():
            yield from _value_paths(item, _path(path, name))
    elif inner.__class__ is list and any(item.__class__ in (dict, list) for item in inner):
        for item in inner:
            yield from _value_paths(item, f"{path}[]")
    else:
        yield path


def counts_anything(value: Any) -> bool:
    """Return whether a value, or any value inside it, is not zero or empty."""
    if isinstance(value, dict):
        return any(map(counts_anything, value.values()))
    if isinstance(value, list):
        return any(map(counts_anything, value))
    return bool(value)


def _path(above: str, name: str) -> str:
    """Shorten a path for storage and display: an upstream may choose any name."""
    plain = "".join(
        letter if letter.isalnum() or letter in "_-" else "?" for letter in name[:_NAME_MAX]
    )
    return f"{above}.{plain or '?'}"[:_NAME_MAX] if above else plain or "?"
