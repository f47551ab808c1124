"""The capabilities of models: the shipped catalogue, as data.

A row applies to a name, or to names that match a pattern ending in `*`; an exact name beats the
longest pattern. A name may have its owner in front (`qwen/qwen3-coder-plus`) and a variant after a
colon (`:free`, `:8b`), as on servers with models of many owners; Claude's versions may be written
with a dot. A model without a row has permissive defaults: nothing is refused for an unknown model.

k is 1,000 and M is 1,000,000 tokens. All of these are defaults that an operator may change, and no
reason to refuse a request, except dated facts, and the text-only models (`unread`).
"""

import re
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Final

from dialects.chat.chat import Effort
from dialects.chat.cloud_names import bare_names
from gateway.providers.capabilities import IMAGE_MODEL, UNKNOWN, Capabilities, Modality
from gateway.providers.provider import Provider, Quirk
from gateway.providers.task_services import TASK_SERVICES

_TEXT: Final[frozenset[Modality]] = frozenset({"text"})
_SEEN: Final[frozenset[Modality]] = frozenset({"text", "image"})
_READ: Final[frozenset[Modality]] = frozenset({"text", "image", "file"})
_SENSED: Final[tuple[Modality, ...]] = ("image", "audio", "video")
_LOW_TO_HIGH: Final[tuple[Effort, ...]] = ("low", "medium", "high")
_MINIMAL_TO_HIGH: Final[tuple[Effort, ...]] = ("minimal", *_LOW_TO_HIGH)
_BUDGETED: Final[tuple[Effort, ...]] = (*_MINIMAL_TO_HIGH, "xhigh", "max")


# Cached with a limit: every request needs it, and clients choose the names.
@lru_cache(4096)
def capabilities_of(name: str, provider: Provider, requested_name: str = "") -> Capabilities:
    """Return a model's capabilities at a provider. `name` is the upstream name; if it has no row
    (an Azure customer's own name), the requested name decides."""
    row = find_row(name) or find_row(requested_name) or find_row(provider.unknown_like) or UNKNOWN
    return replace(
        row,
        flags=row.flags - provider.lifted | provider.flags,
        tools=row.tools and Quirk.NO_TOOLS not in provider.quirks,
        search=row.search if provider.own_search else None,
    )


def unread(name: str, can: Capabilities, media: Collection[str]) -> Modality | None:
    """Return a kind of content in the request that the model certainly cannot read, or None. `name`
    is the upstream name, `can` the operator's overrides, `media` the kinds besides text. Only
    text-only models of the catalogue are certain. A document may consist of text, and some servers
    convert it for the model."""
    if can.inputs != _TEXT or find_row(name) is None:
        return None
    return next((kind for kind in _SENSED if kind in media), None)


def lowered_cap(name: str, can: Capabilities, requested: int | None) -> int | None:
    """Return a lower output cap if the model's provider would certainly refuse the requested one,
    else None. `name` is the upstream name, because a public name does not determine the limit."""
    limit = can.output_limit
    if requested is None or limit is None or requested <= limit or find_row(name) is None:
        return None
    return limit


def is_listed(name: str) -> bool:
    """Return whether the catalogue has a row for exactly this name."""
    return name in _EXACT


@lru_cache(4096)
def find_row(name: str) -> Capabilities | None:
    """Return the row of a model, wherever it is served, or None."""
    if name in _EXACT:
        return _EXACT[name]
    names = [_hyphened(bare) for bare in bare_names(name)]
    for bare in names:
        if bare in _EXACT:
            return _EXACT[bare]
    fitting = [pattern for pattern in _PATTERNS if any(bare.startswith(pattern) for bare in names)]
    return _PATTERNS[max(fitting, key=len)] if fitting else None


def _hyphened(bare: str) -> str:
    """Return a name of Claude as Anthropic writes it: others put its version after a dot or an
    @."""
    return re.sub("[.@]", "-", bare) if bare.startswith("claude-") else bare


# ---- OpenAI. From its guides to files and search (platform.openai.com, 2026-01) and sources 000
# and 001: files are read at the responses endpoint, where web search is a tool.

