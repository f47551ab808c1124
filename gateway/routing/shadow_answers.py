"""The results of shadow traffic (gateway/routing/shadow_rules.py) by rule and channel."""

import datetime as dt
from typing import Final, NamedTuple

from django.db import connection

from gateway.models import ShadowSpend
from lib import clock

KEPT: Final = dt.timedelta(days=30)


class ShadowFigures(NamedTuple):
    """The requests of a rule that also went to a shadow.

    `main_ok` and `ok` are how many the main channel and the shadow answered. Times are medians in
    milliseconds, tokens are the mean output tokens. `likeness` is the mean in percent over the
    `compared` requests that both answered. Of these, `same_finish` ended for the same reason. Of
    the `structured` ones, where both answers are JSON, `same_structure` have the same structure.
    Costs are ours; `main_cost_nano` is None if one of the client's answers has an unknown cost.
    `cost_nano` contains estimates for the `unknown` shadows whose cost is unknown.
    """

    rule: str
    model: str
    main_channel: str
    channel: str
    upstream_model: str
    requests: int
    main_ok: int
    ok: int
    main_ttft_ms: int | None
    ttft_ms: int | None
    main_total_ms: int
    total_ms: int
    main_tokens: int
    tokens: int
    compared: int
    likeness: int | None
    same_finish: int
    structured: int
    same_structure: int
    main_cost_nano: int | None
    cost_nano: int
    unknown: int

    @property
    def main_percent(self) -> int:
        """The percentage that the client's channel answered."""
        return 100 * self.main_ok // self.requests

    @property
    def percent(self) -> int:
        """The percentage that the shadow answered."""
        return 100 * self.ok // self.requests


def shadow_figures(hours: int) -> list[ShadowFigures]:
    """Return the figures of the last hours, by rule, model and channels."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"since": clock.now() - dt.timedelta(hours=hours)})
        return [ShadowFigures(*row) for row in cursor.fetchall()]


def spent_today() -> dict[str, ShadowSpend]:
    """Return the cost of each rule's shadows since the start of the day (UTC)."""
    return {spent.rule: spent for spent in spent_by_day(clock.now().date(), 1)}


def spent_by_day(until: dt.date, days: int) -> list[ShadowSpend]:
    """Return the cost of each rule's shadows on each of the `days` up to and including `until`
    (UTC), the latest day first."""
    first = dt.date.fromordinal(max(until.toordinal() - days + 1, 1))
    spent = ShadowSpend.objects.filter(day__gte=first, day__lte=until)
    return list(spent.order_by("-day", "rule"))


def drop_old() -> None:
    """Delete the comparisons that no page shows any more. The sums of each day stay, because the
    ledger does not contain them (docs/adr/0010-what-providers-are-owed.md)."""
    until = clock.now() - KEPT
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gateway_shadowanswer WHERE at < %s", [until])


_FIGURES: Final = """
    SELECT rule, model, main_channel, channel, upstream_model, count(*),
           count(*) FILTER (WHERE main_status = 200), count(*) FILTER (WHERE fault = ''),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY main_ttft_ms),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY ttft_ms),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY main_total_ms),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY total_ms),
           round(avg(main_tokens))::bigint, round(avg(tokens))::bigint, count(likeness),
           round(avg(likeness))::int,
           count(*) FILTER (WHERE likeness IS NOT NULL AND finish = main_finish),
           count(same_structure), count(*) FILTER (WHERE same_structure),
           CASE WHEN bool_and(main_cost_nano IS NOT NULL OR main_status <> 200)
                THEN coalesce(sum(main_cost_nano), 0)::bigint END, sum(cost_nano)::bigint,
           count(*) FILTER (WHERE cost_unknown)
    FROM gateway_shadowanswer WHERE at >= %(since)s
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"""
