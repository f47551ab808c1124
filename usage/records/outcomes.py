"""The outcome of a request by its status: answered, failed, or stopped by its client, which is
neither. Also as conditions on records `r`; the index of failed requests uses them."""

from typing import Final

CLIENT_STOPPED: Final = 499
"""The status of a request whose client disconnected."""
ANSWERED_SQL: Final = "r.status < 400"
FAILED_SQL: Final = f"r.status >= 400 AND r.status <> {CLIENT_STOPPED}"
STOPPED_SQL: Final = f"r.status = {CLIENT_STOPPED}"
TIMED_SQL: Final = f"r.final AND {ANSWERED_SQL}"
"""Requests whose duration counts. The duration of a failure has other causes."""
STREAMED_SQL: Final = f"{TIMED_SQL} AND r.ttft_ms < r.total_ms"
"""Requests whose tokens were streamed."""


UNCHARGED: Final = frozenset({"absorbed", "free", "held", "none"})
"""The bases of records that are never charged, whatever they used."""


def has_failed(status: int | None) -> bool:
    """Return whether the status is that of a failed request; a running request has none."""
    return status is not None and status >= 400 and status != CLIENT_STOPPED
