"""The hub with Live sessions that need the next minute half a second after their start, for
`Hub(application=…)`, and end a second after it if they cannot have it."""

from relay.realtime.live import connection as live_connection

vars(live_connection)["LEAD_MS"] = 59_500
vars(live_connection)["MARGIN_MS"] = 59_000

from tests.support.soon import application  # noqa: E402

__all__ = ["application"]