_OPENAI = Capabilities(
    owner="openai",
    inputs=_READ,
    caching="automatic",
    traits=frozenset({"files_by_responses", "search_by_responses"}),
    chat_only=True,
)
# Models that only have the completions endpoint (its reference, 2026-01).
_COMPLETING = replace(
    _OPENAI,
    inputs=_TEXT,
    tools=False,
    parallel_tools=False,
    json="none",
    thinking="never",
    flags=frozenset({"no_reasoning_effort"}),
    traits=frozenset(),
    chat_only=False,
)
_GPT_5 = replace(
    _OPENAI,
    thinking="effort",
    context_max=400_000,
    output_max=128_000,
    output_limit=128_000,
    flags=frozenset({"max_completion_tokens_only", "no_sampling", "developer_role"}),
    traits=_OPENAI.traits | {"prefer_responses_to_think_with_tools", "verbosity"},
)
# The API reference (2026-01): gpt-5.1 has none, low, medium and high; only gpt-5 has minimal.
_GPT_5_1 = replace(_GPT_5, efforts=("none", *_LOW_TO_HIGH))
_GPT_5_2 = replace(_GPT_5, efforts=("none", *_LOW_TO_HIGH, "xhigh"))
_GPT_5_CHAT = replace(
    _OPENAI,
    tools=False,
    parallel_tools=False,
    thinking="never",
    context_max=128_000,
    output_max=16_000,
    output_limit=16_384,
    flags=frozenset({"max_completion_tokens_only", "developer_role", "no_reasoning_effort"}),
)
_GPT_4O = replace(
    _OPENAI,
    thinking="never",
    context_max=128_000,
    output_max=16_000,
    output_limit=16_384,
    flags=frozenset({"no_reasoning_effort"}),
)
_GPT_4O_SEARCH = replace(_GPT_4O, search="web_search_options", traits=frozenset())
# Audio input and output are available at the chat endpoint only.
_GPT_4O_AUDIO = replace(
    _GPT_4O,
    inputs=frozenset({"text", "audio"}),
    outputs=frozenset({"text", "audio"}),
    flags=_GPT_4O.flags | {"audio_output"},
    traits=frozenset(),
)
_GPT_4_1 = replace(_GPT_4O, context_max=1_000_000, output_max=32_000, output_limit=32_768)
_GPT_4 = replace(
    _OPENAI,
    inputs=_TEXT,
    json="object",
    thinking="never",
    context_max=8_000,
    output_max=4_000,
    output_limit=8_192,
    flags=frozenset({"json_object_only", "no_reasoning_effort"}),
    traits=frozenset(),
)
_O = replace(
    _OPENAI,
    thinking="effort",
    efforts=_LOW_TO_HIGH,
    context_max=200_000,
    output_max=100_000,
    output_limit=100_000,
    flags=frozenset({"max_completion_tokens_only", "no_sampling", "developer_role"}),
    traits=_OPENAI.traits | {"prefer_responses"},
)
_O1 = replace(_O, parallel_tools=False, flags=_O.flags | {"no_parallel_tools"})
_O1_MINI = replace(_O1, inputs=_TEXT, flags=_O1.flags - {"developer_role"})
_O3_MINI = replace(_O1, inputs=_TEXT)

# Models of its image and audio endpoints, which do not chat.
_OPENAI_IMAGE = replace(IMAGE_MODEL, owner="openai")
_OPENAI_SPEECH = replace(
    _OPENAI_IMAGE, inputs=_TEXT, outputs=frozenset({"audio"}), endpoint="speech"
)
_OPENAI_HEARD = replace(
    _OPENAI_IMAGE, inputs=frozenset({"audio"}), outputs=_TEXT, endpoint="transcriptions"
)
# Models with sessions over a WebSocket, which do not chat (developers.openai.com, pages of the
# models, 2026-11).
_OPENAI_REALTIME = Capabilities(
    owner="openai",
    inputs=frozenset({"text", "audio", "image"}),
    outputs=frozenset({"text", "audio"}),
    json="none",
    thinking="never",
    context_max=32_000,
    output_max=4_096,
    endpoint="realtime",
)
# Sessions that are charged by the minute; the pages of the models state no limits.
_OPENAI_LIVE = Capabilities(
    owner="openai",
    inputs=frozenset({"text", "audio"}),
    outputs=frozenset({"text", "audio"}),
    json="none",
    thinking="never",
    endpoint="live",
)
_OPENAI_REALTIME_2 = replace(_OPENAI_REALTIME, context_max=128_000, output_max=32_000)

