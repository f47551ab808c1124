"""Convert the usage object of the interactions dialect to disjoint meters.

    input    total_input_tokens, which includes cached tokens, plus total_tool_use_tokens
    cached   total_cached_tokens, by modality in cached_tokens_by_modality
    output   total_output_tokens plus total_thought_tokens
    total    total_tokens, the sum of these
    search   grounding_tool_count of the type google_search

dialects/usage/modalities.py says what counts as what.
"""

from typing import Any, Final

from dialects.json.raw_json import dicts
from dialects.usage.modalities import Modalities, input_meters, output_meters
from dialects.usage.usage import Counts, Quantities, UsageMembers, present, read_members

_MODALITIES: Final = Modalities("tokens", "audio", {"image"}, {"None", "text", "video", "document"})
_SEARCH: Final = "google_search"


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object (the last one of a stream, F26). Never raises."""
    usage = read_members(raw, "interactions")
    return usage if isinstance(usage, Quantities) else _meters(usage)


def encode(counts: Counts) -> dict[str, Any]:
    """Return the usage object for a client."""
    visible = counts.output - counts.reasoning
    body: dict[str, Any] = {
        "total_tokens": counts.total,
        "total_input_tokens": counts.input,
        "input_tokens_by_modality": _tokens_by_modality(
            counts.input, counts.input_audio, counts.input_image
        ),
        "total_cached_tokens": counts.cache_read,
        "total_output_tokens": visible,
        "output_tokens_by_modality": _tokens_by_modality(
            visible, counts.output_audio, counts.output_image
        ),
        "total_tool_use_tokens": 0,
        "total_thought_tokens": counts.reasoning,
    }
    if counts.searches:
        body["grounding_tool_count"] = [{"type": _SEARCH, "count": counts.searches}]
    return body


def _tokens_by_modality(count: int, audio: int, image: int) -> list[dict[str, Any]]:
    parts = {"text": count - audio - image, "audio": audio, "image": image}
    return [{"modality": name, "tokens": part} for name, part in parts.items() if part > 0]


def _meters(usage: UsageMembers) -> Quantities:
    tools = usage.count("total_tool_use_tokens") or 0
    thoughts = usage.count("total_thought_tokens") or 0
    prompt, visible = usage.count("total_input_tokens"), usage.count("total_output_tokens")
    if prompt is None or visible is None:
        usage.flags.add("usage_unreadable")
        return usage.result({})
    total = usage.count("total_tokens")
    if total is not None and total != prompt + tools + visible + thoughts:
        usage.flags.add("usage_mismatch")
    cached = usage.count("total_cached_tokens") or 0
    meters = input_meters(
        usage,
        _MODALITIES.parts(usage, prompt, "input_tokens_by_modality"),
        _MODALITIES.parts(usage, cached, "cached_tokens_by_modality"),
        _MODALITIES.parts(usage, tools, "tool_use_tokens_by_modality"),
    )
    answer = _MODALITIES.parts(usage, visible, "output_tokens_by_modality")
    meters |= output_meters(usage, answer, thoughts) | present(searches=_searches(usage))
    return usage.result(meters)


def _searches(usage: UsageMembers) -> int:
    searches = 0
    for row in dicts(usage.members.get("grounding_tool_count")):
        count = usage.count("count", row) or 0
        if row.get("type") == _SEARCH:
            searches += count
        elif count:
            usage.note_unknown(f"grounding_tool_count.type={str(row.get('type'))[:40]}")
    return searches
