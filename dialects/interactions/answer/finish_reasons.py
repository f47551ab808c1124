"""The status of an interaction, read and written. A filter ends it incomplete, with an error."""

from typing import Final

from dialects.chat.chat import JsonObject
from dialects.chat.events import FinishReason
from dialects.interactions.answer.wire import Interaction

ENDED: Final = frozenset(
    {"completed", "requires_action", "incomplete", "budget_exceeded", "requires_continuation"}
)
_FILTERED: Final = {"code": "content_filter", "message": "The answer was stopped by a filter."}


def read_reason(interaction: Interaction, *, called: bool) -> FinishReason | None:
    """Return why an interaction ended, None before its end; `called`: it calls tools."""
    match interaction.status:
        case "completed" | "requires_action":
            return "tool_calls" if called else "stop"
        case "incomplete" if interaction.is_filtered:
            return "content_filter"
        case "incomplete" | "budget_exceeded" | "requires_continuation":
            return "length"
        case _:
            return None


def status_of(reason: FinishReason | None) -> JsonObject:
    """Return the members of an interaction that say how it ended."""
    match reason:
        case "tool_calls":
            return {"status": "requires_action"}
        case "content_filter":
            return {"status": "incomplete", "errors": [_FILTERED]}
        case "length" | None:
            return {"status": "incomplete"}
        case _:
            return {"status": "completed"}
