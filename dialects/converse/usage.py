"""Convert the usage object of the converse dialect to disjoint meters.

    input    inputTokens, without tokens read from or written to the cache
    cached   cacheReadInputTokens; cacheWriteInputTokens, which `cacheDetails` splits by lifetime
    output   outputTokens, including reasoning, which has no count of its own

`serviceTier` is a sibling of the usage on the wire, and read as its member.
"""

from typing import Any

from dialects.usage.usage import Counts, Meters, Quantities, UsageMembers, present, read_members


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object. Never raises."""
    usage = read_members(raw, "converse")
    return usage if isinstance(usage, Quantities) else usage.result(_meters(usage))


def _meters(usage: UsageMembers) -> Meters:
    usage.add_condition("service_tier", usage.members.get("serviceTier"))
    uncached, output = usage.count("inputTokens"), usage.count("outputTokens")
    if uncached is None or output is None:
        usage.flags.add("usage_unreadable")
        return {}
    written = usage.count("cacheWriteInputTokens") or 0
    long = _long_writes(usage, usage.members.get("cacheDetails"))
    if long > written:
        usage.flags.add("usage_mismatch")
    long = min(long, written)
    rest = present(
        in_cache_read=usage.count("cacheReadInputTokens"),
        in_cache_write_5m=written - long,
        in_cache_write_1h=long,
    )
    return {"in_text": uncached, "out_text": output} | rest


def _long_writes(usage: UsageMembers, details: Any) -> int:
    """Return the tokens that were cached for an hour."""
    rows = details if isinstance(details, list) else []
    long = [row for row in rows if isinstance(row, dict) and row.get("ttl") == "1h"]
    return sum(usage.count("inputTokens", row) or 0 for row in long)


def encode(counts: Counts) -> dict[str, Any]:
    """Return the usage object of these counts."""
    usage: dict[str, Any] = {
        "inputTokens": max(0, counts.input - counts.cache_read - counts.cache_write),
        "outputTokens": counts.output,
        "totalTokens": counts.total,
        "cacheReadInputTokens": counts.cache_read,
        "cacheWriteInputTokens": counts.cache_write,
    }
    # The dialect knows two lifetimes.
    kept = (("5m", counts.cache_write_5m), ("1h", counts.cache_write_1h))
    details = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in kept if tokens]
    return usage | {"cacheDetails": details} if details else usage
