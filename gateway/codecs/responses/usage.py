"""The usage object of the responses dialect as disjoint meters.

    input   input_tokens holds cached and cache-written tokens (input_tokens_details)
    output  output_tokens holds reasoning tokens (output_tokens_details)
    search  not in the object: the number of web_search_call items of the answer, for the caller
            to tell

Some servers tell audio and image tokens in the details too. Cached tokens count against text
first, then audio, then image. A zero that was sent is a zero, not a missing value (F28).
"""

from typing import Any

import msgspec

from gateway.codecs.usage import COUNT_MAX, QUARANTINE_FLAGS, Counts
from gateway.codecs.usage import Quantities as Quantities


def quantities(raw: bytes | None, *, searches: int = 0) -> Quantities:
    """Read a raw usage object; `searches` is what the decoder counted. Never raises."""
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
    return _Reading(usage).quantities(searches)


def encode(counts: Counts) -> dict[str, Any]:
    """The usage object for a client; details that are unknown are 0."""
    inputs = {
        "cached_tokens": counts.cache_read,
        "cache_write_tokens": counts.cache_write_5m + counts.cache_write_1h,
    }
    outputs = {"reasoning_tokens": counts.reasoning}
    return {
        "input_tokens": counts.input,
        "input_tokens_details": inputs
        | _present(audio_tokens=counts.input_audio, image_tokens=counts.input_image),
        "output_tokens": counts.output,
        "output_tokens_details": outputs
        | _present(audio_tokens=counts.output_audio, image_tokens=counts.output_image),
        "total_tokens": counts.total,
    }


class _Reading:
    """One usage object while it is read: every odd value leaves a flag and counts as absent."""

    def __init__(self, usage: dict[str, Any]) -> None:
        self._usage = usage
        self._in = _members(usage, "input_tokens_details")
        self._out = _members(usage, "output_tokens_details")
        self._flags: set[str] = set()

    def quantities(self, searches: int) -> Quantities:
        input_ = self._count(self._usage, "input_tokens")
        output = self._count(self._usage, "output_tokens")
        total = self._count(self._usage, "total_tokens")
        if input_ is None or output is None:
            self._flags.add("usage_unreadable")
            return self._result({})
        if total is not None and total != input_ + output:
            self._flags.add("usage_mismatch")
        meters = self._input_meters(input_) | self._output_meters(output)
        return self._result(meters | _present(searches=searches))

    def _result(self, meters: dict[str, int]) -> Quantities:
        lies = not QUARANTINE_FLAGS.isdisjoint(self._flags)
        return Quantities({} if lies else meters, tuple(sorted(self._flags)))

    def _input_meters(self, input_: int) -> dict[str, int]:
        cached = self._count(self._in, "cached_tokens") or 0
        written = self._count(self._in, "cache_write_tokens") or 0
        audio = self._count(self._in, "audio_tokens") or 0
        image = self._count(self._in, "image_tokens") or 0
        text = input_ - written - audio - image
        if cached > input_:
            self._flags.add("usage_cached_above_input")
        elif text < 0 or cached > text + audio + image:
            self._flags.add("usage_parts_above_total")
        cached_text = min(cached, max(text, 0))
        cached_audio = min(cached - cached_text, audio)
        cached_image = cached - cached_text - cached_audio
        return {"in_text": text - cached_text} | _present(
            in_cache_read=cached_text,
            in_cache_write_5m=written,
            in_audio=audio - cached_audio,
            in_audio_cached=cached_audio,
            in_image=image - cached_image,
            in_image_cached=cached_image,
        )

    def _output_meters(self, output: int) -> dict[str, int]:
        reasoning = self._count(self._out, "reasoning_tokens") or 0
        audio = self._count(self._out, "audio_tokens") or 0
        image = self._count(self._out, "image_tokens") or 0
        text = output - reasoning - audio - image
        if text < 0:
            self._flags.add("usage_parts_above_total")
        return {"out_text": text} | _present(
            out_reasoning=reasoning, out_audio=audio, out_image=image
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


def _members(usage: dict[str, Any], name: str) -> dict[str, Any]:
    value = usage.get(name)
    return value if isinstance(value, dict) else {}


def _present(**counts: int) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
