"""Where a reader of the log stands: what it has seen, as a snapshot of the database.

    742:745:742,744     742 and 744 run still, 743 is over, 745 and later have not begun

A browser names its place when it comes back, so that the text may be anything.
"""

import re
from typing import Final, NamedTuple

BEHIND_MAX: Final = 10_000
"""So many transactions may have begun since a place that one goes on from: minutes of a busy
installation, an hour or more of any other."""
OPEN_MAX: Final = 400
"""So many transactions a browser names: more would not fit into a line that proxies take, 8 KiB."""
_TEXT: Final = re.compile(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)", re.ASCII)


class Place(NamedTuple):
    """`open` are the transactions that ran, `end` is the first one that had not begun."""

    text: str
    end: int
    open: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the name that a browser sends. If too many transactions were running, it is the
        place before all of them, from which some requests are repeated and none is missed."""
        if len(self.open) <= OPEN_MAX:
            return self.text
        first = min(self.open)
        return f"{first}:{first}:"

    def goes_on_to(self, now: "Place") -> bool:
        """Return whether what happened since can be read: not where that is too much, nor where the
        database is another one than then."""
        return now.end - BEHIND_MAX <= self.end <= now.end


def place_of(snapshot: str) -> Place:
    """The place of who has seen what a snapshot of the database shows."""
    _, end, running = snapshot.split(":")
    return Place(snapshot, int(end), tuple(int(xid) for xid in running.split(",") if xid))


def read_place(text: str) -> Place | None:
    """The place that a browser names; None where it names none."""
    match = _TEXT.fullmatch(text) if len(text) <= 20 * (OPEN_MAX + 2) else None
    if match is None:
        return None
    place = place_of(text)
    if len(place.open) > OPEN_MAX or any(
        not int(match[1]) <= xid < place.end for xid in place.open
    ):
        return None
    return place
