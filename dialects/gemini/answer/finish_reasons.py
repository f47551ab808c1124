"""The finish reasons of the gemini dialect, read and written."""

from typing import Final

from dialects.chat.events import FinishReason

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "LANGUAGE": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_WORDS: Final[dict[FinishReason, str]] = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}


def write_reason(reason: FinishReason | None, *, refused: bool) -> str | None:
    """Return the dialect's finish reason. An answer with a refusal text ends with the reason for
    refusals."""
    if reason is None:
        return None
    return "SAFETY" if refused and reason == "stop" else _WORDS.get(reason, "STOP")
