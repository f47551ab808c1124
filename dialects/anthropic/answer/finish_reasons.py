"""The stop reasons of the anthropic dialect, read and written."""

from typing import Final

from dialects.chat.events import FinishReason

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "pause",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
}


def write_reason(reason: FinishReason, *, refused: bool) -> str:
    """Return the dialect's stop reason; an answer with a refusal text ends with `refusal`."""
    return "refusal" if refused and reason == "stop" else _WORDS[reason]
