"""The position of a reader in the log: what they have seen, as a database snapshot.

    742:745:742,744     742 and 744 are running, 743 has ended, 745 and later have not begun

A browser sends its place when it reconnects, so the text may be anything.
"""

import re
from typing import Final, NamedTuple

BEHIND_MAX: Final = 10_000
"""The maximum number of transactions since a place from which reading can continue: minutes on a
busy installation, an hour or more on others."""
OPEN_MAX: Final = 400
"""The maximum number of transactions in a browser's place. More would exceed the 8 KiB for a line
that proxies accept."""
_TEXT: Final = re.compile(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)", re.ASCII)


class Place(NamedTuple):
    """`open` are the transactions that were running, `end` is the first one that had not begun."""

    text: str
    end: int
    open: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the place as text for the browser. If too many transactions were running, this is
        the place before all of them, from which some requests are repeated and none is missed."""
        if len(self.open) <= OPEN_MAX:
            return self.text
        first = min(self.open)
        return f"{first}:{first}:"

    def can_continue_to(self, now: "Place") -> bool:
        """Return whether a reader at this place can continue to `now`. They cannot if they missed
        more than BEHIND_MAX transactions, or if the database was replaced."""
        return now.end - BEHIND_MAX <= self.end <= now.end


def place_of(snapshot: str) -> Place:
    """Return the place of a reader who has seen what a database snapshot shows."""
    _, end, running = snapshot.split(":")
    return Place(snapshot, int(end), tuple(int(xid) for xid in running.split(",") if xid))


def read_place(text: str) -> Place | None:
    """Parse the place that a browser sends. Return None if it is invalid."""
    match = _TEXT.fullmatch(text) if len(text) <= 20 * (OPEN_MAX + 2) else None
    if match is None:
        return None
    place = place_of(text)
    if len(place.open) > OPEN_MAX or any(
        not int(match[1]) <= xid < place.end for xid in place.open
    ):
        return None
    return place
