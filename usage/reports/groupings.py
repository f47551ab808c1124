"""By what usage can be grouped and filtered, and which of that the sums know."""

from collections.abc import Collection
from typing import Final, Literal, get_args

GroupBy = Literal[
    "model", "key", "user", "team", "project", "customer", "tag", "app", "status", "channel"
]
GROUPINGS: Final[tuple[GroupBy, ...]] = get_args(GroupBy)
SUMMED: Final[frozenset[GroupBy]] = frozenset({"model", "key", "user", "team", "channel"})
"""What the rollups carry; everything else is in the records alone."""
OVERLAPPING: Final[frozenset[GroupBy]] = frozenset({"tag"})
"""A request can be in several groups of these: they do not add up to the whole."""
GROUPINGS_MAX: Final = 2


class UnknownGrouping(ValueError):
    """Nothing is grouped by that; the text says by what."""


def read_groupings(text: str, allowed: Collection[str]) -> tuple[str, ...]:
    """`team,model` as ("team", "model"): one or two, each of them once. Raises UnknownGrouping."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in allowed:
            raise UnknownGrouping(
                f"cannot group by {name[:40]!r}; choose from {_list_text(allowed)}"
            )
    if len(names) > GROUPINGS_MAX or len(set(names)) < len(names):
        raise UnknownGrouping(f"group by one or two different ones of {_list_text(allowed)}")
    return names


def _list_text(allowed: Collection[str]) -> str:
    return ", ".join(allowed)
