"""Detect the service tier of an upstream's answer in its stream."""

from collections.abc import Callable
from typing import Protocol

from dialects.chat.events import Step
from dialects.usage.service_tier import NAME, tier_of_frames


class Source(Protocol):
    """Turns received chunks into steps: a decoder, or a wrapper around one."""

    def feed(self, chunk: bytes) -> list[Step]: ...
    def end(self) -> list[Step]: ...


class TierReader:
    """Wraps a source and reports the tier that its frames name."""

    __slots__ = ("_known", "_on_tier", "_source")

    def __init__(self, source: Source, on_tier: Callable[[str], None]) -> None:
        self._source = source
        self._on_tier = on_tier
        # The last tier member. Chunks repeat it, and are not parsed again for the same one.
        self._known = b""

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the complete steps."""
        return self._report_tiers(self._source.feed(chunk))

    def end(self) -> list[Step]:
        """Return the steps that the last bytes complete, after the upstream has closed."""
        return self._report_tiers(self._source.end())

    def _report_tiers(self, steps: list[Step]) -> list[Step]:
        for step in steps:
            raw = step.raw
            if NAME not in raw or (self._known and raw.count(NAME) == raw.count(self._known)):
                continue
            tier = tier_of_frames(raw)
            if tier:
                self._known = b'%b:"%b"' % (NAME, tier.encode(errors="replace"))
                self._on_tier(tier)
        return steps
