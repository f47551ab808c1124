"""The operations on Live sessions that Weir does not relay, each with the reason and the next step:
sessions whose sound goes past Weir, and sessions that a provider stores."""

from collections.abc import Mapping
from typing import Final

from dialects.errors.errors import RequestFault
from relay.context.records import record_refusal
from relay.downstream.error_answers import answer_to
from relay.front.request import Request

_PAST_WEIR: Final = (
    " Sound over WebRTC or SIP goes past Weir, which could neither count nor end the session. "
    "Connect a WebSocket to /v1/live/sessions."
)
_STORED: Final = (
    " Sessions are not stored, because a stored one belongs to the account of the channel. Start "
    "one over a WebSocket at /v1/live/sessions, with the history in session.input."
)
_SIDEBAND: Final = (
    " A sideband connection is for sessions over WebRTC or SIP. The WebSocket of /v1/live/sessions "
    "has all events, and takes all commands."
)
_REASONS: Final[Mapping[str, str]] = {
    "attach": _SIDEBAND,
    "content": _STORED,
    "fork": _STORED,
}


async def refuse_live(request: Request) -> None:
    """Record a request that is not relayed, and refuse it with the reason. Raises RequestFault."""
    action = request.scope["path"].rstrip("/").rpartition("/")[2]
    fault = RequestFault("not_implemented", None, _REASONS.get(action, _PAST_WEIR))
    record_refusal(request.make_context(request.invocation), answer_to(fault), "", stream=False)
    raise fault
