"""Split a change into parts that add up to it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

PARTS_MAX: Final = 3
"""So many groups are named; the others are told as one."""


class Part(NamedTuple):
    """One group in two periods, in nano; `value` None is everything beyond the largest ones."""

    value: str | None
    now: int
    before: int

    @property
    def change(self) -> int:
        return self.now - self.before


def parts_of(
    now: Mapping[str, int], before: Mapping[str, int], change: int, most: int = PARTS_MAX
) -> list[Part]:
    """Up to `most` groups that changed, the largest change first, and what the others make of the
    whole `change`, where that is anything: the parts add up to it."""
    groups = [Part(value, now.get(value, 0), before.get(value, 0)) for value in {**now, **before}]
    groups.sort(key=lambda part: (-abs(part.change), part.value or ""))
    largest = [part for part in groups[:most] if part.change]
    rest = change - sum(part.change for part in largest)
    return [*largest, Part(None, rest, 0)] if rest else largest