# These models return vectors, verdicts or rankings, and generate nothing. Whether they accept more
# than text is not stated.
_EMBEDDINGS = Capabilities(
    outputs=frozenset(),
    tools=False,
    parallel_tools=False,
    json="none",
    thinking="never",
    endpoint="embeddings",
)
_MODERATIONS = replace(_EMBEDDINGS, endpoint="moderations")
_RERANK = replace(_EMBEDDINGS, endpoint="rerank")

# Video models of all providers, from a text, and from a first picture (their references, 2026-06).
_VIDEO = replace(_OPENAI_IMAGE, outputs=frozenset({"video"}), endpoint="videos")

# ---- Anthropic

_CLAUDE = Capabilities(
    owner="anthropic",
    inputs=_READ,
    thinking="adaptive",
    efforts=(*_LOW_TO_HIGH, "max"),
    budget_min=1_024,
    search="anthropic",
    caching="marked",
    context_max=200_000,
    output_max=128_000,
    output_limit=128_000,
    dialects=("anthropic",),
    flags=frozenset(
        {
            "thinking_adaptive",
            "one_of_temperature_top_p",
            "temperature_max_1",
            "thinking_no_forced_tool",
            "no_web_search_options",
        }
    ),
)
_CLAUDE_4_5 = replace(
    _CLAUDE,
    thinking="budget",
    efforts=(),
    output_max=64_000,
    output_limit=64_000,
    flags=_CLAUDE.flags - {"thinking_adaptive"},
)
_CLAUDE_4 = replace(
    _CLAUDE_4_5, flags=_CLAUDE_4_5.flags - {"one_of_temperature_top_p"} | {"no_json_schema"}
)
# Anthropic's table of models (2025-08): Opus 4 and 4.1 output at most 32,000 tokens.
_CLAUDE_OPUS_4 = replace(_CLAUDE_4, output_max=32_000, output_limit=32_000)
_CLAUDE_OPUS_4_1 = replace(
    _CLAUDE_OPUS_4, flags=_CLAUDE_OPUS_4.flags | {"one_of_temperature_top_p"}
)
_CLAUDE_3 = replace(
    _CLAUDE_4,
    inputs=_SEEN,
    thinking="never",
    budget_max=0,
    search=None,
    output_max=4_000,
    output_limit=4_096,
)
_CLAUDE_3_5 = replace(_CLAUDE_3, inputs=_READ, output_max=8_000, output_limit=8_192)

# ---- Amazon, on Bedrock (docs.aws.amazon.com, "Amazon Nova" and "Prompt caching", 2026-08)

_NOVA = Capabilities(
    owner="amazon",
    inputs=frozenset({"text", "image", "file", "video"}),
    json="none",
    thinking="never",
    caching="marked",
    context_max=300_000,
    output_max=10_000,
    dialects=("converse",),
    flags=frozenset({"cache_control", "temperature_max_1", "nova_top_k"}),
)
_NOVA_MICRO = replace(_NOVA, inputs=_TEXT, context_max=128_000)
# The effort high is only possible without an output limit.
_NOVA_2 = replace(
    _NOVA,
    thinking="effort",
    efforts=("none", "low", "medium"),
    context_max=1_000_000,
    output_max=64_000,
    flags=_NOVA.flags | {"nova_reasoning"},
)

# ---- DeepSeek

_DEEPSEEK = Capabilities(
    owner="deepseek",
    json="object",
    thinking="switch",
    caching="automatic",
    flags=frozenset(
        {"no_developer_role", "thinking_switch", "reasoning_content_rule", "json_object_only"}
    ),
)
_DEEPSEEK_V4 = replace(
    _DEEPSEEK, inputs=_TEXT, efforts=("high", "max"), context_max=1_000_000, output_max=384_000
)
_DEEPSEEK_V3_1 = replace(
    _DEEPSEEK,
    inputs=_TEXT,
    context_max=128_000,
    output_max=32_000,
    flags=_DEEPSEEK.flags | {"thinking_default_off"},
)
_DEEPSEEK_V3 = replace(
    _DEEPSEEK,
    inputs=_TEXT,
    thinking="never",
    context_max=64_000,
    output_max=8_000,
    flags=frozenset({"no_developer_role", "json_object_only", "no_reasoning_effort"}),
)
_DEEPSEEK_R1 = replace(
    _DEEPSEEK,
    inputs=_TEXT,
    tools=False,
    parallel_tools=False,
    thinking="always",
    context_max=64_000,
    output_max=32_000,
    flags=frozenset(
        {"no_developer_role", "json_object_only", "no_sampling", "no_reasoning_effort"}
    ),
)

