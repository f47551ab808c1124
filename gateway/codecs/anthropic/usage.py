"""The usage object of the anthropic dialect as disjoint meters.

    input   input_tokens, without what was read from or written to the cache
    cached  cache_read_input_tokens; cache_creation_input_tokens, which `cache_creation` splits into
            those kept for 5 minutes and for 1 hour (without a split all are of 5 minutes)
    output  output_tokens, with output_tokens_details.thinking_tokens inside
    search  server_tool_use.web_search_requests

In a stream `message_start` counts the input and `message_delta` all that has changed, cumulative:
`merge` lays one over the other. A zero that was sent is a zero, not a missing value (F28).
"""

from typing import Any

import msgspec

from gateway.codecs.usage import COUNT_MAX, QUARANTINE_FLAGS, Counts, Quantities

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def merge(before: bytes | None, after: bytes) -> bytes:
    """Two usage objects of one stream as one: each member as it was told last (F26).

    A null says nothing. What is no object does not count beside one that is.
    """
    if before is None:
        return after
    try:
        known = _members.decode(before)
        told = _members.decode(after)
    except (msgspec.DecodeError, RecursionError):
        return before
    return msgspec.json.encode(known | {k: v for k, v in told.items() if bytes(v) != b"null"})


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object (of a stream: the merged one). Never raises."""
    if raw is None:
        return Quantities({}, ("usage_missing",))
    try:
        usage = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Quantities({}, ("usage_unreadable",))
    if usage is None or usage == {}:
        return Quantities({}, ("usage_missing",))
    if not isinstance(usage, dict):
        return Quantities({}, ("usage_unreadable",))
    return _Reading(usage).quantities()


def encode(counts: Counts) -> dict[str, Any]:
    """The usage object for a client; what is unknown is 0."""
    written = counts.cache_write_5m + counts.cache_write_1h
    told: dict[str, Any] = {
        "input_tokens": max(0, counts.input - counts.cache_read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_5m,
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
        },
        "output_tokens": counts.output,
    }
    if counts.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    if counts.searches:
        told["server_tool_use"] = {"web_search_requests": counts.searches}
    return told


class _Reading:
    """One usage object; flags gather while its members are read."""

    def __init__(self, usage: dict[str, Any]) -> None:
        self._usage = usage
        self._flags: set[str] = set()

    def quantities(self) -> Quantities:
        usage = self._usage
        plain = self._count(usage, "input_tokens")
        output = self._count(usage, "output_tokens")
        if plain is None or output is None:
            self._flags.add("usage_unreadable")
            return self._result({})
        meters = {"in_text": plain}
        read = self._count(usage, "cache_read_input_tokens")
        written = self._written()
        thinking = self._count(self._members("output_tokens_details"), "thinking_tokens") or 0
        if thinking > output:
            self._flags.add("usage_parts_above_total")
        searches = self._count(self._members("server_tool_use"), "web_search_requests")
        rest = {
            "in_cache_read": read,
            "in_cache_write_5m": written[0],
            "in_cache_write_1h": written[1],
            "out_reasoning": thinking,
            "searches": searches,
        }
        meters["out_text"] = output - thinking
        return self._result(meters | {name: count for name, count in rest.items() if count})

    def _written(self) -> tuple[int, int]:
        """What was written to the cache for 5 minutes and for 1 hour.

        The total is what counts, for it alone goes on while a stream runs.
        """
        split = self._members("cache_creation")
        short = self._count(split, "ephemeral_5m_input_tokens") or 0
        long = self._count(split, "ephemeral_1h_input_tokens") or 0
        total = self._count(self._usage, "cache_creation_input_tokens")
        if total is None or total == short + long:
            return short, long
        if short or long:
            self._flags.add("usage_mismatch")
        long = min(long, total)
        return total - long, long

    def _result(self, meters: dict[str, int]) -> Quantities:
        lies = not QUARANTINE_FLAGS.isdisjoint(self._flags)
        return Quantities({} if lies else meters, tuple(sorted(self._flags)))

    def _members(self, name: str) -> dict[str, Any]:
        value = self._usage.get(name)
        return value if isinstance(value, dict) else {}

    def _count(self, members: dict[str, Any], name: str) -> int | None:
        value = members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._flags.add("usage_not_integer")
            return None
        if value < 0:
            self._flags.add("usage_negative")
            return None
        if value > COUNT_MAX:
            self._flags.add("usage_huge")
            return None
        return value
