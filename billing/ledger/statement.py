"""What moved an organisation's balance in a month: each posting, and usage rolled up per day.

The balance of a statement is what the organisation has: available and held, less its debt. A hold
moves money within it and is no line. Days are those of UTC. A day that is over never changes (I18),
so its usage is summed once, by `close_days`, and kept; what is not kept yet is summed when asked.
"""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Max, Sum

from accounts.models import Organisation
from billing.ledger.ledger import execute
from billing.models import LISTED_KINDS, StatementDay
from lib import clock
from lib.ids import first_id_at

USAGE: Final = "usage"
# Every other kind is usage, or moves nothing in or out.
LISTED: Final = LISTED_KINDS
# A posting has the time at which its transaction began; by now the longest has ended.
_SETTLED_AFTER: Final = dt.timedelta(minutes=10)
# Ids are made by the processes' clocks, times by the database's; nothing is an hour apart.
_SLACK: Final = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Line:
    """One line. Of usage, `count` is how many charges there were that day, else 1: a request that
    took two attempts may be charged for both, one that cost nothing is not charged.

    `balance_nano` is the balance after it. `id` is the posting's, None for usage.
    """

    at: dt.datetime
    kind: str
    amount_nano: int
    balance_nano: int
    count: int = 1
    id: UUID | None = None
    actor: str = ""
    cause: dict[str, Any] | None = None

    @property
    def word_kind(self) -> str:
        """A correction is of money, of promotional credit or of a subscription, which are not the
        same to who reads."""
        cause = self.cause or {}
        named = (kind for kind in ("promo", "included", "subscription") if cause.get(kind))
        return next(named, self.kind)

    @property
    def reason(self) -> str:
        return str((self.cause or {}).get("reason", ""))

    @property
    def document(self) -> str:
        """What proves it outside: a correction's document, a payment's id at its processor."""
        cause = self.cause or {}
        return str(cause.get("document") or cause.get("payment") or "")

    @property
    def by(self) -> str:
        return self.actor if self.kind in ("adjust", "reverse", "redeem") else ""


@dataclass(frozen=True)
class Statement:
    """The lines of a month, newest first; opening + lines = closing, to the last unit."""

    month: dt.date
    opening_nano: int
    closing_nano: int
    lines: list[Line]


def month_of(text: str | None) -> dt.date:
    """The first day of a month written as ``2026-11``; this month for none. Raises ValueError."""
    if text is None:
        return clock.now().date().replace(day=1)
    year, _, month = text.partition("-")
    if len(text) != 7 or not (year + month).isdecimal() or not "2000" <= year <= "2999":
        raise ValueError(f"{text!r} is no month")
    return dt.date(int(year), int(month), 1)


def month_after(month: dt.date) -> dt.date:
    return (month + dt.timedelta(days=32)).replace(day=1)


def month_before(month: dt.date) -> dt.date:
    return (month - dt.timedelta(days=1)).replace(day=1)


def statement(
    organisation: Organisation, month: dt.date, *, closing_nano: int | None = None
) -> Statement:
    """The organisation's statement of the month that begins on that day. `closing_nano` is with
    what it closed, where that is known: what came after the month is then not looked at."""
    until = month_after(month)
    newest = _newest_day()
    live_from = max(month, newest + dt.timedelta(days=1)) if newest else month
    known = closing_nano is not None
    parameters = {
        "organisation": organisation.id,
        "listed": list(LISTED),
        **_span("month", month, until),
        **_span("live", min(live_from, until), until),
        **_span("later", until, until if known else dt.date.max),
        **_span("tail", max(live_from, until), until if known else dt.date.max),
    }
    lines = [
        _day(row.day, row.requests, row.amount_nano)
        for row in StatementDay.objects.filter(
            organisation=organisation, day__gte=month, day__lt=min(live_from, until)
        )
    ]
    stood_nano = 0 if known else -_kept_nano(organisation, until, live_from)
    # One statement, so that the balance and the lines tie while requests run.
    for part, id, at, kind, actor, cause, count, nano in execute((_STATEMENT, parameters)):
        if part == "balance":
            stood_nano += int(nano)
        elif part == "day":
            lines.append(_day(at.date(), count, int(nano)))
        else:
            at = at.replace(tzinfo=dt.UTC)
            lines.append(
                Line(
                    at=at,
                    kind=kind,
                    amount_nano=int(nano),
                    balance_nano=0,
                    count=1,
                    id=id,
                    actor=actor,
                    cause=json.loads(cause),
                )
            )
    lines = [line for line in lines if line.kind != USAGE or line.count or line.amount_nano]
    lines.sort(key=lambda line: line.at, reverse=True)
    closing_nano = stood_nano if closing_nano is None else closing_nano
    balanced, balance_nano = [], closing_nano
    for line in lines:
        balanced.append(replace(line, balance_nano=balance_nano))
        balance_nano -= line.amount_nano
    return Statement(month, balance_nano, closing_nano, balanced)


def latest_statements(
    organisation: Organisation, months: int, present: Statement | None = None
) -> list[Statement]:
    """Those of so many months, the oldest first, up to that of the present month, which may be
    known: the requests of a day that runs are looked at once, and only for that."""
    statements = [present or statement(organisation, month_of(None))]
    while len(statements) < months:
        after = statements[-1]
        month = month_before(after.month)
        statements.append(statement(organisation, month, closing_nano=after.opening_nano))
    return statements[::-1]


