"""Price usage again: the actual charges, and those at a draft. Sums are integers of nano and counts
in plain containers, so that a job can store and resume them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

COLUMNS: Final = (
    "rows",
    "now_nano",
    "draft_nano",
    "cost_now_nano",
    "cost_draft_nano",
    "unpriced_now_nano",
    "unpriced_draft_nano",
    "cost_unknown_now",
    "cost_unknown_draft",
)


class RowPriced(NamedTuple):
    """A usage record, priced twice. `cost_*` is None if unknown. `moved` means that it falls into
    another tier, `unpriced` that the draft has no rate for it; its charge is then unchanged.
    `own_*` is what the organisation pays its provider itself, which only its budgets count."""

    organisation: str
    model: str
    now_nano: int
    draft_nano: int
    cost_now_nano: int | None
    cost_draft_nano: int | None
    repriced: bool
    moved: bool
    unpriced: bool
    own_now_nano: int
    own_draft_nano: int


@dataclass
class Sums:
    """The sums up to now. Each list follows COLUMNS: `unpriced_*` is the part of the charges whose
    cost is unknown, `cost_unknown_*` the number of their records. A draft can make costs known that
    are unknown now, so each side has its own."""

    total: list[int] = field(default_factory=lambda: [0] * len(COLUMNS))
    repriced: int = 0
    moved: int = 0
    unpriced: int = 0
    models: dict[str, list[int]] = field(default_factory=dict)
    organisations: dict[str, list[int]] = field(default_factory=dict)
    windows: dict[str, list[int]] = field(default_factory=dict)

    def add_to_window(self, window: str, row: RowPriced) -> None:
        """Add one row to a budget's window, as [now, draft] in nano."""
        sums = self.windows.setdefault(window, [0, 0])
        sums[0] += row.now_nano + row.own_now_nano
        sums[1] += row.draft_nano + row.own_draft_nano

    def add(self, row: RowPriced) -> None:
        """Add one row to the sums."""
        now_unknown, draft_unknown = row.cost_now_nano is None, row.cost_draft_nano is None
        figures = (
            1,
            row.now_nano,
            row.draft_nano,
            row.cost_now_nano or 0,
            row.cost_draft_nano or 0,
            row.now_nano if now_unknown else 0,
            row.draft_nano if draft_unknown else 0,
            int(now_unknown),
            int(draft_unknown),
        )
        for sums in (
            self.total,
            _sums_of(self.models, row.model),
            _sums_of(self.organisations, row.organisation),
        ):
            for place, figure in enumerate(figures):
                sums[place] += figure
        self.repriced += row.repriced
        self.moved += row.moved
        self.unpriced += row.unpriced

    def stored(self) -> dict[str, Any]:
        """Return the sums as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Sums":
        """Restore sums from `stored`; {} gives empty ones."""
        return cls(**stored)

    @staticmethod
    def can_resume(stored: Mapping[str, Any]) -> bool:
        """Return whether `stored` are sums of these columns, and not of an earlier version's."""
        return not stored or len(stored["total"]) == len(COLUMNS)


def _sums_of(groups: dict[str, list[int]], name: str) -> list[int]:
    sums = groups.get(name)
    if sums is None:
        sums = groups[name] = [0] * len(COLUMNS)
    return sums
