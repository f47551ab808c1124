"""What happens to an answer that nobody watches: the person's choice, within the organisation's
limit. `playground/runs/watching.py` knows who is watching."""

from typing import Final

GRACE_MS: Final = 1_000
"""For so long nobody may watch without having left: a page that is loaded again, or a connection
that is opened again, takes less."""

MINUTES: Final = (0, 1, 5, 15, 60)
"""What an organisation can choose among, beside "as long as it takes"."""


def unwatched_ms_max(leaving: str, seconds_max: int | None) -> int | None:
    """Return after how many unwatched milliseconds an answer is stopped, or None for never.
    `leaving` is the person's choice, `seconds_max` the organisation's limit or None."""
    if leaving == "stop":
        return GRACE_MS
    return None if seconds_max is None else max(GRACE_MS, seconds_max * 1_000)
