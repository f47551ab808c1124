"""The budgets and rate limits of LiteLLM's rows. A budget is the remaining money."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from billing.currency.money import NANO_PER_USD, round_half_even
from extensions.import_hubs import values
from extensions.import_hubs.converted import Budget, Counts
from extensions.import_hubs.litellm.columns import BUDGETS, PERMISSIONS
from extensions.import_hubs.reading import Reader, field
from extensions.import_hubs.values import Row

Period = Literal["hour", "day", "week", "month"]
_PERIODS: Final[Mapping[str, Period]] = {
    **dict.fromkeys(("1h", "60m", "3600s"), "hour"),
    **dict.fromkeys(("1d", "24h"), "day"),
    **dict.fromkeys(("7d", "1w"), "week"),
    **dict.fromkeys(("30d", "1mo"), "month"),
}
_COUNTS: Final = ("rpm_limit", "tpm_limit", "max_parallel_requests")
_LIMITED: Final = ("max_budget", "budget_duration", "budget_reset_at", "allowed_models", *_COUNTS)


class Terms(NamedTuple):
    """The restrictions of a row. `models` are those of a team's member, () for no restriction."""

    budgets: tuple[Budget, ...] = ()
    counts: Counts = Counts()
    models: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Reads the terms of rows, with the rows of budgets and permissions that they refer to."""

    reader: Reader
    now: dt.datetime
    budgets: Mapping[str, Row]
    permissions: Mapping[str, Row]

    @classmethod
    def of(cls, reader: Reader, now: dt.datetime) -> "Limits":
        rows = reader.database.rows
        budgets = {values.text(row.get("budget_id")): row for row in rows.get(BUDGETS, ())}
        named = "object_permission_id"
        permissions = {values.text(row.get(named)): row for row in rows.get(PERMISSIONS, ())}
        return cls(reader, now, budgets, permissions)

    def terms_of(self, table: str, row: Row) -> Terms:
        """Return a row's own terms, or those of the budget that it refers to."""
        limits, closed = self.with_budget(row)
        counts: list[int | None] = []
        for name in _COUNTS:
            count = None if limits.get(name) is None else field(limits, name, values.integer)
            if count is not None and count <= 0:
                closed += self.reader.without_accepted([f"{table}.{name} (0)"])
            counts.append(count if count and count > 0 else None)
        budget = self._budget(limits, field(row, "spend", values.fraction))
        models = field(limits, "allowed_models", values.texts)
        closed += self._narrowed_by_permission(row)
        return Terms((budget,) if budget else (), Counts(*counts), models, closed)

    def with_budget(self, row: Row) -> tuple[Row, tuple[str, ...]]:
        """Return a row with the limits of the budget that it refers to, and the limits that lock
        what is created."""
        budget = self.budgets.get(field(row, "budget_id", values.text), {})
        closed = self.reader.closed_by(BUDGETS, budget) if budget else ()
        own = {name: row.get(name) for name in _LIMITED if row.get(name) is not None}
        return {**{name: budget.get(name) for name in _LIMITED}, **own}, closed

    def _narrowed_by_permission(self, row: Row) -> tuple[str, ...]:
        named = self.permissions.get(field(row, "object_permission_id", values.text))
        return self.reader.closed_by(PERMISSIONS, named) if named else ()

    def _budget(self, limits: Row, spend: Fraction) -> Budget | None:
        if limits.get("max_budget") is None:
            return None
        most, spent = nano(field(limits, "max_budget", values.fraction)), max(nano(spend), 0)
        duration = field(limits, "budget_duration", values.text).strip()
        period = _PERIODS.get(duration)
        if period is None:
            if duration:
                text = f"budgets per {duration} have no period here: what is left is for good"
                if text not in self.reader.report.notes:
                    self.reader.report.notes.append(text)
            return Budget(max(most - spent, 0))
        ends_at = field(limits, "budget_reset_at", values.instant)
        over = ends_at is not None and ends_at <= self.now
        return Budget(max(most, 0), period, 0 if over else spent, _anchor(period, ends_at))


def _anchor(period: Period, ends_at: dt.datetime | None) -> int | None:
    """Return the start of a period that ends at an instant."""
    if ends_at is None:
        return None
    at = ends_at.astimezone(dt.UTC)
    return {"hour": at.minute, "day": at.hour, "week": at.weekday(), "month": at.day}[period]


def nano(usd: Fraction) -> int:
    """Return an amount of USD in nano. LiteLLM stores floats; their shortest form counts."""
    scaled = usd * NANO_PER_USD
    return round_half_even(scaled.numerator, scaled.denominator)


def together(all_terms: Iterable[Terms]) -> Terms:
    """Combine terms into terms that are at least as strict as each."""
    merged = Terms()
    for terms in all_terms:
        merged = Terms(
            smallest((*merged.budgets, *terms.budgets)),
            Counts(*map(_smaller, merged.counts, terms.counts)),
            merged.models or terms.models,
            (*merged.closed, *terms.closed),
        )
    return merged


def smallest(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """Return one budget per period, with the smallest remainder of that period."""
    by_period: dict[str, Budget] = {}
    for budget in budgets:
        other = by_period.get(budget.period)
        if other is not None and budget.anchor != other.anchor:
            # The periods begin at different times, so the remaining money becomes a single amount.
            del by_period[budget.period]
            budget = Budget(min(_remaining_nano(budget), _remaining_nano(other)))
            other = by_period.get("total")
        if other is not None:
            amount = min(budget.amount_nano, other.amount_nano)
            spent = max(budget.spent_nano, other.spent_nano)
            budget = replace(budget, amount_nano=amount, spent_nano=spent)
        by_period[budget.period] = budget
    return tuple(by_period.values())


def divide_terms(terms: Terms, parts: int, table: str) -> Terms:
    """Divide terms into parts that together allow no more than the whole."""
    budgets = tuple(
        replace(
            budget,
            amount_nano=budget.amount_nano // parts,
            spent_nano=-(-budget.spent_nano // parts),
        )
        for budget in terms.budgets
    )
    counts = [None if count is None else count // parts for count in terms.counts]
    closed = terms.closed
    for name, count in zip(_COUNTS, counts, strict=True):
        closed += (f"{table}.{name} (shared)",) if count == 0 else ()
    return terms._replace(
        budgets=budgets, counts=Counts(*(count or None for count in counts)), closed=closed
    )


def _remaining_nano(budget: Budget) -> int:
    return max(budget.amount_nano - budget.spent_nano, 0)


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((count for count in (one, other) if count is not None), default=None)
