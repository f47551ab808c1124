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
