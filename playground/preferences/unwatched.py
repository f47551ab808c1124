"""What becomes of an answer that nobody watches: the person's choice within the organisation's.
Who watches is known to `playground/runs/watching.py`."""

from typing import Final

GRACE_MS: Final = 1_000
"""For so long nobody may watch without having left: a page that is loaded again, or a connection
that is opened again, takes less."""

MINUTES: Final = (0, 1, 5, 15, 60)
"""What an organisation can choose among, beside "as long as it takes"."""


def unwatched_ms_max(leaving: str, seconds_max: int | None) -> int | None:
    """After how many milliseconds without anybody watching an answer is stopped, None for never.

    `leaving` is the person's choice, `seconds_max` the organisation's upper limit, None for none.
    """
    if leaving == "stop":
        return GRACE_MS
    return None if seconds_max is None else max(GRACE_MS, seconds_max * 1_000)
