"""Why a text completion ended: its finish reasons, read and written."""

from typing import Final

from dialects.chat.events import FinishReason

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "length": "length",
    "content_filter": "content_filter",
}


def write_reason(reason: FinishReason | None) -> str | None:
    """The finish reason in the words of the endpoint."""
    return reason if reason in (None, "length", "content_filter") else "stop"
