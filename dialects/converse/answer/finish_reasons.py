"""The stop reasons of the converse dialect."""

from typing import Final

from dialects.chat.events import FinishReason

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# The model wrote what Bedrock could not read: a fault (F15), not an end.
MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "pause": "end_turn",
}


def write_reason(reason: FinishReason, *, refused: bool) -> str:
    """Return the word for a reason; `refused`: the answer is a refusal in words."""
    return _WORDS["content_filter" if refused and reason == "stop" else reason]
