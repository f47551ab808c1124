"""The status and finish reason of the responses dialect, read and written."""

from dialects.chat.chat import JsonObject
from dialects.chat.events import FinishReason
from dialects.responses.answer.wire import Response


def read_reason(response: Response, *, called: bool) -> FinishReason | None:
    """Return the finish reason of a response, None before its end; `called`: it calls tools."""
    match response.status:
        case "completed":
            return "tool_calls" if called else "stop"
        case "incomplete":
            return "content_filter" if response.reason == "content_filter" else "length"
        case _:
            return None


def status_of(reason: FinishReason | None) -> tuple[str, JsonObject | None]:
    """Return the status of a finished response, and its `incomplete_details`."""
    match reason:
        case "length":
            return "incomplete", {"reason": "max_output_tokens"}
        case "content_filter":
            return "incomplete", {"reason": "content_filter"}
        case None:
            return "incomplete", None
        case _:
            return "completed", None
