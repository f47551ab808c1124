"""The hub with sessions that end soon, for `Hub(application=…)`: after four seconds in place of an
hour, and half a second in place of a quarter of one."""

from relay.media.gemini_live import session as gemini_session
from relay.media.realtime import attempt as realtime_attempt
from relay.media.realtime import socket_session

vars(realtime_attempt)["SESSION_S"] = 4.0
vars(socket_session)["SESSION_IDLE_S"] = 0.5
vars(gemini_session)["SESSION_IDLE_S"] = 0.5

from tests.soon import application  # noqa: E402

__all__ = ["application"]
