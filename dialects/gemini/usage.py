"""Convert the usage object of the gemini dialect (`usageMetadata`) to disjoint meters.

    input    promptTokenCount, which includes cached tokens, plus toolUsePromptTokenCount
    cached   cachedContentTokenCount, by modality in cacheTokensDetails
    output   candidatesTokenCount plus thoughtsTokenCount
    total    the sum of these
    search   `webSearchCount`, which is ours: the answer reports searches outside its usage, and
             `with_searches` adds their number

Counts of 0 are omitted on the wire. Audio and images have meters of their own; text, video and
documents count as text. Without details, cached tokens count against text first, then audio, then
image.
"""

from typing import Any

from dialects.usage.price_conditions import TIER, TRAFFIC
from dialects.usage.usage import Counts, Meters, Quantities, UsageMembers, present, read_members

_SEARCHES = "webSearchCount"
_MODALITIES = frozenset(
    {"None", "MODALITY_UNSPECIFIED", "TEXT", "AUDIO", "IMAGE", "VIDEO", "DOCUMENT"}
)


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object (the last one of a stream, F26). Never raises."""
    usage = read_members(raw, "gemini")
    return usage if isinstance(usage, Quantities) else _meters(usage)


def with_searches(raw: bytes, searches: int) -> bytes:
    """Return a raw usage object with the number of searches, which the answer reports outside
    it.
    """
    body = raw.rstrip()
    if not searches or not body.startswith(b"{"):
        return raw
    comma = b"" if body[1:-1].strip() == b"" else b","
    return body[:-1] + comma + b'"%s":%d}' % (_SEARCHES.encode(), searches)


def encode(counts: Counts) -> dict[str, Any]:
    """Return the usage object for a client. Counts of 0 are omitted, except the total of each
    side."""
    body: dict[str, Any] = {
        "promptTokenCount": counts.input,
        "candidatesTokenCount": counts.output - counts.reasoning,
        "totalTokenCount": counts.total,
    }
    if counts.reasoning:
        body["thoughtsTokenCount"] = counts.reasoning
    if counts.cache_read:
        body["cachedContentTokenCount"] = counts.cache_read
    if counts.input:
        body["promptTokensDetails"] = _details(counts.input, counts.input_audio, counts.input_image)
    if visible := counts.output - counts.reasoning:
        body["candidatesTokensDetails"] = _details(
            visible, counts.output_audio, counts.output_image
        )
    return body


def _details(count: int, audio: int, image: int) -> list[dict[str, Any]]:
    parts = {"TEXT": count - audio - image, "AUDIO": audio, "IMAGE": image}
    return [{"modality": name, "tokenCount": part} for name, part in parts.items() if part > 0]


def _meters(usage: UsageMembers) -> Quantities:
    read_tier(usage)
    tools = usage.count("toolUsePromptTokenCount") or 0
    thoughts = usage.count("thoughtsTokenCount") or 0
    prompt = usage.count("promptTokenCount")
    candidates = usage.count("candidatesTokenCount")
    total = usage.count("totalTokenCount")
    if prompt is None and total is not None:
        prompt = total - tools - thoughts - (candidates or 0)
    if prompt is None:
        usage.flags.add("usage_unreadable")
        return usage.result({})
    if candidates is None:
        # Some answers omit it and report only the total.
        candidates = 0 if total is None else total - prompt - tools - thoughts
    if prompt < 0 or candidates < 0:
        usage.flags.add("usage_parts_above_total")
        return usage.result({})
    if total is not None and total != prompt + tools + candidates + thoughts:
        usage.flags.add("usage_mismatch")
    meters = input_meters(usage, prompt, tools) | _output_meters(usage, candidates, thoughts)
    if searches := usage.count(_SEARCHES):
        meters["searches"] = searches
    return usage.result(meters)


def read_tier(usage: UsageMembers) -> None:
    """Read the service tier that the usage names."""
    traffic, tier = usage.members.get("trafficType"), usage.members.get("serviceTier")
    if traffic is not None:
        word = TRAFFIC.get(traffic) if isinstance(traffic, str) else None
        if word is None:
            usage.unknown.append(f"trafficType={str(traffic)[:40]}")
        elif tier is None:
            tier = word
    usage.add_condition(TIER, tier)


def input_meters(
    usage: UsageMembers, prompt: int, tools: int, pictures: tuple[str, ...] = ("IMAGE",)
) -> Meters:
    """Return the meters of `prompt` tokens of input and `tools` tokens of tool results. `pictures`
    are the modalities that count as pictures."""
    cached = usage.count("cachedContentTokenCount") or 0
    audio = modality_tokens(usage, "promptTokensDetails", "AUDIO")
    image = _pictures(usage, "promptTokensDetails", pictures)
    text = prompt - audio - image
    if cached > prompt:
        usage.flags.add("usage_cached_above_input")
    elif text < 0:
        usage.flags.add("usage_parts_above_total")
    cached_audio = min(modality_tokens(usage, "cacheTokensDetails", "AUDIO"), audio, cached)
    cached_image = min(
        _pictures(usage, "cacheTokensDetails", pictures), image, cached - cached_audio
    )
    cached_text = min(cached - cached_audio - cached_image, max(text, 0))
    rest = cached - cached_audio - cached_image - cached_text
    more_audio = min(rest, audio - cached_audio)
    cached_audio, cached_image = cached_audio + more_audio, cached_image + rest - more_audio
    used_audio = modality_tokens(usage, "toolUsePromptTokensDetails", "AUDIO")
    used_image = _pictures(usage, "toolUsePromptTokensDetails", pictures)
    if used_audio + used_image > tools:
        usage.flags.add("usage_parts_above_total")
    return {"in_text": text - cached_text + tools - used_audio - used_image} | present(
        in_cache_read=cached_text,
        in_audio=audio - cached_audio + used_audio,
        in_audio_cached=cached_audio,
        in_image=image - cached_image + used_image,
        in_image_cached=cached_image,
    )


def _output_meters(usage: UsageMembers, candidates: int, thoughts: int) -> Meters:
    audio = modality_tokens(usage, "candidatesTokensDetails", "AUDIO")
    image = modality_tokens(usage, "candidatesTokensDetails", "IMAGE")
    text = candidates - audio - image
    if text < 0:
        usage.flags.add("usage_parts_above_total")
    return {"out_text": text} | present(out_reasoning=thoughts, out_audio=audio, out_image=image)


def _pictures(usage: UsageMembers, name: str, modalities: tuple[str, ...]) -> int:
    return sum(modality_tokens(usage, name, modality) for modality in modalities)


def modality_tokens(usage: UsageMembers, name: str, modality: str) -> int:
    """Return the tokens of a modality in a list of details."""
    details = usage.members.get(name)
    rows = details if isinstance(details, list) else []
    tokens = 0
    for row in rows:
        if isinstance(row, dict):
            if row.get("modality") == modality:
                tokens += usage.count("tokenCount", row) or 0
            elif modality == "AUDIO" and str(row.get("modality")) not in _MODALITIES:
                unknown = f"{name}.modality={str(row.get('modality'))[:40]}"
                if unknown not in usage.unknown:
                    usage.unknown.append(unknown)
    return tokens
