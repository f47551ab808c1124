"""Split a change into parts that add up to it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

PARTS_MAX: Final = 3
"""The maximum number of named groups. The others are combined."""


class Part(NamedTuple):
    """One group in two periods, in nano. `value` None combines everything beyond the largest
    groups."""

    value: str | None
    now: int
    before: int

    @property
    def change(self) -> int:
        return self.now - self.before


def parts_of(
    now: Mapping[str, int], before: Mapping[str, int], change: int, most: int = PARTS_MAX
) -> list[Part]:
    """Return up to `most` groups that changed, the largest change first. If the whole `change` is
    more, one further part stands for the others. The parts add up to `change`."""
    groups = [Part(value, now.get(value, 0), before.get(value, 0)) for value in {**now, **before}]
    groups.sort(key=lambda part: (-abs(part.change), part.value or ""))
    largest = [part for part in groups[:most] if part.change]
    rest = change - sum(part.change for part in largest)
    return [*largest, Part(None, rest, 0)] if rest else largest
