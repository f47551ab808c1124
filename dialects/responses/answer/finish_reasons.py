"""Why an answer of the responses dialect ended: its status and its reason, read and written."""

from dialects.chat.chat import JsonObject
from dialects.chat.events import FinishReason
from dialects.responses.answer.wire import Response


def read_reason(response: Response, *, called: bool) -> FinishReason | None:
    """Why a response ended, None while it has not; `called`: it calls tools."""
    match response.status:
        case "completed":
            return "tool_calls" if called else "stop"
        case "incomplete":
            return "content_filter" if response.reason == "content_filter" else "length"
        case _:
            return None


def status_of(reason: FinishReason | None) -> tuple[str, JsonObject | None]:
    """The status of a response that has ended, and its `incomplete_details`."""
    match reason:
        case "length":
            return "incomplete", {"reason": "max_output_tokens"}
        case "content_filter":
            return "incomplete", {"reason": "content_filter"}
        case None:
            return "incomplete", None
        case _:
            return "completed", None
