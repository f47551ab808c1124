"""The hub with sessions that end soon, for `Hub(application=…)`: after four seconds in place of an
hour, and half a second in place of a quarter of one; a connection of the
Responses API after ten seconds, and one."""

from relay.endpoints.responses_socket import connection as responses_socket
from relay.realtime import attempt as realtime_attempt
from relay.realtime import socket_connection as socket_session
from relay.realtime.gemini_live import connection as gemini_session

vars(realtime_attempt)["SESSION_S"] = 4.0
vars(socket_session)["SESSION_IDLE_S"] = 0.5
vars(gemini_session)["SESSION_IDLE_S"] = 0.5
vars(responses_socket)["SESSION_S"] = 10.0
vars(responses_socket)["SESSION_IDLE_S"] = 1.0

from tests.soon import application  # noqa: E402

__all__ = ["application"]
