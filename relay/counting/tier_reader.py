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

    __slots__ = ("_hear", "_heard", "_source")

    def __init__(self, source: Source, hear: Callable[[str], None]) -> None:
        self._source = source
        self._hear = hear
        # The last tier member. Chunks repeat it, and are not parsed again for the same one.
        self._heard = b""

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the complete steps."""
        return self._listen(self._source.feed(chunk))

    def end(self) -> list[Step]:
        """Return the steps that the last bytes complete, after the upstream has closed."""
        return self._listen(self._source.end())

    def _listen(self, steps: list[Step]) -> list[Step]:
        for step in steps:
            raw = step.raw
            if NAME not in raw or (self._heard and raw.count(NAME) == raw.count(self._heard)):
                continue
            tier = tier_of_frames(raw)
            if tier:
                self._heard = b'%b:"%b"' % (NAME, tier.encode(errors="replace"))
                self._hear(tier)
        return steps
