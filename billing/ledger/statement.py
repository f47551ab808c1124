"""An organisation's movements of a month: each posting, and usage added up per day.

The balance of a statement is available money plus holds, less debt. A hold moves money within this
balance and has no line. Days are days of UTC. A day that is over never changes (I18), so
`close_days` sums its usage once and stores it. Later usage is summed on request.
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
# All other kinds are usage, or do not change the balance.
LISTED: Final = LISTED_KINDS
# A posting has the time at which its transaction began. The longest transaction has ended by then.
_SETTLED_AFTER: Final = dt.timedelta(minutes=10)
# Ids use the processes' clocks, times the database's clock; they differ by less than an hour.
_SLACK: Final = dt.timedelta(hours=1)
_BEGIN: Final = dt.date(2000, 1, 1)


@dataclass(frozen=True)
class Line:
    """One line. `count` is the number of charges of a day's usage, and 1 for other lines. A request
    with two attempts may be charged for both; an attempt without a charge does not count.

    `balance_nano` is the balance after the line. `id` is the posting's id, None for usage.
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
        """Return the kind of the line. For a correction of promotional credit, included usage or a
        subscription, return that word, because customers see them as different things."""
        cause = self.cause or {}
        named = (kind for kind in ("promo", "included", "subscription") if cause.get(kind))
        return next(named, self.kind)

    @property
    def reason(self) -> str:
        return str((self.cause or {}).get("reason", ""))

    @property
    def document(self) -> str:
        """Return the reference outside Weir: a correction's document, or a payment's id at its
        processor."""
        cause = self.cause or {}
        return str(cause.get("document") or cause.get("payment") or "")

    @property
    def by(self) -> str:
        return self.actor if self.kind in ("adjust", "reverse", "redeem") else ""


@dataclass(frozen=True)
class Statement:
    """The lines of a month, newest first. Opening + lines = closing, exactly."""

    month: dt.date
    opening_nano: int
    closing_nano: int
    lines: list[Line]


def month_of(text: str | None) -> dt.date:
    """Return the first day of a month written as ``2026-11``, or of the present month for None.
    Raises ValueError."""
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
    """Return the organisation's statement of the month that begins on `month`. If `closing_nano` is
    given, it is the known closing balance, and later movements are not read."""
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
    # A single statement, so that the balance and the lines agree while requests run.
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
    """Return the statements of the last `months` months, oldest first, ending with the present
    month. A known `present` statement is not read again. Only the present month reads the requests
    of a running day."""
    statements = [present or statement(organisation, month_of(None))]
    while len(statements) < months:
        after = statements[-1]
        month = month_before(after.month)
        statements.append(statement(organisation, month, closing_nano=after.opening_nano))
    return statements[::-1]


def spent_nano(statements: Iterable[Statement], first: dt.date) -> int:
    """Return the amount charged from a day of UTC on. The statements must begin on or before that
    day."""
    lines = (line for month in statements for line in month.lines)
    return -sum(
        line.amount_nano
        for line in lines
        if line.kind == USAGE and line.at.astimezone(dt.UTC).date() >= first
    )


def close_days(limit_days: int) -> int:
    """Sum and store the usage of up to `limit_days` past days. Return the number of days. A day
    without usage leaves no row, so the first day is one with usage, however long none was used."""
    last = (clock.now() - _SETTLED_AFTER).date() - dt.timedelta(days=1)
    kept = _newest_day()
    first = _first_day(kept + dt.timedelta(days=1) if kept else _BEGIN)
    closed = 0
    while first is not None and first <= last and closed < limit_days:
        parameters: dict[str, Any] = {"day": first, "listed": list(LISTED)}
        with connection.cursor() as cursor:
            cursor.execute(_CLOSE, parameters | _span("day", first, first + dt.timedelta(days=1)))
        first += dt.timedelta(days=1)
        closed += 1
    return closed


def _day(day: dt.date, count: int, amount_nano: int) -> Line:
    # The last instant of the day: the day's other movements are listed below its usage.
    at = _midnight(day + dt.timedelta(days=1)) - dt.timedelta(microseconds=1)
    return Line(at, USAGE, amount_nano, 0, count)


def _kept_nano(organisation: Organisation, first: dt.date, until: dt.date) -> int:
    """Return the sum of the stored days' usage."""
    days = StatementDay.objects.filter(organisation=organisation, day__gte=first, day__lt=until)
    return int(days.aggregate(nano=Sum("amount_nano"))["nano"] or 0)


def _newest_day() -> dt.date | None:
    """Return the newest day whose usage is stored."""
    newest: dt.date | None = StatementDay.objects.aggregate(day=Max("day"))["day"]
    return newest


def _first_day(since: dt.date) -> dt.date | None:
    """Return the first day from a day on that may have usage."""
    parameters: dict[str, Any] = {"listed": list(LISTED), **_span("next", since, dt.date.max)}
    rows = execute((_NEXT, parameters))
    # An earlier posting may have a later id.
    return max(since, (rows[0][0].astimezone(dt.UTC) - _SLACK).date()) if rows else None


def _span(name: str, first: dt.date, until: dt.date) -> dict[str, Any]:
    """Return the parameters of `_within(name)`."""
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
_OF_DAY: Final = "('customer:available', 'customer:held', 'customer:debt', 'revenue')"
_USAGE_POSTINGS: Final = """
    NOT posting.kind = ANY (%(listed)s) AND posting.kind NOT IN ('hold', 'void')"""
# Rows of a day also have the entries of revenue: only a charge has one, what was free has none.
_CHARGED: Final = """
    count(*) FILTER (WHERE account.kind = 'revenue' AND posting.kind IN ('settle', 'expire'))"""
_MOVED: Final = """
    coalesce(sum(entry.amount_nano) FILTER (WHERE account.kind <> 'revenue'), 0)::bigint"""


def _wallet_rows_sql(name: str, accounts: str = _WALLET) -> str:
    return f"""
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id AND account.kind IN {accounts}
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
           {_CHARGED}, {_MOVED}
    {_wallet_rows_sql("live", _OF_DAY)} AND posting.organisation_id = %(organisation)s
    AND {_USAGE_POSTINGS}
    GROUP BY 3"""  # noqa: S608 - made of constants

_NEXT: Final = f"""
    SELECT posting.created_at {_wallet_rows_sql("next")} AND {_USAGE_POSTINGS}
    ORDER BY posting.id LIMIT 1"""

_CLOSE: Final = f"""
    INSERT INTO billing_statementday (organisation_id, day, requests, amount_nano)
    SELECT posting.organisation_id, %(day)s, {_CHARGED}, {_MOVED}
    {_wallet_rows_sql("day", _OF_DAY)} AND {_USAGE_POSTINGS}
    GROUP BY posting.organisation_id
    ON CONFLICT DO NOTHING"""
