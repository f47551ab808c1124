"""The progress of an answer: the time of its first content, the duration of its reasoning, and its
approximate length. Times are seconds of a monotonic clock."""

from dialects.chat.events import Event, ReasoningDelta, TextDelta, ToolArgumentsDelta
from relay.counting.estimates import estimate_tokens


class Progress:
    """`first_at` is None before the first content, `thought_ms` until the reasoning has ended."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.first_at: float | None = None
        self.thinking_at: float | None = None
        self.thought_ms: int | None = None
        self._text_bytes = 0
        self._reasoning_bytes = 0

    def note(self, event: Event, now: float) -> None:
        """Record that this event arrived."""
        if self.first_at is None and event.is_content:
            self.first_at = now
        if isinstance(event, ReasoningDelta):
            self._reasoning_bytes += _size(event.text)
            if self.thinking_at is None:
                self.thinking_at = now
        elif isinstance(event, (TextDelta, ToolArgumentsDelta)):
            self._text_bytes += _size(event.text)
            if isinstance(event, TextDelta):
                self.end_thought(now)

    def end_thought(self, now: float) -> None:
        """Record the end of the reasoning, if there was any."""
        if self.thinking_at is not None and self.thought_ms is None:
            self.thought_ms = int((now - self.thinking_at) * 1000)

    @property
    def thinks(self) -> bool:
        return self.thinking_at is not None and self.thought_ms is None

    @property
    def text_tokens(self) -> int:
        """The estimated tokens of the text."""
        return estimate_tokens(self._text_bytes)

    @property
    def reasoning_tokens(self) -> int:
        """The estimated tokens of the reasoning."""
        return estimate_tokens(self._reasoning_bytes)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
