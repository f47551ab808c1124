"""Usage records written outside the relay."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection

from billing.models import PriceVersion as StoredVersion
from billing.rules.pricing import CostLines, PriceVersion, price
from usage import sql

CRASH_CUT: Final = sql.Ending(
    final=True,
    status=500,
    kind="internal",
    message="API request failed: Server Error",
    basis="absorbed",
    flags=("crash_cut",),
)


class Cut(NamedTuple):
    """An attempt whose process died: what it held, and how far it surely was."""

    attempt_id: UUID
    organisation_id: UUID
    hold_nano: int
    mark: Mapping[str, int] | None


def crash_cut(cuts: Sequence[Cut]) -> list[sql.Ending]:
    """The ending of each: what its last mark comes to at the price of its admission.

    Without a mark the customer pays nothing: nobody knows what was answered.
    """
    versions = _versions([cut.attempt_id for cut in cuts if cut.mark])
    return [_ending(cut, versions.get(cut.attempt_id)) for cut in cuts]


def write_crash_cut(cuts: Iterable[tuple[Cut, sql.Ending]]) -> None:
    """Write the records, in the transaction that resolves the holds."""
    written = [
        sql.RecordWritten(cut.organisation_id, cut.attempt_id, ending) for cut, ending in cuts
    ]
    if written:
        text, parameters = sql.write_records(written)
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)


def _ending(cut: Cut, version: PriceVersion | None) -> sql.Ending:
    if not cut.mark:
        return CRASH_CUT
    meters = dict(cut.mark)
    if version is None:
        return CRASH_CUT._replace(meters=json.dumps(meters), basis="free")
    if "requests" in version.rates:
        meters["requests"] = 1
    cost = price(meters, version)
    if not isinstance(cost, CostLines):
        return CRASH_CUT._replace(meters=json.dumps(meters))
    return CRASH_CUT._replace(
        meters=json.dumps(meters),
        charge_nano=min(cost.total_nano, cut.hold_nano),
        basis="estimated",
    )


def _versions(attempt_ids: Sequence[UUID]) -> dict[UUID, PriceVersion]:
    """The price versions at which attempts were admitted; none for what is free."""
    if not attempt_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, price_version_id FROM usage_attempt WHERE id = ANY (%s) "
            "AND price_version_id IS NOT NULL",
            [list(attempt_ids)],
        )
        found = dict(cursor.fetchall())
    stored = StoredVersion.objects.in_bulk(set(found.values()))
    return {
        attempt_id: PriceVersion.from_stored(stored[version_id].rates)
        for attempt_id, version_id in found.items()
    }
