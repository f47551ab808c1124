"""The groupings and filters of usage, and which of them the sums support."""

from collections.abc import Collection
from typing import Final, Literal, get_args

GroupBy = Literal[
    "model",
    "key",
    "user",
    "team",
    "project",
    "customer",
    "end_user",
    "tag",
    "app",
    "status",
    "channel",
]
GROUPINGS: Final[tuple[GroupBy, ...]] = get_args(GroupBy)
SUMMED: Final[frozenset[GroupBy]] = frozenset({"model", "key", "user", "team", "channel"})
"""The groupings that the rollups have. All others are only in the records."""
OVERLAPPING: Final[frozenset[GroupBy]] = frozenset({"tag"})
"""A request can be in several of these groups, so the groups do not add up to the whole."""
GROUPINGS_MAX: Final = 2


class UnknownGrouping(ValueError):
    """The grouping does not exist; the text lists those that do."""


def read_groupings(text: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Parse `team,model` as ("team", "model"): one or two different groupings. Raises
    UnknownGrouping."""
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
