"""Revenue, cost and margin by model, channel or customer, for operators (W79).

Costs are in single records and in no rollup, so this reads the records of the requested days. A
record that no cost price covers has an unknown cost: it is part of the revenue, and neither of the
cost nor of the margin. Corrections of charges are not included.
"""

import datetime as dt
from typing import Final, Literal, NamedTuple
from uuid import UUID

from django.utils.translation import gettext

from accounts.access.access import require
from accounts.access.actors import Actor
from lib.ids import first_id_at, id_text
from lib.refusal import Refused
from usage.filters.visibility import run

MarginBy = Literal["model", "channel", "customer"]
_DEFAULT_DAYS: Final = 30
DAYS_MAX: Final = 100
_FIRST: Final = dt.date(2000, 1, 1)
_LAST: Final = dt.date(2200, 1, 1)
# Ids come from the processes' clocks, times from the database's. They differ by less than an hour.
_SLACK: Final = dt.timedelta(hours=1)


class MarginRow(NamedTuple):
    """One row of the report. `id` is a model's name, a channel's id or an organisation's slug.
    `unpriced_nano` is the part of the revenue whose cost is unknown; `cost_nano` is the known cost,
    None if no cost price covers anything that was used."""

    id: str
    name: str
    requests: int
    revenue_nano: int
    cost_nano: int | None
    unpriced_nano: int

    @property
    def margin_nano(self) -> int | None:
        """The revenue whose cost is known, less this cost; None if no cost is known."""
        if self.cost_nano is None:
            return None
        return self.revenue_nano - self.unpriced_nano - self.cost_nano

    @property
    def share_ppm(self) -> int | None:
        """The margin as a share of the revenue whose cost is known, in parts per million; None
        without such revenue."""
        known_nano, margin_nano = self.revenue_nano - self.unpriced_nano, self.margin_nano
        return (
            margin_nano * 1_000_000 // known_nano
            if margin_nano is not None and known_nano
            else None
        )


def first_day(last_on: dt.date) -> dt.date:
    """Return the default first day of a range that ends on `last_on`."""
    return dt.date.fromordinal(max(1, last_on.toordinal() - _DEFAULT_DAYS + 1))


def margin(actor: Actor, by: MarginBy, first_on: dt.date, last_on: dt.date) -> list[MarginRow]:
    """Return the margin of the requests admitted on these UTC days, the lowest first. Raises
    Refused for an invalid range or too many days."""
    require(actor, "credits.read")
    if not first_on <= last_on:
        raise Refused("to", gettext("The last day is before the first."))
    if (last_on - first_on).days >= DAYS_MAX:
        raise Refused("from", gettext("At most %(n)s days can be read.") % {"n": DAYS_MAX})
    # Clamp the days. There are no requests outside, and the day after the last date would overflow.
    first_on, last_on = (max(_FIRST, min(day, _LAST)) for day in (first_on, last_on))
    from_at, until_at = (
        dt.datetime.combine(day, dt.time(), dt.UTC)
        for day in (first_on, last_on + dt.timedelta(days=1))
    )
    parameters = {
        "from": from_at,
        "until": until_at,
        "first_id": first_id_at(from_at - _SLACK),
        "until_id": first_id_at(until_at + _SLACK),
    }
    rows = run(_TEXTS[by], parameters)
    if by == "channel":
        rows = [(id_text(UUID(id)) if id else "", *rest) for id, *rest in rows]
    return [MarginRow(*row) for row in rows]


def total(rows: list[MarginRow]) -> MarginRow:
    """Return the sum of all rows."""
    costs = [row.cost_nano for row in rows if row.cost_nano is not None]
    return MarginRow(
        "",
        "",
        sum(row.requests for row in rows),
        sum(row.revenue_nano for row in rows),
        sum(costs) if costs or not rows else None,
        sum(row.unpriced_nano for row in rows),
    )


# Something was used or charged, and no cost price covers it. Who used nothing cost nothing.
_UNKNOWN: Final = "r.cost_nano IS NULL AND (r.charge_nano <> 0 OR r.meters <> '{}')"


def _margin_sql(id: str, name: str, join: str = "") -> str:
    return f"""
    SELECT {id}, max({name}), count(*) FILTER (WHERE r.final), sum(r.charge_nano)::bigint,
           CASE WHEN bool_and({_UNKNOWN}) THEN NULL
           ELSE coalesce(sum(r.cost_nano), 0)::bigint END,
           coalesce(sum(r.charge_nano) FILTER (WHERE r.cost_nano IS NULL), 0)::bigint
    FROM usage_usagerecord r {join}
    WHERE r.id >= %(first_id)s AND r.id < %(until_id)s
    AND r.admitted_at >= %(from)s AND r.admitted_at < %(until)s
    GROUP BY 1
    ORDER BY bool_and({_UNKNOWN}), sum(r.charge_nano - r.cost_nano), 1"""  # noqa: S608 - own names


_TEXTS: Final[dict[MarginBy, str]] = {
    "model": _margin_sql("r.model", "r.model"),
    "channel": _margin_sql("coalesce(r.channel_id::text, '')", "r.channel_name"),
    "customer": _margin_sql(
        "o.slug", "o.name", "JOIN accounts_organisation o ON o.id = r.organisation_id"
    ),
}
