"""Convert the usage object of the gemini dialect (`usageMetadata`) to disjoint meters.

    input    promptTokenCount, which includes cached tokens, plus toolUsePromptTokenCount
    cached   cachedContentTokenCount, by modality in cacheTokensDetails
    output   candidatesTokenCount plus thoughtsTokenCount
    total    the sum of these
    search   `webSearchCount`, which is ours: the answer reports searches outside its usage, and
             `with_searches` adds their number

Counts of 0 are omitted on the wire. dialects/usage/modalities.py says what counts as what.
"""

from typing import Any

from dialects.usage.modalities import Modalities, output_meters
from dialects.usage.modalities import input_meters as modality_meters
from dialects.usage.price_conditions import TIER, TRAFFIC
from dialects.usage.usage import Counts, Meters, Quantities, UsageMembers, read_members

_SEARCHES = "webSearchCount"
MODALITIES = Modalities(
    "tokenCount", "AUDIO", {"IMAGE"}, {"None", "MODALITY_UNSPECIFIED", "TEXT", "VIDEO", "DOCUMENT"}
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
    meters = input_meters(usage, prompt, tools)
    answer = MODALITIES.parts(usage, candidates, "candidatesTokensDetails")
    meters |= output_meters(usage, answer, thoughts)
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
    usage: UsageMembers, prompt: int, tools: int, modalities: Modalities = MODALITIES
) -> Meters:
    """Return the meters of `prompt` tokens of input and `tools` tokens of tool results."""
    cached = usage.count("cachedContentTokenCount") or 0
    return modality_meters(
        usage,
        modalities.parts(usage, prompt, "promptTokensDetails"),
        modalities.parts(usage, cached, "cacheTokensDetails"),
        modalities.parts(usage, tools, "toolUsePromptTokensDetails"),
    )
