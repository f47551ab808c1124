"""The outcome of a request's status: answered, failed, or stopped by its own client, which is
neither. Also as conditions on records `r`: the index of failed requests uses them."""

from typing import Final

CLIENT_STOPPED: Final = 499
"""What a record says of a client that has gone."""
ANSWERED_SQL: Final = "r.status < 400"
FAILED_SQL: Final = f"r.status >= 400 AND r.status <> {CLIENT_STOPPED}"
STOPPED_SQL: Final = f"r.status = {CLIENT_STOPPED}"
TIMED_SQL: Final = f"r.final AND {ANSWERED_SQL}"
"""Whose times are counted: a failure is quick, or slow, for other reasons."""
STREAMED_SQL: Final = f"{TIMED_SQL} AND r.ttft_ms < r.total_ms"
"""Whose tokens came one after the other."""


UNCHARGED: Final = frozenset({"absorbed", "free", "held", "none"})
"""The bases of records that are charged nothing, whatever they used."""


def has_failed(status: int | None) -> bool:
    """Return whether a request has ended so; one without a status runs still."""
    return status is not None and status >= 400 and status != CLIENT_STOPPED
