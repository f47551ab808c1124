"""Whether the charge of each usage record comes out of its own meters and price version (I10)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from accounts.models import Organisation
from billing.models import PriceVersion as StoredVersion
from billing.prices.meters import MeterUnknown
from billing.prices.pricing import (
    PriceInvalid,
    PriceVersion,
    saved_by_cache,
    stored_parts,
    total_of,
    total_of_parts,
)
from usage.requests.outcomes import UNCHARGED

_ROWS: Final = 5_000
_FIRST: Final = UUID(int=0)


class Place(NamedTuple):
    """After which record to go on, in the order of the primary key: in any other order every page
    would be looked for in all that come after it."""

    organisation: UUID = _FIRST
    record: UUID = _FIRST

    @classmethod
    def from_text(cls, text: str) -> "Place":
        organisation, _, record = text.partition(" ")
        return cls(UUID(organisation), UUID(record)) if record else cls()

    def __str__(self) -> str:
        return f"{self.organisation} {self.record}"


class WrongCharge(NamedTuple):
    """A record whose charge or saving is not what it should be."""

    id: UUID
    expected: object
    found: object
    problem: str


def wrong_charges() -> Iterator[tuple[UUID, str]]:
    """Every wrong record: its id, and what is wrong with it."""
    place: Place | None = Place()
    versions: dict[int, PriceVersion] = {}
    while place is not None:
        wrong, place = wrong_charges_after(place, versions)
        yield from ((one.id, one.problem) for one in wrong)


def wrong_charges_after(
    place: Place, versions: dict[int, PriceVersion]
) -> tuple[list[WrongCharge], Place | None]:
    """The wrong records of the page after a place, and its end; None after the last one. `versions`
    keeps the price versions that were read, by id."""
    organisation = (
        Organisation.objects.filter(id__gte=place.organisation)
        .order_by("id")
        .values_list("id", flat=True)
        .first()
    )
    if organisation is None:
        return [], None
    after = place.record if organisation == place.organisation else _FIRST
    page: dict[str, Any] = {"organisation": organisation, "after": after, "limit": _ROWS}
    with connection.cursor() as cursor:
        cursor.execute(_RECORDS, page)
        rows = cursor.fetchall()
    missing = {row[3] for row in rows if row[3] is not None} - versions.keys()
    for id, version in StoredVersion.objects.in_bulk(missing).items():
        versions[id] = PriceVersion.from_stored(version.rates)
    wrong = [one for row in rows if (one := _judge(row, versions)) is not None]
    if len(rows) == _ROWS:
        return wrong, Place(organisation, rows[-1][0])
    return wrong, Place(UUID(int=organisation.int + 1), _FIRST)


def _judge(row: Any, versions: Mapping[int, PriceVersion]) -> WrongCharge | None:
    id, stored, charge_nano, version_id, multiplier_ppm, hold_nano, basis, saved_nano, priced = row
    # Django's connection gives JSON as text.
    meters: Mapping[str, int] = json.loads(stored) if isinstance(stored, str) else stored
    if basis in UNCHARGED or version_id is None:
        return _wrong(id, "charged", 0, charge_nano)
    version = versions[version_id].multiplied(multiplier_ppm)
    if priced is not None:
        return _judge_parts(row, meters, version)
    total = total_of(meters, version)
    if not isinstance(total, int):
        return WrongCharge(id, "", charge_nano, f"its meters have no price: {total.reason}")
    wrong = _wrong(id, "charged", min(total, hold_nano), charge_nano)
    if wrong is None and saved_nano is not None:
        return _wrong(id, "saved", saved_by_cache(meters, version), saved_nano)
    return wrong


def _judge_parts(row: Any, meters: Mapping[str, int], version: PriceVersion) -> WrongCharge | None:
    """The same of a record whose charge is the sum of parts, or under conditions."""
    id, _, charge_nano, _, _, hold_nano, _, saved_nano, priced = row
    pricing = json.loads(priced) if isinstance(priced, str) else priced
    try:
        parts = stored_parts(pricing, meters, version)
    except (PriceInvalid, MeterUnknown) as error:
        return WrongCharge(id, "", charge_nano, f"its parts have no price: {error}")
    used = dict.fromkeys(meters, 0)
    for part in parts:
        for name, count in part.meters.items():
            used[name] = used.get(name, 0) + count
    if used != meters:
        return WrongCharge(id, dict(meters), used, "its parts are not what it used")
    total = total_of_parts([(part.meters, part.version) for part in parts])
    if not isinstance(total, int):
        return WrongCharge(id, "", charge_nano, f"its parts have no price: {total.reason}")
    wrong = _wrong(id, "charged", min(total, hold_nano), charge_nano)
    if wrong is None and saved_nano is not None:
        saved = sum(saved_by_cache(part.meters, part.version) for part in parts)
        return _wrong(id, "saved", saved, saved_nano)
    return wrong


def _wrong(id: UUID, what: str, expected: int, found: int) -> WrongCharge | None:
    if expected == found:
        return None
    return WrongCharge(id, expected, found, f"{what} {found}, expected {expected}")


_RECORDS: Final = """
    SELECT id, meters, charge_nano, price_version_id, multiplier_ppm, hold_nano, basis, saved_nano,
        pricing
    FROM usage_usagerecord WHERE organisation_id = %(organisation)s AND id > %(after)s
    ORDER BY id LIMIT %(limit)s"""
