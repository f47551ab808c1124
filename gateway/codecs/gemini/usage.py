"""The usage object of the gemini dialect (`usageMetadata`) as disjoint meters.

    input    promptTokenCount, which holds the cached ones, and apart from it
             toolUsePromptTokenCount
    cached   cachedContentTokenCount, by modality in cacheTokensDetails
    output   candidatesTokenCount, and apart from it thoughtsTokenCount
    total    all four added
    search   `webSearchCount`, which is ours: the answer tells searches beside its usage, and
             `with_searches` puts their number in

Counts of 0 are left out on the wire. Modalities: audio and image have meters of their own, text,
video and documents count as text. Where it is not said which input was cached, cached tokens count
against text first, then audio, then image.
"""

from typing import Any

import msgspec

from gateway.codecs.usage import COUNT_MAX, QUARANTINE_FLAGS, Counts, Quantities

_SEARCHES = "webSearchCount"


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object (the last one of a stream, F26). Never raises."""
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


def with_searches(raw: bytes, searches: int) -> bytes:
    """A raw usage object with the number of searches that the answer tells beside it."""
    body = raw.rstrip()
    if not searches or not body.startswith(b"{"):
        return raw
    comma = b"" if body[1:-1].strip() == b"" else b","
    return body[:-1] + comma + b'"%s":%d}' % (_SEARCHES.encode(), searches)


def encode(counts: Counts) -> dict[str, Any]:
    """The usage object for a client; counts of 0 that are no side's own are left out."""
    told: dict[str, Any] = {
        "promptTokenCount": counts.input,
        "candidatesTokenCount": counts.output - counts.reasoning,
        "totalTokenCount": counts.total,
    }
    if counts.reasoning:
        told["thoughtsTokenCount"] = counts.reasoning
    if counts.cache_read:
        told["cachedContentTokenCount"] = counts.cache_read
    if counts.input:
        told["promptTokensDetails"] = _details(counts.input, counts.input_audio, counts.input_image)
    if said := counts.output - counts.reasoning:
        told["candidatesTokensDetails"] = _details(said, counts.output_audio, counts.output_image)
    return told


def _details(count: int, audio: int, image: int) -> list[dict[str, Any]]:
    parts = {"TEXT": count - audio - image, "AUDIO": audio, "IMAGE": image}
    return [{"modality": name, "tokenCount": part} for name, part in parts.items() if part > 0]


class _Reading:
    """One usage object while it is read: every odd value leaves a flag and counts as absent."""

    def __init__(self, usage: dict[str, Any]) -> None:
        self._usage = usage
        self._flags: set[str] = set()

    def quantities(self) -> Quantities:
        tools = self._count(self._usage, "toolUsePromptTokenCount") or 0
        thoughts = self._count(self._usage, "thoughtsTokenCount") or 0
        prompt = self._count(self._usage, "promptTokenCount")
        candidates = self._count(self._usage, "candidatesTokenCount")
        total = self._count(self._usage, "totalTokenCount")
        if prompt is None and total is not None:
            prompt = total - tools - thoughts - (candidates or 0)
        if prompt is None:
            self._flags.add("usage_unreadable")
            return self._result({})
        if candidates is None:
            # Some answers leave it out and tell the total alone.
            candidates = 0 if total is None else total - prompt - tools - thoughts
        if prompt < 0 or candidates < 0:
            self._flags.add("usage_parts_above_total")
            return self._result({})
        if total is not None and total != prompt + tools + candidates + thoughts:
            self._flags.add("usage_mismatch")
        meters = self._input_meters(prompt, tools) | self._output_meters(candidates, thoughts)
        if searches := self._count(self._usage, _SEARCHES):
            meters["searches"] = searches
        return self._result(meters)

    def _result(self, meters: dict[str, int]) -> Quantities:
        lies = not QUARANTINE_FLAGS.isdisjoint(self._flags)
        return Quantities({} if lies else meters, tuple(sorted(self._flags)))

    def _input_meters(self, prompt: int, tools: int) -> dict[str, int]:
        cached = self._count(self._usage, "cachedContentTokenCount") or 0
        audio = self._modality("promptTokensDetails", "AUDIO")
        image = self._modality("promptTokensDetails", "IMAGE")
        text = prompt - audio - image
        if cached > prompt:
            self._flags.add("usage_cached_above_input")
        elif text < 0:
            self._flags.add("usage_parts_above_total")
        cached_audio = min(self._modality("cacheTokensDetails", "AUDIO"), audio, cached)
        cached_image = min(
            self._modality("cacheTokensDetails", "IMAGE"), image, cached - cached_audio
        )
        cached_text = min(cached - cached_audio - cached_image, max(text, 0))
        rest = cached - cached_audio - cached_image - cached_text
        more_audio = min(rest, audio - cached_audio)
        cached_audio, cached_image = cached_audio + more_audio, cached_image + rest - more_audio
        used_audio = self._modality("toolUsePromptTokensDetails", "AUDIO")
        used_image = self._modality("toolUsePromptTokensDetails", "IMAGE")
        if used_audio + used_image > tools:
            self._flags.add("usage_parts_above_total")
        return {"in_text": text - cached_text + tools - used_audio - used_image} | _present(
            in_cache_read=cached_text,
            in_audio=audio - cached_audio + used_audio,
            in_audio_cached=cached_audio,
            in_image=image - cached_image + used_image,
            in_image_cached=cached_image,
        )

    def _output_meters(self, candidates: int, thoughts: int) -> dict[str, int]:
        audio = self._modality("candidatesTokensDetails", "AUDIO")
        image = self._modality("candidatesTokensDetails", "IMAGE")
        text = candidates - audio - image
        if text < 0:
            self._flags.add("usage_parts_above_total")
        return {"out_text": text} | _present(
            out_reasoning=thoughts, out_audio=audio, out_image=image
        )

    def _modality(self, name: str, modality: str) -> int:
        details = self._usage.get(name)
        found = details if isinstance(details, list) else []
        return sum(
            self._count(one, "tokenCount") or 0
            for one in found
            if isinstance(one, dict) and one.get("modality") == modality
        )

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


def _present(**meters: int) -> dict[str, int]:
    return {name: count for name, count in meters.items() if count}