def spent_nano(statements: Iterable[Statement], first: dt.date) -> int:
    """What was charged from a day of UTC on, which the statements begin with or before."""
    lines = (line for month in statements for line in month.lines)
    return -sum(
        line.amount_nano
        for line in lines
        if line.kind == USAGE and line.at.astimezone(dt.UTC).date() >= first
    )


def close_days(limit_days: int) -> int:
    """Sum and keep the usage of up to `limit_days` days that are over; how many days."""
    last = (clock.now() - _SETTLED_AFTER).date() - dt.timedelta(days=1)
    kept = _newest_day()
    first = kept + dt.timedelta(days=1) if kept else _first_day()
    closed = 0
    while first is not None and first <= last and closed < limit_days:
        parameters: dict[str, Any] = {"day": first, "listed": list(LISTED)}
        with connection.cursor() as cursor:
            cursor.execute(_CLOSE, parameters | _span("day", first, first + dt.timedelta(days=1)))
        first += dt.timedelta(days=1)
        closed += 1
    return closed


def _day(day: dt.date, count: int, amount_nano: int) -> Line:
    # The last instant of its day: what else moved that day stands below it.
    at = _midnight(day + dt.timedelta(days=1)) - dt.timedelta(microseconds=1)
    return Line(at, USAGE, amount_nano, 0, count)


def _kept_nano(organisation: Organisation, first: dt.date, until: dt.date) -> int:
    """What the usage of the kept days moved."""
    days = StatementDay.objects.filter(organisation=organisation, day__gte=first, day__lt=until)
    return int(days.aggregate(nano=Sum("amount_nano"))["nano"] or 0)


def _newest_day() -> dt.date | None:
    """The newest day whose usage is kept."""
    newest: dt.date | None = StatementDay.objects.aggregate(day=Max("day"))["day"]
    return newest


def _first_day() -> dt.date | None:
    rows = execute(("SELECT created_at FROM billing_posting ORDER BY id LIMIT 1", {}))
    return rows[0][0].astimezone(dt.UTC).date() if rows else None


def _span(name: str, first: dt.date, until: dt.date) -> dict[str, Any]:
    """The parameters of `_within(name)`."""
    end = _midnight(until)
    for_ever = until == dt.date.max
    return {
        f"{name}_first": _midnight(first),
        f"{name}_until": end,
        f"{name}_first_id": first_id_at(_midnight(first) - _SLACK),
        f"{name}_until_id": UUID(int=2**128 - 1) if for_ever else first_id_at(end + _SLACK),
    }


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


_WALLET: Final = "('customer:available', 'customer:held', 'customer:debt')"
_USAGE_POSTINGS: Final = """
    NOT posting.kind = ANY (%(listed)s) AND posting.kind NOT IN ('hold', 'void')"""
_CHARGED: Final = "count(DISTINCT posting.id) FILTER (WHERE posting.kind IN ('settle', 'expire'))"


def _wallet_rows_sql(name: str) -> str:
    return f"""
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id AND account.kind IN {_WALLET}
    WHERE posting.created_at >= %({name}_first)s AND posting.created_at < %({name}_until)s
    AND posting.id >= %({name}_first_id)s AND posting.id < %({name}_until_id)s"""


_STATEMENT: Final = f"""
    SELECT 'balance', NULL::uuid, NULL::timestamp, '', '', NULL::jsonb, 0::bigint,
           coalesce(sum(balance_nano), 0)::bigint
    FROM billing_account
    WHERE organisation_id = %(organisation)s AND kind IN {_WALLET}
    UNION ALL
    SELECT 'balance', NULL, NULL, '', '', NULL, 0, -coalesce(sum(entry.amount_nano), 0)::bigint
    {_wallet_rows_sql("later")} AND posting.organisation_id = %(organisation)s
    AND posting.kind = ANY (%(listed)s)
    UNION ALL
    SELECT 'balance', NULL, NULL, '', '', NULL, 0, -coalesce(sum(entry.amount_nano), 0)::bigint
    {_wallet_rows_sql("tail")} AND posting.organisation_id = %(organisation)s AND {_USAGE_POSTINGS}
    UNION ALL
    SELECT 'posting', posting.id, posting.created_at AT TIME ZONE 'UTC', posting.kind,
           posting.actor, posting.cause::jsonb, 1, sum(entry.amount_nano)::bigint
    {_wallet_rows_sql("month")} AND posting.organisation_id = %(organisation)s
    AND posting.kind = ANY (%(listed)s)
    GROUP BY posting.id
    UNION ALL
    SELECT 'day', NULL, date_trunc('day', posting.created_at AT TIME ZONE 'UTC'), '', '', NULL,
           {_CHARGED}, sum(entry.amount_nano)::bigint
    {_wallet_rows_sql("live")} AND posting.organisation_id = %(organisation)s AND {_USAGE_POSTINGS}
    GROUP BY 3"""  # noqa: S608 - made of constants

_CLOSE: Final = f"""
    INSERT INTO billing_statementday (organisation_id, day, requests, amount_nano)
    SELECT posting.organisation_id, %(day)s, {_CHARGED}, sum(entry.amount_nano)::bigint
    {_wallet_rows_sql("day")} AND {_USAGE_POSTINGS}
    GROUP BY posting.organisation_id
    ON CONFLICT DO NOTHING"""
