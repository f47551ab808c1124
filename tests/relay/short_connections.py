"""The hub with connections that end soon, for `Hub(application=…)`: realtime ones after four
seconds in place of an hour, and half a second in place of a quarter of one; those of the
Responses API after ten seconds, and one."""

from relay.endpoints.responses_socket import connection as responses_socket
from relay.realtime import attempt as realtime_attempt
from relay.realtime import socket_connection
from relay.realtime.gemini_live import connection as gemini_connection

vars(realtime_attempt)["CONNECTION_S"] = 4.0
vars(socket_connection)["CONNECTION_IDLE_S"] = 0.5
vars(gemini_connection)["CONNECTION_IDLE_S"] = 0.5
vars(responses_socket)["CONNECTION_S"] = 10.0
vars(responses_socket)["CONNECTION_IDLE_S"] = 1.0

from tests.support.soon import application  # noqa: E402

__all__ = ["application"]
