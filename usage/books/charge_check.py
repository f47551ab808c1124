"""Checks that the charge of each usage record follows from its own meters and price version
(I10)."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from accounts.models import Organisation
from billing.models import PriceVersion as StoredVersion
from billing.prices.cached_answers import cached_charge_of
from billing.prices.meters import MeterUnknown
from billing.prices.own_key_fee import OwnKeyFee
from billing.prices.pricing import (
    PriceInvalid,
    PriceVersion,
    saved_by_cache,
    stored_parts,
    total_of,
    total_of_parts,
)
from usage.records.outcomes import UNCHARGED

_ROWS: Final = 5_000
_FIRST: Final = UUID(int=0)


class Place(NamedTuple):
    """The last record of a page, in the order of the primary key. In any other order, each page
    would have to be searched among all later records."""

    organisation: UUID = _FIRST
    record: UUID = _FIRST

    @classmethod
    def from_text(cls, text: str) -> "Place":
        organisation, _, record = text.partition(" ")
        return cls(UUID(organisation), UUID(record)) if record else cls()

    def __str__(self) -> str:
        return f"{self.organisation} {self.record}"


class _Record(NamedTuple):
    """The columns of a usage record that determine its charge."""

    id: UUID
    meters: Any
    charge_nano: int
    price_version_id: int | None
    multiplier_ppm: int
    hold_nano: int
    basis: str
    saved_nano: int | None
    pricing: Any
    own_nano: int | None = None
    own_fee: Any = None


class WrongCharge(NamedTuple):
    """A record with a wrong charge or saving."""

    id: UUID
    expected: object
    found: object
    problem: str


def wrong_charges() -> Iterator[tuple[UUID, str]]:
    """Yield the id of every record with a wrong charge or saving, and what is wrong."""
    place: Place | None = Place()
    versions: dict[int, PriceVersion] = {}
    while place is not None:
        wrong, place = wrong_charges_after(place, versions)
        yield from ((one.id, one.problem) for one in wrong)


def wrong_charges_after(
    place: Place, versions: dict[int, PriceVersion]
) -> tuple[list[WrongCharge], Place | None]:
    """Check the page of records after `place`. Return its wrong records and its end, or None after
    the last page. `versions` caches price versions by id."""
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
        records = [_Record(*row) for row in cursor.fetchall()]
    named = {record.price_version_id for record in records} - {None}
    for id, version in StoredVersion.objects.in_bulk(named - versions.keys()).items():
        versions[id] = PriceVersion.from_stored(version.rates)
    wrong = [one for record in records if (one := _judge(record, versions)) is not None]
    if len(records) == _ROWS:
        return wrong, Place(organisation, records[-1].id)
    return wrong, Place(UUID(int=organisation.int + 1), _FIRST)


def _judge(record: _Record, versions: Mapping[int, PriceVersion]) -> WrongCharge | None:
    meters: Mapping[str, int] = _decode(record.meters)
    if (cached := cached_charge_of(_decode(record.pricing))) is not None:
        charged = min(cached.nano, record.hold_nano)
        return _compare_figures(record.id, "charged", charged, record.charge_nano)
    if record.basis in UNCHARGED or record.price_version_id is None:
        return _compare_figures(record.id, "charged", 0, record.charge_nano)
    if record.own_fee is not None:
        return _judge_own(record, meters)
    version = versions[record.price_version_id].multiplied(record.multiplier_ppm)
    if record.pricing is not None:
        return _judge_parts(record, meters, version)
    total = total_of(meters, version)
    if not isinstance(total, int):
        return _unpriced(record, f"its meters have no price: {total.reason}")
    return _compare(record, total, lambda: saved_by_cache(meters, version))


def _judge_own(record: _Record, meters: Mapping[str, int]) -> WrongCharge | None:
    """Judge the record of an attempt with its organisation's own key, which is charged the fee
    alone."""
    fee_nano = OwnKeyFee.from_stored(record.own_fee).nano_of(meters)
    charged = min(fee_nano, record.hold_nano)
    return _compare_figures(record.id, "charged", charged, record.charge_nano)


def _judge_parts(
    record: _Record, meters: Mapping[str, int], version: PriceVersion
) -> WrongCharge | None:
    """Judge a record whose charge is the sum of parts, or follows from conditions."""
    try:
        parts = stored_parts(_decode(record.pricing), meters, version)
    except (PriceInvalid, MeterUnknown) as error:
        return _unpriced(record, f"its parts have no price: {error}")
    used = dict.fromkeys(meters, 0)
    for part in parts:
        for name, count in part.meters.items():
            used[name] = used.get(name, 0) + count
    if used != meters:
        return WrongCharge(record.id, dict(meters), used, "its parts are not what it used")
    total = total_of_parts([(part.meters, part.version) for part in parts])
    if not isinstance(total, int):
        return _unpriced(record, f"its parts have no price: {total.reason}")
    return _compare(
        record, total, lambda: sum(saved_by_cache(part.meters, part.version) for part in parts)
    )


def _compare(
    record: _Record, total_nano: int, count_saved: Callable[[], int]
) -> WrongCharge | None:
    charged = min(total_nano, record.hold_nano)
    wrong = _compare_figures(record.id, "charged", charged, record.charge_nano)
    if wrong is None and record.saved_nano is not None:
        return _compare_figures(record.id, "saved", count_saved(), record.saved_nano)
    return wrong


def _unpriced(record: _Record, problem: str) -> WrongCharge:
    return WrongCharge(record.id, "", record.charge_nano, problem)


def _decode(stored: Any) -> Any:
    """Parse JSON, which Django's connection returns as text."""
    return json.loads(stored) if isinstance(stored, str) else stored


def _compare_figures(id: UUID, what: str, expected: int, actual: int) -> WrongCharge | None:
    if expected == actual:
        return None
    return WrongCharge(id, expected, actual, f"{what} {actual}, expected {expected}")


_RECORDS: Final = f"""
    SELECT {", ".join(_Record._fields[:-1])}, CASE WHEN own_nano IS NOT NULL THEN (
        SELECT own_fee FROM usage_attempt a
        WHERE a.organisation_id = record.organisation_id AND a.id = record.id) END
    FROM usage_usagerecord record WHERE organisation_id = %(organisation)s AND id > %(after)s
    ORDER BY id LIMIT %(limit)s"""  # noqa: S608 - only names of columns are put in