# ---- xAI

_GROK = Capabilities(
    owner="xai",
    search="search_parameters",
    caching="automatic",
    traits=frozenset({"usage_reasoning_outside"}),
)
_GROK_4_FAST = replace(
    _GROK,
    inputs=_SEEN,
    thinking="always",
    context_max=2_000_000,
    flags=frozenset({"no_penalties_no_stop"}),
)
_GROK_4 = replace(
    _GROK_4_FAST,
    context_max=256_000,
    flags=frozenset({"no_penalties_no_stop", "no_reasoning_effort"}),
)
_GROK_3 = replace(
    _GROK,
    inputs=_TEXT,
    thinking="never",
    context_max=131_000,
    flags=frozenset({"no_reasoning_effort"}),
)
_GROK_3_MINI = replace(_GROK_3, thinking="effort", efforts=("low", "high"), flags=frozenset())

# ---- Google

_GEMINI = Capabilities(
    owner="google",
    inputs=UNKNOWN.inputs,
    search="gemini",
    caching="automatic",
    context_max=1_000_000,
    dialects=("gemini",),
)
_GEMINI_3 = replace(
    _GEMINI,
    thinking="level",
    efforts=("low", "high"),
    output_max=64_000,
    # Vertex counts one less than the Gemini API.
    output_limit=65_535,
    flags=frozenset({"thinking_level", "thought_seal_needed"}),
)
_GEMINI_3_1_PRO = replace(_GEMINI_3, efforts=_LOW_TO_HIGH)
_GEMINI_3_FLASH = replace(_GEMINI_3, efforts=_MINIMAL_TO_HIGH)
_GEMINI_3_IMAGE = replace(
    _GEMINI_3,
    inputs=_SEEN,
    outputs=frozenset({"text", "image"}),
    tools=False,
    parallel_tools=False,
    json="none",
    thinking="always",
    context_max=64_000,
    output_max=32_000,
    output_limit=32_768,
)
_GEMINI_2_5 = replace(_GEMINI, thinking="budget", output_max=64_000, output_limit=65_535)
_GEMINI_2_5_PRO = replace(_GEMINI_2_5, efforts=_BUDGETED, budget_min=128, budget_max=32_768)
_GEMINI_2_5_FLASH = replace(_GEMINI_2_5, efforts=("none", *_BUDGETED), budget_max=24_576)
_GEMINI_2_5_FLASH_LITE = replace(_GEMINI_2_5_FLASH, budget_min=512)
# Models of live sessions, which do not chat (ai.google.dev, page of Gemini 3.8 Live, 2026-09).
_GEMINI_LIVE = Capabilities(
    owner="google",
    inputs=frozenset({"text", "audio", "image", "video"}),
    outputs=frozenset({"text", "audio"}),
    json="none",
    context_max=131_072,
    output_max=65_536,
    dialects=("gemini",),
    endpoint="realtime",
)
_GEMINI_TTS = replace(
    _GEMINI,
    inputs=_TEXT,
    outputs=frozenset({"audio"}),
    tools=False,
    parallel_tools=False,
    json="none",
    thinking="never",
    search=None,
    flags=frozenset({"audio_output"}),
)

# ---- Alibaba, Zhipu, ByteDance, Moonshot

