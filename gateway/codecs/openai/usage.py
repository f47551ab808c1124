"""The usage object of the openai dialect as disjoint meters.

OpenAI, DeepSeek, Qwen, Kimi and xAI send one dialect with different members:

    input   prompt_tokens holds cached, cache-written, audio and image tokens
    cached  prompt_tokens_details.cached_tokens, else prompt_cache_hit_tokens (DeepSeek; hit and
            miss make up prompt_tokens), else cached_tokens (Kimi)
    output  completion_tokens holds reasoning, audio and image tokens; only xAI's own wire has
            reasoning outside of it, which total_tokens tells
    search  num_sources_used (xAI), plugins.search.count (Qwen)

Where it is not said which input was cached, cached tokens count against text first, then audio,
then image. A zero that was sent is a zero, not a missing value (F28).
"""

from typing import Any

import msgspec

from gateway.codecs.usage import COUNT_MAX, Counts
from gateway.codecs.usage import QUARANTINE_FLAGS as QUARANTINE_FLAGS
from gateway.codecs.usage import Quantities as Quantities
from gateway.codecs.usage import storable as storable


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


def encode(counts: Counts) -> dict[str, Any]:
    """The usage object for a client; details that are unknown are 0."""
    told: dict[str, Any] = {
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
    if written := counts.cache_write_5m + counts.cache_write_1h:
        told["prompt_tokens_details"]["cache_write_tokens"] = written
    if counts.searches:
        told["num_sources_used"] = counts.searches
    return told


class _Reading:
    """One usage object while it is read: every odd value leaves a flag and counts as absent."""

    def __init__(self, usage: dict[str, Any]) -> None:
        self._usage = usage
        self._in = self._members(usage, "prompt_tokens_details")
        self._out = self._members(usage, "completion_tokens_details")
        self._flags: set[str] = set()

    def quantities(self) -> Quantities:
        prompt = self._count(self._usage, "prompt_tokens")
        completion = self._count(self._usage, "completion_tokens")
        total = self._count(self._usage, "total_tokens")
        if prompt is None and total is not None and completion is not None:
            prompt = total - completion
        if completion is None and total is not None and prompt is not None:
            completion = total - prompt
        if prompt is None or completion is None:
            self._flags.add("usage_unreadable")
            return self._result({})
        if prompt < 0 or completion < 0:
            self._flags.add("usage_parts_above_total")
            return self._result({})
        meters = self._input_meters(prompt) | self._output_meters(prompt, completion, total)
        if searches := self._searches():
            meters["searches"] = searches
        return self._result(meters)

    def _result(self, meters: dict[str, int]) -> Quantities:
        lies = not QUARANTINE_FLAGS.isdisjoint(self._flags)
        return Quantities({} if lies else meters, tuple(sorted(self._flags)))

    def _input_meters(self, prompt: int) -> dict[str, int]:
        cached = self._cached(prompt)
        written = self._count(self._in, "cache_write_tokens")
        if written is None:
            written = self._count(self._in, "cache_creation_input_tokens")
        written = written or 0
        audio = self._count(self._in, "audio_tokens") or 0
        image = self._count(self._in, "image_tokens") or 0
        text = prompt - written - audio - image
        if cached > prompt:
            self._flags.add("usage_cached_above_input")
        elif text < 0 or cached > text + audio + image:
            self._flags.add("usage_parts_above_total")
        cached_text = min(cached, max(text, 0))
        cached_audio = min(cached - cached_text, audio)
        cached_image = cached - cached_text - cached_audio
        meters = {"in_text": text - cached_text}
        return meters | _present(
            in_cache_read=cached_text,
            in_cache_write_5m=written,
            in_audio=audio - cached_audio,
            in_audio_cached=cached_audio,
            in_image=image - cached_image,
            in_image_cached=cached_image,
        )

    def _cached(self, prompt: int) -> int:
        hit = self._count(self._usage, "prompt_cache_hit_tokens")
        miss = self._count(self._usage, "prompt_cache_miss_tokens")
        if hit is not None and miss is not None and hit + miss != prompt:
            self._flags.add("usage_mismatch")
        cached = self._count(self._in, "cached_tokens")
        if cached is None:
            cached = hit
        if cached is None:
            cached = self._count(self._usage, "cached_tokens")
        return cached or 0

    def _output_meters(self, prompt: int, completion: int, total: int | None) -> dict[str, int]:
        reasoning = self._count(self._out, "reasoning_tokens") or 0
        audio = self._count(self._out, "audio_tokens") or 0
        image = self._count(self._out, "image_tokens") or 0
        output = self._output(prompt, completion, reasoning, total)
        text = output - reasoning - audio - image
        if text < 0:
            self._flags.add("usage_parts_above_total")
        return {"out_text": text} | _present(
            out_reasoning=reasoning, out_audio=audio, out_image=image
        )

    def _output(self, prompt: int, completion: int, reasoning: int, total: int | None) -> int:
        """All output, with reasoning inside, by what `total_tokens` says about the wire form."""
        if total == prompt + completion:
            return completion
        if total == prompt + completion + reasoning:
            return completion + reasoning
        if total is None:
            if completion >= reasoning:
                return completion
            self._flags.add("usage_mismatch")
            return completion + reasoning
        self._flags.add("usage_mismatch")
        return completion if completion >= reasoning else total - prompt

    def _searches(self) -> int:
        sources = self._count(self._usage, "num_sources_used")
        search = self._members(self._members(self._usage, "plugins"), "search")
        return sources or self._count(search, "count") or 0

    @staticmethod
    def _members(usage: dict[str, Any], name: str) -> dict[str, Any]:
        value = usage.get(name)
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


def _present(**meters: int) -> dict[str, int]:
    return {name: count for name, count in meters.items() if count}
