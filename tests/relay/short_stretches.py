"""The hub with Live sessions that need the next minute half a second after their start, for
`Hub(application=…)`, and end a second after it if they cannot have it."""

from relay.realtime.live import connection as live_session

vars(live_session)["LEAD_MS"] = 59_500
vars(live_session)["MARGIN_MS"] = 59_000

from tests.soon import application  # noqa: E402

__all__ = ["application"]