_QWEN = Capabilities(
    owner="alibaba",
    json="object",
    thinking="switch",
    search="enable_search",
    caching="automatic",
    flags=frozenset(
        {
            "no_developer_role",
            "params_object",
            "enable_thinking_switch",
            "json_object_only",
            "top_k",
            "thinking_no_forced_tool",
        }
    ),
    traits=frozenset({"stream_only_to_think"}),
)
_QWEN_CODER = replace(
    _QWEN,
    inputs=_TEXT,
    thinking="never",
    context_max=1_000_000,
    output_max=64_000,
    flags=frozenset(
        {"no_developer_role", "params_object", "json_object_only", "top_k", "no_reasoning_effort"}
    ),
    traits=frozenset(),
)
_QWEN_OMNI = replace(
    _QWEN,
    inputs=frozenset({"text", "image", "audio"}),
    outputs=frozenset({"text", "audio"}),
    json="none",
    context_max=64_000,
    output_max=16_000,
    flags=_QWEN.flags | {"audio_output"},
    traits=frozenset({"stream_only"}),
)
_QWEN_TAGGED = replace(_QWEN, inputs=_TEXT, context_max=131_000, traits=frozenset({"think_tags"}))
_GLM = Capabilities(
    owner="zhipu",
    json="object",
    thinking="switch",
    search="glm",
    caching="automatic",
    flags=frozenset(
        {"no_developer_role", "thinking_switch", "json_object_only", "tool_choice_auto_only"}
    ),
)
_GLM_5 = replace(_GLM, inputs=_TEXT, context_max=200_000, output_max=128_000)
_DOUBAO = Capabilities(
    owner="bytedance",
    thinking="switch",
    # Chat API of the same models (docs.byteplus.com, 2026-10).
    efforts=_MINIMAL_TO_HIGH,
    caching="automatic",
    flags=frozenset({"no_developer_role", "thinking_switch", "cap_without_thinking"}),
)
_DOUBAO_1_8 = replace(_DOUBAO, inputs=_SEEN, context_max=256_000, output_max=64_000)
_KIMI = Capabilities(
    owner="moonshot",
    thinking="switch",
    search="kimi",
    caching="automatic",
    flags=frozenset({"no_developer_role", "thinking_switch", "temperature_max_1"}),
)
_KIMI_K2_5 = replace(_KIMI, inputs=_SEEN, context_max=256_000, output_max=32_000)

# ---- Mistral. Contexts: docs.mistral.ai, "Known limitations"; reasoning: its page with that name
# (2026-11). The reasoning is in the content, as a list of chunks.

_MISTRAL = Capabilities(owner="mistral", traits=frozenset({"think_tags"}))
_MISTRAL_256K = replace(_MISTRAL, context_max=256_000)
_MISTRAL_REASONING = replace(
    _MISTRAL_256K, inputs=_SEEN, thinking="effort", efforts=("none", "high")
)
_MAGISTRAL = replace(_MISTRAL, thinking="always", context_max=128_000)
_VOXTRAL_HEARD = replace(_OPENAI_HEARD, owner="mistral")

# ---- OpenAI's open models: the model cards (2025-08).
_GPT_OSS = Capabilities(inputs=_TEXT, thinking="effort", efforts=_LOW_TO_HIGH, context_max=131_000)
_GPT_OSS_BEDROCK = replace(_GPT_OSS, flags=frozenset({"additional_effort"}))

# Open models that write their reasoning into the text, unless their server moves it (their model
# cards, 2025).
_TAGGED = Capabilities(inputs=_TEXT, traits=frozenset({"think_tags"}))

