"""Convert the usage object of the interactions dialect to disjoint meters.

    input    total_input_tokens, which includes cached tokens, plus total_tool_use_tokens
    cached   total_cached_tokens, by modality in cached_tokens_by_modality
    output   total_output_tokens plus total_thought_tokens
    total    total_tokens, the sum of these
    search   grounding_tool_count of the type google_search

Audio and images have meters of their own; text, video and documents count as text. Without a
breakdown, cached tokens count against text first, then audio, then image.
"""

from typing import Any, Final

from dialects.json.raw_json import dicts
from dialects.usage.usage import Counts, Meters, Quantities, UsageMembers, present, read_members

_MODALITIES: Final = frozenset({"None", "text", "audio", "image", "video", "document"})
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
        "input_tokens_by_modality": _rows(counts.input, counts.input_audio, counts.input_image),
        "total_cached_tokens": counts.cache_read,
        "total_output_tokens": visible,
        "output_tokens_by_modality": _rows(visible, counts.output_audio, counts.output_image),
        "total_tool_use_tokens": 0,
        "total_thought_tokens": counts.reasoning,
    }
    if counts.searches:
        body["grounding_tool_count"] = [{"type": _SEARCH, "count": counts.searches}]
    return body


def _rows(count: int, audio: int, image: int) -> list[dict[str, Any]]:
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
    meters = _input_meters(usage, prompt, tools) | _output_meters(usage, visible, thoughts)
    return usage.result(meters | present(searches=_searches(usage)))


def _input_meters(usage: UsageMembers, prompt: int, tools: int) -> Meters:
    cached = usage.count("total_cached_tokens") or 0
    audio = _tokens(usage, "input_tokens_by_modality", "audio")
    image = _tokens(usage, "input_tokens_by_modality", "image")
    text = prompt - audio - image
    if cached > prompt:
        usage.flags.add("usage_cached_above_input")
    elif text < 0:
        usage.flags.add("usage_parts_above_total")
    cached_audio = min(_tokens(usage, "cached_tokens_by_modality", "audio"), audio, cached)
    cached_image = _tokens(usage, "cached_tokens_by_modality", "image")
    cached_image = min(cached_image, image, cached - cached_audio)
    cached_text = min(cached - cached_audio - cached_image, max(text, 0))
    rest = cached - cached_audio - cached_image - cached_text
    more_audio = min(rest, audio - cached_audio)
    cached_audio, cached_image = cached_audio + more_audio, cached_image + rest - more_audio
    used_audio = _tokens(usage, "tool_use_tokens_by_modality", "audio")
    used_image = _tokens(usage, "tool_use_tokens_by_modality", "image")
    if used_audio + used_image > tools:
        usage.flags.add("usage_parts_above_total")
    return {"in_text": text - cached_text + tools - used_audio - used_image} | present(
        in_cache_read=cached_text,
        in_audio=audio - cached_audio + used_audio,
        in_audio_cached=cached_audio,
        in_image=image - cached_image + used_image,
        in_image_cached=cached_image,
    )


def _output_meters(usage: UsageMembers, visible: int, thoughts: int) -> Meters:
    audio = _tokens(usage, "output_tokens_by_modality", "audio")
    image = _tokens(usage, "output_tokens_by_modality", "image")
    text = visible - audio - image
    if text < 0:
        usage.flags.add("usage_parts_above_total")
    return {"out_text": text} | present(out_reasoning=thoughts, out_audio=audio, out_image=image)


def _tokens(usage: UsageMembers, name: str, modality: str) -> int:
    tokens = 0
    for row in dicts(usage.members.get(name)):
        word = row.get("modality")
        if word == modality:
            tokens += usage.count("tokens", row) or 0
        elif modality == "audio" and str(word) not in _MODALITIES:
            _note_unknown(usage, f"{name}.modality={str(word)[:40]}")
    return tokens


def _searches(usage: UsageMembers) -> int:
    searches = 0
    for row in dicts(usage.members.get("grounding_tool_count")):
        count = usage.count("count", row) or 0
        if row.get("type") == _SEARCH:
            searches += count
        elif count:
            _note_unknown(usage, f"grounding_tool_count.type={str(row.get('type'))[:40]}")
    return searches


def _note_unknown(usage: UsageMembers, unknown: str) -> None:
    if unknown not in usage.unknown:
        usage.unknown.append(unknown)
