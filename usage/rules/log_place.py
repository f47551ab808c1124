"""Where a reader of the log stands: what it has seen, as a snapshot of the database.

    742:745:742,744     742 and 744 run still, 743 is over, 745 and later have not begun

A browser names its place when it comes back, so that the text may be anything.
"""

import re
from typing import Final, NamedTuple

BEHIND_MAX: Final = 10_000
"""So many transactions may have begun since a place that one goes on from: minutes of a busy
installation, an hour or more of any other."""
_OPEN_MAX: Final = 1000
_TEXT: Final = re.compile(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)", re.ASCII)


class Place(NamedTuple):
    """`open` are the transactions that ran, `end` is the first one that had not begun."""

    text: str
    end: int
    open: tuple[int, ...]

    def goes_on_to(self, now: "Place") -> bool:
        """Whether what happened since can be read: not where that is too much, nor where the
        database is another one than then."""
        return now.end - BEHIND_MAX <= self.end <= now.end


def read_place(text: str) -> Place | None:
    """The place that a text says; None where it says none."""
    found = _TEXT.fullmatch(text) if len(text) <= 20 * (_OPEN_MAX + 2) else None
    if found is None:
        return None
    end = int(found[2])
    running = tuple(int(xid) for xid in found[3].split(",") if xid)
    if len(running) > _OPEN_MAX or any(not int(found[1]) <= xid < end for xid in running):
        return None
    return Place(text, end, running)