_ROWS: Final[tuple[tuple[Capabilities, tuple[str, ...]], ...]] = (
    (replace(_OPENAI, inputs=UNKNOWN.inputs), ("gpt-*",)),
    (_GPT_OSS, ("gpt-oss*",)),
    (_GPT_OSS_BEDROCK, ("openai.gpt-oss*",)),
    (_GPT_5, ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5*")),
    (replace(_GPT_5, output_limit=272_000), ("gpt-5-pro*",)),
    (_GPT_5_1, ("gpt-5.1", "gpt-5.1*")),
    (replace(_GPT_5_2, context_max=1_000_000), ("gpt-5.4", "gpt-5.4-mini", "gpt-5.4*")),
    (_GPT_5_2, ("gpt-5.2", "gpt-5.2*", "gpt-5.3*")),
    (_GPT_5_CHAT, ("gpt-5-chat*",)),
    (_GPT_4_1, ("gpt-4.1*",)),
    (_GPT_4O, ("gpt-4o*",)),
    (_GPT_4O_SEARCH, ("gpt-4o-search-preview*", "gpt-4o-mini-search-preview*")),
    (_GPT_4O_AUDIO, ("gpt-4o-audio-preview*", "gpt-4o-mini-audio-preview*")),
    (_OPENAI_IMAGE, ("gpt-image-*", "chatgpt-image-*", "dall-e-*")),
    (_OPENAI_SPEECH, ("tts-1*", "gpt-4o-mini-tts*")),
    (replace(_OPENAI_SPEECH, owner="canopylabs"), ("orpheus-*",)),
    (
        _OPENAI_HEARD,
        ("whisper-*", "gpt-4o-transcribe*", "gpt-4o-mini-transcribe*", "gpt-transcribe*"),
    ),
    (_OPENAI_REALTIME, ("gpt-realtime*", "gpt-4o-realtime*", "gpt-4o-mini-realtime*")),
    (_OPENAI_REALTIME_2, ("gpt-realtime-2", "gpt-realtime-2.*")),
    (_OPENAI_LIVE, ("gpt-live-1", "gpt-live-1.*", "gpt-live-1-*")),
    (_VIDEO, ("sora-*",)),
    (replace(_EMBEDDINGS, owner="openai"), ("text-embedding-3*", "text-embedding-ada*")),
    (replace(_MODERATIONS, owner="openai"), ("omni-moderation*", "text-moderation*")),
    (
        replace(_EMBEDDINGS, owner="google"),
        (
            "gemini-embedding*",
            "text-embedding-004",
            "text-embedding-005",
            "text-multilingual-embedding*",
            "embedding-001",
        ),
    ),
    (
        replace(_EMBEDDINGS, owner="alibaba"),
        ("text-embedding-v*", "qwen3-embedding*", "gte-qwen2*"),
    ),
    (replace(_RERANK, owner="alibaba"), ("qwen3-rerank*", "gte-rerank*")),
    (replace(_EMBEDDINGS, owner="zhipu"), ("embedding-2", "embedding-3")),
    (replace(_EMBEDDINGS, owner="bytedance"), ("doubao-embedding*",)),
    (_EMBEDDINGS, ("embed-*", "jina-embeddings*", "voyage-*", "bge-*")),
    (replace(_EMBEDDINGS, owner="mistral"), ("mistral-embed*", "codestral-embed*")),
    (_RERANK, ("rerank-*", "jina-reranker*", "bge-reranker*")),
    (_GPT_4, ("gpt-4", "gpt-4-0*")),
    (replace(_GPT_4, context_max=16_000, output_limit=4_096), ("gpt-3.5*",)),
    (_COMPLETING, ("gpt-3.5-turbo-instruct*", "davinci-002", "babbage-002")),
    (_O, ("o3", "o3*", "o4-mini", "o4*")),
    (_O1, ("o1", "o1-20*", "o1-pro*")),
    (_O1_MINI, ("o1-mini*", "o1-preview*")),
    (_O3_MINI, ("o3-mini", "o3-mini*")),
    # Later models also reason by effort; their output limit is unknown.
    (replace(_CLAUDE, output_max=None, output_limit=None), ("claude-*",)),
    (_CLAUDE, ("claude-opus-4-6*",)),
    (_NOVA, ("nova-pro*", "nova-lite*", "nova-premier*")),
    (_NOVA_MICRO, ("nova-micro*",)),
    (_NOVA_2, ("nova-2-*",)),
    (_CLAUDE_4_5, ("claude-sonnet-4-5*", "claude-haiku-4-5*", "claude-opus-4-5*")),
    (_CLAUDE_4, ("claude-sonnet-4", "claude-sonnet-4-0", "claude-sonnet-4-2025*")),
    (_CLAUDE_OPUS_4, ("claude-opus-4", "claude-opus-4-0", "claude-opus-4-2025*")),
    (_CLAUDE_OPUS_4_1, ("claude-opus-4-1*",)),
    (_CLAUDE_3, ("claude-3-opus*", "claude-3-haiku*", "claude-3*")),
    # Anthropic's table of models (2025-08): they read PDF; 3.7 is the first one that reasons.
    (_CLAUDE_3_5, ("claude-3-5*",)),
    (_CLAUDE_4, ("claude-3-7*",)),
    (_DEEPSEEK, ("deepseek-*",)),
    (_DEEPSEEK_V4, ("deepseek-v4*",)),
    (_DEEPSEEK_V3_1, ("deepseek-v3-1*", "deepseek-v3.1*", "deepseek-v3-1-250821")),
    (_DEEPSEEK_V3, ("deepseek-v3", "deepseek-v3-0324", "deepseek-v3-2412*")),
    (_DEEPSEEK_R1, ("deepseek-r1*",)),
    (_TAGGED, ("deepseek-r1-distill*", "qwq*", "minimax-m1*", "minimax-m2*")),
    (_GROK, ("grok-*",)),
    (_GROK_4, ("grok-4", "grok-4-0*", "grok-4-latest")),
    (_GROK_4_FAST, ("grok-4-fast*", "grok-4*")),
    (_GROK_3, ("grok-3*",)),
    (_GROK_3_MINI, ("grok-3-mini", "grok-3-mini*")),
    (_GEMINI, ("gemini-*",)),
    (_GEMINI_3, ("gemini-3*", "gemini-3-pro-preview")),
    (_GEMINI_3_1_PRO, ("gemini-3.1-pro*", "gemini-3.1-pro-preview")),
    (_GEMINI_3_FLASH, ("gemini-3-flash*", "gemini-3-flash-preview")),
    (_GEMINI_3_IMAGE, ("nano-banana-pro", "gemini-3-pro-image*")),
    (replace(_VIDEO, owner="google"), ("veo-*",)),
    (replace(_OPENAI_IMAGE, owner="google", inputs=_TEXT), ("imagen-*",)),
    (_GEMINI_2_5_PRO, ("gemini-2.5-pro*", "gemini-2.5-pro")),
    (_GEMINI_2_5_FLASH, ("gemini-2.5-flash*", "gemini-2.5-flash")),
    (_GEMINI_2_5_FLASH_LITE, ("gemini-2.5-flash-lite*", "gemini-2.5-flash-lite")),
    (
        _GEMINI_LIVE,
        (
            "gemini-3.8-live*",
            "gemini-3.1-flash-live*",
            "gemini-live-*",
            "gemini-2.5-flash-native-audio*",
        ),
    ),
    (_GEMINI_TTS, ("gemini-2.5-flash-preview-tts", "gemini-2.5-pro-preview-tts")),
    (_GEMINI_TTS, ("gemini-2.5-flash-tts*", "gemini-2.5-pro-tts*", "gemini-3.1-flash-tts*")),
    (_GEMINI_TTS, ("gemini-3.8-flash-tts*", "gemini-3.8-flash-lite-tts*")),
    (_QWEN, ("qwen*",)),
    (replace(_OPENAI_IMAGE, owner="alibaba"), ("qwen-image*",)),
    (replace(_VIDEO, owner="alibaba"), ("wan2*", "wan3*", "wanx2*")),
    (_QWEN_CODER, ("qwen3-coder*",)),
    (_QWEN_OMNI, ("qwen3-omni*",)),
    # Groq's names. It leaves the reasoning in the text (its page "Reasoning", 2026-11).
    (_QWEN_TAGGED, ("qwen/qwen3-32b",)),
    (replace(_QWEN_TAGGED, inputs=_SEEN), ("qwen/qwen3.8-27b",)),
    (_GLM, ("glm-*",)),
    (_GLM_5, ("glm-5", "glm-4.7")),
    (_DOUBAO, ("doubao-*",)),
    (_DOUBAO_1_8, ("doubao-seed-1-8*",)),
    (replace(_OPENAI_IMAGE, owner="bytedance"), ("doubao-seedream*", "seedream-*")),
    (replace(_VIDEO, owner="bytedance"), ("doubao-seedance*", "seedance-*", "jimeng_*")),
    (replace(_VIDEO, owner="kuaishou"), ("kling-*",)),
    (replace(_VIDEO, owner="minimax"), ("minimax-hailuo*",)),
    (_KIMI, ("kimi-*", "moonshot-*")),
    (_KIMI_K2_5, ("kimi-k2.5",)),
    (_MISTRAL, ("mistral-*", "codestral-*", "ministral-*", "devstral-*")),
    # The context is from the price list's source (genai-prices 0.2.3).
    (replace(_MISTRAL, thinking="effort", context_max=1_000_000), ("mistral-large-4*",)),
    (_MISTRAL_256K, ("mistral-large-2512", "devstral-2512")),
    (_MISTRAL_256K, ("ministral-8b-2512", "ministral-14b-2512")),
    (_MISTRAL_REASONING, ("mistral-medium-3-5*", "mistral-medium-3.5*", "mistral-small-2603*")),
    (_MISTRAL_REASONING, ("mistral-small-latest",)),
    (replace(_MISTRAL, context_max=128_000), ("codestral-2*",)),
    (_MAGISTRAL, ("magistral-*",)),
    (_VOXTRAL_HEARD, ("voxtral-mini-*", "voxtral-small-transcribe*")),
)
_NAMES: Final = {name: row for row, names in _ROWS for name in names} | {
    name: row for service in TASK_SERVICES.values() for name, row in service.models.items()
}
_EXACT: Final = {name: row for name, row in _NAMES.items() if not name.endswith("*")}
_PATTERNS: Final = {name[:-1]: row for name, row in _NAMES.items() if name.endswith("*")}
