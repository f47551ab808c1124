"""The outcome of a request: answered, failed, rejected by a guard, or stopped by its client. The
last two are not errors: the organisation itself wanted them. Also as conditions on records `r`."""

from typing import Final

CLIENT_STOPPED: Final = 499
"""The status of a request whose client disconnected."""
ANSWERED_SQL: Final = "r.status < 400"
UNANSWERED_SQL: Final = f"r.status >= 400 AND r.status <> {CLIENT_STOPPED}"
"""Failed and rejected requests. Must equal the condition of their index, or Postgres does not use
it."""
FAILED_SQL: Final = f"{UNANSWERED_SQL} AND coalesce(r.kind, '') <> 'guard_refused'"
REJECTED_SQL: Final = f"{UNANSWERED_SQL} AND r.kind = 'guard_refused'"
STOPPED_SQL: Final = f"r.status = {CLIENT_STOPPED}"
TIMED_SQL: Final = f"r.final AND {ANSWERED_SQL}"
"""Requests whose duration counts. The duration of a failure has other causes."""
STREAMED_SQL: Final = f"{TIMED_SQL} AND r.ttft_ms < r.total_ms"
"""Requests whose tokens were streamed."""


UNCHARGED: Final = frozenset({"absorbed", "free", "held", "none"})
"""The bases of records that are never charged, whatever they used."""
