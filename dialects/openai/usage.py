"""Convert the usage object of the openai dialect to disjoint meters.

OpenAI, DeepSeek, Qwen, Kimi and xAI use one dialect with different members:

    input   prompt_tokens includes cached, cache-written, audio and image tokens
    cached  prompt_tokens_details.cached_tokens, else prompt_cache_hit_tokens (DeepSeek; hit and
            miss add up to prompt_tokens), else cached_tokens (Kimi)
    output  completion_tokens includes reasoning, audio and image tokens; only xAI's own wire has
            reasoning outside of it, which total_tokens shows
    search  num_sources_used (xAI), plugins.search.count (Qwen)

Without details, cached tokens count against text first, then audio, then image. A zero that was
sent is a zero, not a missing value (F28).
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.usage.impossible_counts import COUNT_MAX
from dialects.usage.usage import Counts, Quantities, UsageMembers, read_members

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]

# Members that hardly any provider sends.
_OF_WRITING: Final = ("cache_write_tokens", "cache_creation_input_tokens")
_OF_CACHE: Final = ("prompt_cache_hit_tokens", "prompt_cache_miss_tokens")
# xAI sends it always, also as 0.
_SOURCES: Final = "num_sources_used"
_OF_SEARCHES: Final = (_SOURCES, "plugins")


class _PlainInput(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: Count | None = 0
    text_tokens: Count | None = 0
    audio_tokens: Literal[0] | None = 0
    image_tokens: Literal[0] | None = 0


class _PlainOutput(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: Count | None = 0
    text_tokens: Count | None = 0
    audio_tokens: Literal[0] | None = 0
    image_tokens: Literal[0] | None = 0
    accepted_prediction_tokens: Count | None = 0
    rejected_prediction_tokens: Count | None = 0


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """The usage object of nearly all answers: text alone, without any member that may matter
    otherwise, and with counts that are possible."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: _PlainInput | None = None
    completion_tokens_details: _PlainOutput | None = None


_plain = msgspec.json.Decoder(_Plain)


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object (the last one of a stream, F26). Never raises."""
    return _plain_quantities(raw) or _any_quantities(raw)


def _plain_quantities(raw: bytes | None) -> Quantities | None:
    """Read the usage object of nearly all answers, for a tenth of the cost. Return None for any
    other, and for one whose counts do not fit together."""
    try:
        usage = _plain.decode(raw or b"")
    except NOT_JSON:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    inputs, outputs = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = (inputs and inputs.cached_tokens) or 0
    reasoning = (outputs and outputs.reasoning_tokens) or 0
    if usage.total_tokens != prompt + completion or cached > prompt or reasoning > completion:
        return None
    meters = {"in_text": prompt - cached}
    if cached:
        meters["in_cache_read"] = cached
    meters["out_text"] = completion - reasoning
    if reasoning:
        meters["out_reasoning"] = reasoning
    return Quantities(meters, ())


def _any_quantities(raw: bytes | None) -> Quantities:
    usage = read_members(raw, "chat")
    return usage if isinstance(usage, Quantities) else _meters(usage)


def completion_with_reasoning(raw: bytes) -> int | None:
    """Return all output of a usage object that counts its reasoning outside of the completion; None
    if it is inside already or cannot be determined.
    """
    usage = read_members(raw, "chat")
    if isinstance(usage, Quantities):
        return None
    prompt, completion = usage.count("prompt_tokens"), usage.count("completion_tokens")
    if prompt is None or completion is None:
        return None
    reasoning = usage.count("reasoning_tokens", usage.nested("completion_tokens_details")) or 0
    output = _output(usage, prompt, completion, reasoning, usage.count("total_tokens"))
    return None if output == completion or output < reasoning else output


def encode(counts: Counts) -> dict[str, Any]:
    """Return the usage object for a client; unknown details are 0."""
    body: dict[str, Any] = {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.total,
        "prompt_tokens_details": {
            "cached_tokens": counts.cache_read,
            "text_tokens": counts.input_text,
            "audio_tokens": counts.input_audio,
            "image_tokens": counts.input_image,
        },
        "completion_tokens_details": {
            "text_tokens": counts.output_text,
            "reasoning_tokens": counts.reasoning,
            "audio_tokens": counts.output_audio,
            "image_tokens": counts.output_image,
        },
    }
    if counts.cache_write:
        body["prompt_tokens_details"]["cache_write_tokens"] = counts.cache_write
    if counts.searches:
        body[_SOURCES] = counts.searches
    return body


def _meters(usage: UsageMembers) -> Quantities:
    prompt = usage.count("prompt_tokens")
    completion = usage.count("completion_tokens")
    total = usage.count("total_tokens")
    if prompt is None and total is not None and completion is not None:
        prompt = total - completion
    if completion is None and total is not None and prompt is not None:
        completion = total - prompt
    if prompt is None or completion is None:
        usage.flags.add("usage_unreadable")
        return usage.result({})
    if prompt < 0 or completion < 0:
        usage.flags.add("usage_parts_above_total")
        return usage.result({})
    inputs = usage.nested("prompt_tokens_details")
    outputs = usage.nested("completion_tokens_details")
    written = None
    if not inputs.keys().isdisjoint(_OF_WRITING):
        written = usage.count("cache_write_tokens", inputs)
        if written is None:
            written = usage.count("cache_creation_input_tokens", inputs)
    reasoning = usage.count("reasoning_tokens", outputs) or 0
    cached = _cached(usage, inputs, prompt)
    output = _output(usage, prompt, completion, reasoning, total)
    searches = _searches(usage)
    meters = usage.input_meters(prompt, cached, written or 0, inputs)
    meters |= usage.output_meters(output, reasoning, outputs)
    if searches:
        meters["searches"] = searches
    return usage.result(meters)


def _cached(usage: UsageMembers, inputs: dict[str, Any], prompt: int) -> int:
    hit = miss = None
    if not usage.members.keys().isdisjoint(_OF_CACHE):
        hit = usage.count("prompt_cache_hit_tokens")
        miss = usage.count("prompt_cache_miss_tokens")
    if hit is not None and miss is not None and hit + miss != prompt:
        usage.flags.add("usage_mismatch")
    cached = usage.count("cached_tokens", inputs)
    if cached is None:
        cached = hit
    if cached is None:
        cached = usage.count("cached_tokens")
    return cached or 0


def _output(
    usage: UsageMembers, prompt: int, completion: int, reasoning: int, total: int | None
) -> int:
    """Return the output tokens including reasoning. Providers differ on whether completion_tokens
    includes reasoning; `total` decides. If it fits neither, it still decides for xAI."""
    if total == prompt + completion:
        return completion
    if total == prompt + completion + reasoning:
        return completion + reasoning
    if total is None:
        if completion >= reasoning:
            return completion
        usage.flags.add("usage_mismatch")
        return completion + reasoning
    usage.flags.add("usage_mismatch")
    rest = total - prompt
    is_xai = _SOURCES in usage.members and rest >= max(reasoning, 1)
    return rest if completion < reasoning or is_xai else completion


def _searches(usage: UsageMembers) -> int | None:
    if usage.members.keys().isdisjoint(_OF_SEARCHES):
        return None
    sources = usage.count(_SOURCES)
    search = usage.nested("plugins").get("search")
    return sources or usage.count("count", search if isinstance(search, dict) else {})
