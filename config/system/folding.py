"""Which rows of the system health page are shown: what is wrong, and the rest on demand."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

Row = TypeVar("Row")
OPEN: Final = "open"
"""The query field that names the groups of which every row is shown."""
_WRONG: Final = ("bad", "warn")


class Group(NamedTuple, Generic[Row]):
    """The rows to show, the worst first. `fine` is how many are as they should be; they are shown
    too if the group is `opened`. `toggle` is the query that opens or closes it."""

    rows: Sequence[Row]
    fine: int
    opened: bool
    toggle: str


def fold(
    name: str, rows: Iterable[Row], tone_of: Callable[[Row], Any], opened: Sequence[str]
) -> Group[Row]:
    """Return the group of this name. `tone_of` is the tone of a row's badge; `opened` are the names
    of the groups that are open now."""
    tones = [(str(tone_of(row)), row) for row in rows]
    wrong = [row for worst in _WRONG for tone, row in tones if tone == worst]
    fine = [row for tone, row in tones if tone not in _WRONG]
    is_open = name in opened
    others = [other for other in opened if other != name]
    toggle = urlencode([(OPEN, other) for other in (others if is_open else [*others, name])])
    return Group([*wrong, *fine] if is_open else wrong, len(fine), is_open, toggle)
