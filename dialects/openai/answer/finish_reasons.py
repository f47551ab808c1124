"""The finish reasons of the openai dialect, read and written."""

from typing import Final

from dialects.chat.events import FinishReason

# Reasons outside the dialect's own list are those of DeepSeek and GLM (their API references, 2026).
FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "model_context_window_exceeded": "length",
}
# Finish reasons of DeepSeek and GLM for answers cut off for lack of capacity.
OVERLOADED_REASONS: Final = frozenset({"insufficient_system_resource", "network_error"})


def write_reason(reason: FinishReason | None, *, legacy_functions: bool) -> str | None:
    """Return the finish reason by the dialect's name."""
    if reason in ("stop_sequence", "pause"):
        return "stop"
    return "function_call" if reason == "tool_calls" and legacy_functions else reason
