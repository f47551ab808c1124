"""How sessions are named that no request names, and the header with the limit of one: what relay
and pages of sessions both know. Where requests name theirs: `relay/requests/sessions.py`."""

from typing import Final

CAP_HEADER: Final = "x-weir-session-budget"
"""The client's cost limit for its session, as a decimal number in USD."""
REALTIME: Final = "realtime"
"""The source of a realtime connection, which is a session of its own."""
FIRST_RESPONSE: Final = "first_response"
"""The source of a response that names no session. Responses that continue it belong to the same
session."""
