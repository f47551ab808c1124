"""The lines of an invoice, from the records that were charged in its period.

One transaction writes a record and the posting of its charge, with the same time. So the records of
a period are those that ended in it. A request that was admitted before the period is late, and its
line names its month. Corrections are postings of their own, whatever the month of their request.

The project of a line is that of the record, as in reports and exports: the request's label, or else
its key's project at that time. So an invoice and a report of usage by project agree to the nano.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from accounts.models import Organisation, Team
from billing.currency.money import round_half_even
from billing.invoices.rules import PPM, Charge, Line, LineKind, usage_lines
from billing.ledger.movements import Movement, moved_nano, movement_of
from billing.models import PriceVersion as StoredVersion
from billing.periods.period_starts import Span
from billing.prices.meters import MeterUnknown
from billing.prices.pricing import (
    CostLine,
    CostLines,
    PriceInvalid,
    PriceVersion,
    price,
    stored_parts,
)
from lib.ids import first_id_at

SETTLED: Final = ("settle", "expire")
"""The kinds of postings that charge a request at its end."""
CHARGED: Final = (*SETTLED, "correct")
"""The kinds that charge a request at its end or later."""
FEES: Final = "subscription:fees"
_SOLD: Final = ("revenue", FEES)
# How long before its period a request that was charged in it may have been admitted.
_ADMITTED_BEFORE: Final = dt.timedelta(days=31)
_ROWS: Final = 2_000
PROJECTS_MAX: Final = 500
"""The most projects that an invoice names. Clients choose labels, so there can be any number."""


class Gathered(NamedTuple):
    """Lines without taxes, from the records; and the movement in the ledger."""

    lines: list[Line]
    movement: Movement


class _Place(NamedTuple):
    """The project and team of the usage, the model, and the month if the usage is late."""

    project: str
    team_id: UUID
    model: str
    origin: dt.date | None


def gather(organisation: Organisation, zone: ZoneInfo, span: Span) -> Gathered:
    """Return what the organisation was charged in a period that is over, and the ledger's movement
    in it."""
    parameters = {
        "organisation": organisation.id,
        "zone": zone.key,
        "from": span.start_at,
        "until": span.end_at,
        "first_id": first_id_at(span.start_at - _ADMITTED_BEFORE),
        "until_id": first_id_at(span.end_at + dt.timedelta(hours=1)),
        "posting_first_id": first_id_at(span.start_at - dt.timedelta(hours=1)),
    }
    movement = movement_of(organisation.id, span)
    if not any(kind == "consume" or account in _SOLD for kind, account, *_ in movement):
        return Gathered([], movement)
    # A server-side cursor requires a transaction.
    with transaction.atomic():
        used = [*_flat(parameters), *_read_one_by_one(parameters)]
    corrections = _corrections(parameters)
    charged = [
        (_Place(project, team, "", origin), int(nano))
        for project, team, origin, nano in _query_rows(_CHARGED, parameters)
    ]
    unpriced = [
        (kind, _Place(project, team, model, origin), int(nano))
        for project, team, model, origin, kind, nano in _query_rows(_UNPRICED, parameters)
    ]
    names = _Names(organisation, _largest_projects([*charged, *corrections]))
    lines = usage_lines(
        (names.line(*one) for one in used),
        (Charge(*names.of(place), place.origin, nano) for place, nano in charged),
        (
            Line(kind, nano, *names.of(place), place.model, origin=place.origin)
            for kind, place, nano in unpriced
        ),
    )
    lines += [
        Line("correction", nano, *names.of(place), place.model, origin=place.origin)
        for place, nano in corrections
    ]
    lines += [
        Line("subscription", int(nano), text=text) for text, nano in _query_rows(_FEES, parameters)
    ]
    lines += [Line(kind, -nano) for kind, nano in used_nano(movement).items() if nano]
    return Gathered(lines, movement)


def used_nano(movement: Movement) -> dict[LineKind, int]:
    """Return how much promotional credit, and the usage included in a subscription, have paid."""
    by_units = moved_nano(movement, CHARGED, "included:units")
    return {
        "credit": moved_nano(movement, ["consume"], "promo:earmarked"),
        "included": moved_nano(movement, ["consume"], "included:earmarked") - by_units,
    }


def _largest_projects(sums: Iterable[tuple[_Place, int]]) -> set[str]:
    """Return the projects that an invoice names: those with the largest sums."""
    totals: Counter[str] = Counter()
    for place, nano in sums:
        totals[place.project] += abs(nano)
    del totals[""]
    return set(sorted(totals, key=lambda project: (-totals[project], project))[:PROJECTS_MAX])


class _Names:
    """What a line names: one of these projects, or else the team by its current name."""

    def __init__(self, organisation: Organisation, projects: Container[str]) -> None:
        self._projects = projects
        self._teams = dict(Team.objects.filter(organisation=organisation).values_list("id", "name"))

    def of(self, place: _Place) -> tuple[str, str]:
        """Return the project and the name of the team of a line; only one of them is set."""
        if place.project in self._projects:
            return place.project, ""
        return "", self._teams.get(place.team_id, "")

    def line(
        self, place: _Place, meter: str, rate_nano: int, multiplier_ppm: int, quantity: int
    ) -> Line:
        project, team = self.of(place)
        return Line(
            kind="usage",
            amount_nano=0,
            project=project,
            team=team,
            model=place.model,
            meter=meter,
            rate_nano_per_million=rate_nano,
            multiplier_ppm=multiplier_ppm,
            quantity=quantity,
            origin=place.origin,
        )


def _flat(parameters: dict[str, Any]) -> Iterator[tuple[_Place, str, int, int, int]]:
    """Yield lines of prices without tiers, of requests without parts. The database sums them,
    because each meter has one rate."""
    rows = _query_rows(_FLAT, parameters)
    versions = _versions(row[4] for row in rows)
    for project, team, model, origin, version, multiplier_ppm, meter, quantity in rows:
        rate = versions[version].rates.get(meter)
        if rate is not None:
            place = _Place(project, team, model, origin)
            yield place, meter, rate, multiplier_ppm, int(quantity)


def _read_one_by_one(parameters: dict[str, Any]) -> Iterator[tuple[_Place, str, int, int, int]]:
    """Yield lines of prices with tiers, where the rate depends on all meters of a request, and of
    requests that were charged in parts: under conditions, or for the answers of other models."""
    versions: dict[int, PriceVersion] = {}
    with connection.chunked_cursor() as cursor:
        cursor.execute(_ONE_BY_ONE, parameters)
        while rows := cursor.fetchmany(_ROWS):
            versions |= _versions({row[4] for row in rows} - versions.keys())
            for project, team, model, origin, id, multiplier_ppm, meters, parts, count in rows:
                version = versions[id].multiplied(multiplier_ppm)
                for named, line in _lines_of(_decode(meters), _decode(parts), version):
                    place = _Place(project, team, named or model, origin)
                    ppm = round_half_even(line.multiplier_ppm * line.condition_ppm, PPM)
                    yield place, line.meter, line.rate_nano_per_million, ppm, line.quantity * count


def _lines_of(
    meters: dict[str, int], parts: Any, version: PriceVersion
) -> Iterator[tuple[str, CostLine]]:
    """Yield the lines of a request, each with the model that answered; "" for the requested one.
    What has no price has no line: its charge is in the remainder."""
    try:
        charged = stored_parts({"parts": parts}, meters, version)
    except (PriceInvalid, MeterUnknown):
        return
    for part in charged:
        cost = price(part.meters, part.version)
        if isinstance(cost, CostLines):
            yield from ((part.model, line) for line in cost.lines)


def _decode(stored: Any) -> Any:
    return json.loads(stored) if isinstance(stored, str) else stored


def _corrections(parameters: dict[str, Any]) -> list[tuple[_Place, int]]:
    return [
        (_Place(project or "", team, model or "", origin), int(nano))
        for project, team, model, origin, nano in _query_rows(_CORRECTED, parameters)
        if nano
    ]


def _versions(ids: Any) -> dict[int, PriceVersion]:
    stored = StoredVersion.objects.in_bulk(set(ids))
    return {id: PriceVersion.from_stored(version.rates) for id, version in stored.items()}


def _query_rows(text: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return list(cursor.fetchall())


_OF_PERIOD: Final = """
    record.organisation_id = %(organisation)s
    AND record.id >= %(first_id)s AND record.id < %(until_id)s
    AND record.ended_at >= %(from)s AND record.ended_at < %(until)s AND record.charge_nano <> 0"""
_LATE_OF: Final = """
    CASE WHEN record.admitted_at < %(from)s
    THEN date_trunc('month', record.admitted_at AT TIME ZONE %(zone)s)::date END"""
# Its charge follows from a fee, or from the charge of another request: not from its meters.
_IS_UNPRICED: Final = "(record.own_nano IS NOT NULL OR record.pricing ? 'cached')"
_UNPRICED: Final = f"""
    SELECT record.project, record.team_id, record.model, {_LATE_OF},
           CASE WHEN record.pricing ? 'cached' THEN 'cached' ELSE 'own_key' END,
           sum(record.charge_nano)
    FROM usage_usagerecord record WHERE {_OF_PERIOD} AND {_IS_UNPRICED}
    GROUP BY 1, 2, 3, 4, 5"""  # noqa: S608
_PRICED: Final = f"""
    SELECT record.project, record.team_id, record.model, {_LATE_OF} AS origin,
           record.price_version_id, record.multiplier_ppm, record.meters,
           record.pricing -> 'parts' AS parts
    FROM usage_usagerecord record
    JOIN billing_priceversion version ON version.id = record.price_version_id
    WHERE {_OF_PERIOD} AND {_IS_UNPRICED} IS NOT TRUE
    AND coalesce(version.rates #> '{{tiers,0}}', record.pricing #> '{{parts,0}}')"""  # noqa: S608

_FLAT: Final = f"""
    SELECT project, team_id, model, origin, price_version_id, multiplier_ppm, meter.key,
           sum(meter.value::bigint)
    FROM ({_PRICED} IS NULL) priced, jsonb_each_text(priced.meters) meter
    GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608 - made of constants
_ONE_BY_ONE: Final = f"""
    SELECT project, team_id, model, origin, price_version_id, multiplier_ppm, meters, parts,
           count(*)
    FROM ({_PRICED} IS NOT NULL) priced GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""  # noqa: S608
_CHARGED: Final = f"""
    SELECT record.project, record.team_id, {_LATE_OF}, sum(record.charge_nano)
    FROM usage_usagerecord record WHERE {_OF_PERIOD} GROUP BY 1, 2, 3"""  # noqa: S608
_CORRECTED: Final = """
    SELECT record.project, record.team_id, record.model,
           date_trunc('month', record.admitted_at AT TIME ZONE %(zone)s)::date,
           sum(entry.amount_nano)
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id AND account.kind = 'revenue'
    LEFT JOIN usage_usagerecord record ON record.organisation_id = posting.organisation_id
        AND record.id = split_part(posting.idempotency_id, ':', 2)::uuid
    WHERE posting.organisation_id = %(organisation)s AND posting.kind = 'correct'
    AND posting.created_at >= %(from)s AND posting.created_at < %(until)s
    AND posting.id >= %(posting_first_id)s AND posting.id < %(until_id)s
    GROUP BY 1, 2, 3, 4 ORDER BY 4, 3, 1, 2"""
# One line for each charge, with the text of its posting.
_FEES: Final = """
    SELECT posting.cause ->> 'reason', entry.amount_nano
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
        AND account.kind = 'subscription:fees'
    WHERE posting.organisation_id = %(organisation)s AND posting.kind = 'adjust'
    AND posting.created_at >= %(from)s AND posting.created_at < %(until)s
    AND posting.id >= %(posting_first_id)s AND posting.id < %(until_id)s
    ORDER BY posting.id"""
