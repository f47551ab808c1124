"""Convert the usage object of the responses dialect to disjoint meters.

    input   input_tokens includes cached and cache-written tokens (input_tokens_details; the latter
            are cached for 30 minutes or 12 hours, cache_write_tokens_details); Perplexity has
            cache_read_input_tokens and cache_creation_input_tokens
    output  output_tokens includes reasoning tokens (output_tokens_details)
    search  not in the object: the caller passes the number of web_search_call items; Perplexity
            has tool_calls_details.search_web

Some servers report audio and image tokens in the details too. Cached tokens count against text
first, then audio, then image. A zero that was sent is a zero, not a missing value (F28).
"""

from typing import Any

from dialects.usage.usage import Counts, Quantities, UsageMembers, present, read_members


def quantities(raw: bytes | None, *, searches: int = 0) -> Quantities:
    """Read a raw usage object; `searches` is what the decoder counted. Never raises."""
    usage = read_members(raw, "responses")
    return usage if isinstance(usage, Quantities) else _meters(usage, searches)


def encode(counts: Counts) -> dict[str, Any]:
    """Return the usage object for a client; unknown details are 0."""
    inputs = {
        "cached_tokens": counts.cache_read,
        "cache_write_tokens": counts.cache_write,
    }
    outputs = {"reasoning_tokens": counts.reasoning}
    return {
        "input_tokens": counts.input,
        "input_tokens_details": inputs
        | present(audio_tokens=counts.input_audio, image_tokens=counts.input_image),
        "output_tokens": counts.output,
        "output_tokens_details": outputs
        | present(audio_tokens=counts.output_audio, image_tokens=counts.output_image),
        "total_tokens": counts.total,
    }


def _meters(usage: UsageMembers, searches: int) -> Quantities:
    total = usage.count("total_tokens")
    input_, output = usage.count("input_tokens"), usage.count("output_tokens")
    if input_ is None or output is None:
        usage.flags.add("usage_unreadable")
        return usage.result({})
    if total is not None and total != input_ + output:
        usage.flags.add("usage_mismatch")
    inputs, outputs = usage.nested("input_tokens_details"), usage.nested("output_tokens_details")
    cached = _first(usage, inputs, "cached_tokens", "cache_read_input_tokens")
    written = _first(usage, inputs, "cache_write_tokens", "cache_creation_input_tokens")
    lifetimes = _lifetimes(usage, inputs, written) if written else {}
    reasoning = usage.count("reasoning_tokens", outputs) or 0
    return usage.result(
        usage.input_meters(input_, cached, written, inputs, lifetimes)
        | usage.output_meters(output, reasoning, outputs)
        | present(searches=searches or _searches(usage))
    )


def _first(usage: UsageMembers, inside: dict[str, Any], name: str, other_name: str) -> int:
    """Return a count by its name, or by the other one where it is absent."""
    count = usage.count(name, inside)
    return (usage.count(other_name, inside) if count is None else count) or 0


def _searches(usage: UsageMembers) -> int:
    tool = usage.nested("tool_calls_details").get("search_web")
    return usage.count("invocation", tool) or 0 if isinstance(tool, dict) else 0


def _lifetimes(usage: UsageMembers, inputs: dict[str, Any], written: int) -> dict[str, int]:
    """Return how long written cache tokens are kept; {} if unknown."""
    split = inputs.get("cache_write_tokens_details")
    if not isinstance(split, dict):
        return {}
    short = usage.count("ttl_30m_tokens", split) or 0
    long = usage.count("ttl_12h_tokens", split) or 0
    if short + long > written:
        usage.flags.add("usage_parts_above_total")
        return {}
    return present(in_cache_write_30m=short, in_cache_write_12h=long)
