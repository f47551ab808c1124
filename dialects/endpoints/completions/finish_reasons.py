"""The finish reasons of text completions, read and written."""

from typing import Final

from dialects.chat.events import FinishReason

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "length": "length",
    "content_filter": "content_filter",
}


def write_reason(reason: FinishReason | None) -> str | None:
    """Return the finish reason by the endpoint's name."""
    return reason if reason in (None, "length", "content_filter") else "stop"
