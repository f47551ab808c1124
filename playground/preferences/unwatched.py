"""What happens to an answer that nobody watches: the person's choice, within the organisation's
limit. `playground/runs/watching.py` knows who is watching."""

from typing import Final

GRACE_MS: Final = 1_000
"""How long an answer may be without a viewer although nobody has left: reloading a page or
reconnecting takes less."""

MINUTES: Final = (0, 1, 5, 15, 60)
"""The limits that an organisation can choose, besides none."""


def unwatched_ms_max(leaving: str, seconds_max: int | None) -> int | None:
    """Return after how many unwatched milliseconds an answer is stopped, or None for never.
    `leaving` is the person's choice, `seconds_max` the organisation's limit or None."""
    if leaving == "stop":
        return GRACE_MS
    return None if seconds_max is None else max(GRACE_MS, seconds_max * 1_000)
