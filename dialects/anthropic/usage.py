"""Convert the usage object of the anthropic dialect to disjoint meters.

    input   input_tokens, without tokens read from or written to the cache
    cached  cache_read_input_tokens; cache_creation_input_tokens, which `cache_creation` splits into
            those cached for 5 minutes and for 1 hour (without a split all are for 5 minutes)
    output  output_tokens, including output_tokens_details.thinking_tokens
    search  server_tool_use.web_search_requests, and code_execution_requests
    parts   iterations: the steps of an answer, each with its model. The object's counts do not
            include compactions and advice

In a stream `message_start` counts the input, and `message_delta` has the cumulative changes, which
`merge` applies. A zero that was sent is a zero, not a missing value (F28).
"""

from typing import Any

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.usage.usage import (
    Counts,
    Meters,
    Quantities,
    UsageMembers,
    UsagePart,
    present,
    read_members,
)

_STEPS = frozenset({"message", "compaction", "advisor_message", "fallback_message"})
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def merge(before: bytes | None, after: bytes) -> bytes:
    """Merge two usage objects of one stream: the last value of each member counts (F26). A null
    member of `after` is ignored. If only one of the two is an object, it is returned; if none is,
    `before`.
    """
    if before is None:
        return after
    newer = _object(after)
    if newer is None:
        return before
    known = _object(before)
    if known is None:
        return after
    return msgspec.json.encode(known | {k: v for k, v in newer.items() if bytes(v) != b"null"})


def _object(raw: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return _members.decode(raw)
    except NOT_JSON:
        return None


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object (of a stream: the merged one). Never raises."""
    usage = read_members(raw, "anthropic")
    return usage if isinstance(usage, Quantities) else _meters(usage)


def encode(counts: Counts) -> dict[str, Any]:
    """Return the usage object for a client; unknown counts are 0."""
    written = counts.cache_write
    body: dict[str, Any] = {
        "input_tokens": max(0, counts.input - counts.cache_read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_5m + counts.cache_write_30m,
            "ephemeral_1h_input_tokens": counts.cache_write_1h + counts.cache_write_12h,
        },
        "output_tokens": counts.output,
    }
    if counts.reasoning:
        body["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    if counts.searches:
        body["server_tool_use"] = {"web_search_requests": counts.searches}
    return body


def _meters(usage: UsageMembers) -> Quantities:
    members = usage.members
    if members.get("service_tier") == "batch":
        usage.add_condition("processing", "batch")
    else:
        usage.add_condition("service_tier", members.get("service_tier"))
    usage.add_condition("speed", members.get("speed"))
    usage.add_condition("inference_geo", members.get("inference_geo"))
    thinking = usage.count("thinking_tokens", usage.nested("output_tokens_details")) or 0
    meters = _tokens(usage, members, thinking)
    tools = usage.nested("server_tool_use")
    if tools:
        meters |= present(
            searches=usage.count("web_search_requests", tools),
            code_sessions=usage.count("code_execution_requests", tools),
        )
    parts = _parts(usage, meters) if members.get("iterations") else ()
    if not parts:
        return usage.result(meters)
    whole: Meters = {}
    for part in parts:
        for name, count in part.meters.items():
            whole[name] = whole.get(name, 0) + count
    return usage.result(whole, parts)


def _tokens(usage: UsageMembers, members: dict[str, Any], thinking: int = 0) -> Meters:
    """Return the tokens of the whole usage object, or of one of its parts."""
    uncached = usage.count("input_tokens", members)
    output = usage.count("output_tokens", members)
    if uncached is None or output is None:
        usage.flags.add("usage_unreadable")
        return {}
    if thinking > output:
        usage.flags.add("usage_parts_above_total")
    short, long = _cache_writes(usage, members)
    rest = present(
        in_cache_read=usage.count("cache_read_input_tokens", members),
        in_cache_write_5m=short,
        in_cache_write_1h=long,
        out_reasoning=thinking,
    )
    return {"in_text": uncached, "out_text": output - thinking} | rest


def _parts(usage: UsageMembers, whole: Meters) -> tuple[UsagePart, ...]:
    """Return the steps of an answer with several. Compactions, advice and declined attempts are not
    in the object's counts, which are those of the answer's own steps. Thinking and tool calls are
    counted for the whole object, so they are assigned to the last step of the model that answered.
    An attempt that another model took over before any output is not billed (platform.claude.com,
    release notes, 2026-06-02).
    """
    iterations = usage.members["iterations"]
    rows = (
        [row for row in iterations if isinstance(row, dict)] if isinstance(iterations, list) else []
    )
    kinds = [str(row.get("type")) for row in rows]
    for kind in kinds:
        if kind not in _STEPS:
            usage.unknown.append(f"iterations.type={kind[:40]}")
    if len(rows) < 2 and kinds != ["compaction"]:
        return ()
    fell_back = "fallback_message" in kinds
    parts: list[UsagePart] = []
    own = -1
    for row, kind in zip(rows, kinds, strict=True):
        model = row.get("model") or ""
        if not isinstance(model, str):
            usage.unknown.append("iterations.model")
            model = ""
        meters = _tokens(usage, row)
        if kind == "message" and fell_back and not meters.get("out_text"):
            continue
        if kind == ("fallback_message" if fell_back else "message"):
            own = len(parts)
        parts.append(UsagePart(model, meters))
    if own < 0:
        # All steps are separate from the answer: the object's own counts are one more step.
        return (*parts, UsagePart("", whole))
    last = parts[own]
    thinking = min(whole.get("out_reasoning", 0), last.meters.get("out_text", 0))
    of_whole = present(
        out_reasoning=thinking,
        searches=whole.get("searches"),
        code_sessions=whole.get("code_sessions"),
    )
    spoken = {"out_text": last.meters.get("out_text", 0) - thinking}
    parts[own] = UsagePart(last.model, last.meters | spoken | of_whole)
    return tuple(parts)


def _cache_writes(usage: UsageMembers, members: dict[str, Any]) -> tuple[int, int]:
    """Return the tokens written to the cache for 5 minutes and for 1 hour. The total decides,
    because only the total is updated during a stream.
    """
    split = members.get("cache_creation")
    split = split if isinstance(split, dict) else {}
    short = usage.count("ephemeral_5m_input_tokens", split) or 0
    long = usage.count("ephemeral_1h_input_tokens", split) or 0
    total = usage.count("cache_creation_input_tokens", members)
    if total is None or total == short + long:
        return short, long
    if short or long:
        usage.flags.add("usage_mismatch")
    long = min(long, total)
    return total - long, long
