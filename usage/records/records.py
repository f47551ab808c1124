"""Usage records written outside the relay."""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from billing.models import PriceVersion as StoredVersion
from billing.prices.own_key_fee import OwnKeyFee
from billing.prices.pricing import CostLines, PriceVersion, price, saved_by_cache, total_of
from billing.subscriptions.included_units import NOTHING_PAID, Paid, paid_by_units
from lib.id_types import AttemptId, OrganisationId
from usage.records import sql

CRASH_CUT: Final = sql.Ending(
    final=True,
    status=500,
    kind="internal",
    message="API request failed: Server Error",
    basis="absorbed",
    flags=("crash_cut",),
)


class Cut(NamedTuple):
    """An attempt whose process died: its hold, its certain progress, and the included units that it
    holds. `own_nano` is the price held that its organisation pays its provider itself, None for the
    installation's keys."""

    attempt_id: AttemptId
    organisation_id: OrganisationId
    hold_nano: int
    mark: Mapping[str, int] | None
    units: Mapping[str, int] = MappingProxyType({})
    own_nano: int | None = None


class CrashCut(NamedTuple):
    """The ending of an attempt that was cut off, the cost that nobody pays, and the part that
    included units pay."""

    ending: sql.Ending
    loss_nano: int
    paid: Paid


def crash_cut(cuts: Sequence[Cut]) -> list[CrashCut]:
    """Return the ending of each attempt: its last high-water mark, at the price of its admission.

    Without a mark the customer pays nothing, because it is unknown what was answered. The estimated
    price of the input is booked to us until the provider has reported (I15), unless the
    organisation's own key was used, which costs us nothing. Nor does a stored answer, for which
    nobody was asked.
    """
    versions = versions_of([(cut.organisation_id, cut.attempt_id) for cut in cuts])
    crash_cuts = []
    for cut in cuts:
        known = versions.get(cut.attempt_id, Versions(None, None, 0))
        ending = _ending(cut, known)
        if cut.own_nano is not None:
            ending = _own_ending(cut, known, ending, cut.own_nano)
            crash_cuts.append(CrashCut(ending, 0, NOTHING_PAID))
            continue
        loss_nano = _estimated_nano(known) if ending.basis == "absorbed" else 0
        crash_cuts.append(
            CrashCut(ending, loss_nano, _paid_by_units(cut, known, ending.charge_nano))
        )
    return crash_cuts


def _paid_by_units(cut: Cut, versions: "Versions", charge_nano: int) -> Paid:
    if not charge_nano or not cut.mark or not cut.units or versions.charge is None:
        return NOTHING_PAID
    meters = add_request_meter(cut.mark, versions.charge)
    return paid_by_units([(meters, versions.charge)], cut.units)


def write_crash_cut(cuts: Iterable[tuple[Cut, sql.Ending]]) -> None:
    """Write the records, in the transaction that resolves the holds."""
    write_endings(
        [
            sql.RecordWritten(
                organisation_id=cut.organisation_id, attempt_id=cut.attempt_id, ending=ending
            )
            for cut, ending in cuts
        ]
    )


def write_endings(written: Sequence[sql.RecordWritten]) -> None:
    """Write the records of attempts, in the transaction that resolves their holds."""
    if written:
        text, parameters = sql.write_records(written)
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)


def _ending(cut: Cut, versions: "Versions") -> sql.Ending:
    if versions.is_stored_answer:
        return msgspec.structs.replace(CRASH_CUT, basis="none", cost_nano=0)
    if not cut.mark:
        return CRASH_CUT
    meters, version = dict(cut.mark), versions.charge
    cost_nano = cost_of(meters, versions.cost)
    if version is None:
        return msgspec.structs.replace(
            CRASH_CUT, meters=json.dumps(meters), basis="free", cost_nano=cost_nano
        )
    meters = add_request_meter(meters, version)
    cost = price(meters, version)
    if not isinstance(cost, CostLines):
        return msgspec.structs.replace(CRASH_CUT, meters=json.dumps(meters), cost_nano=cost_nano)
    return msgspec.structs.replace(
        CRASH_CUT,
        cost_nano=cost_nano,
        meters=json.dumps(meters),
        charge_nano=min(cost.total_nano, cut.hold_nano),
        basis="estimated",
        saved_nano=saved_by_cache(meters, version),
    )


def _own_ending(cut: Cut, versions: "Versions", ending: sql.Ending, own_nano: int) -> sql.Ending:
    """Return the ending of an attempt with its organisation's own key. The customer pays the fee
    alone."""
    if ending.basis != "estimated" or not cut.mark:
        return msgspec.structs.replace(ending, basis="none", cost_nano=0, own_nano=0)
    fee = versions.own_fee or OwnKeyFee()
    return msgspec.structs.replace(
        ending,
        cost_nano=0,
        saved_nano=0,
        charge_nano=min(fee.nano_of(cut.mark), cut.hold_nano),
        own_nano=min(_price_nano(cut.mark, versions), own_nano),
    )


def _price_nano(meters: Mapping[str, int], versions: "Versions") -> int:
    if versions.charge is None:
        return 0
    total = total_of(add_request_meter(meters, versions.charge), versions.charge)
    return total if isinstance(total, int) else 0


def _estimated_nano(versions: "Versions") -> int:
    return _price_nano({"in_text": versions.input_estimate}, versions)


def add_request_meter(meters: Mapping[str, int], version: PriceVersion) -> dict[str, int]:
    """Return the meters and, for a price per request, the request itself, if any of it was
    counted."""
    counted = {"requests": 1} if meters and "requests" in version.rates else {}
    return {**meters, **counted}


def cost_of(meters: Mapping[str, int], version: PriceVersion | None) -> int | None:
    """Return our cost of these meters, in nano, or None if no cost price covers them."""
    if version is None or not meters:
        return None
    # Remove the requests from the meters, because only our charges have a price per request, unless
    # the provider has one too.
    counted = {name: used for name, used in meters.items() if name != "requests"}
    total = total_of(add_request_meter(counted, version), version)
    return total if isinstance(total, int) else None


class Versions(NamedTuple):
    """The price versions of an attempt: the one that it is charged at, by its plan, and the one of
    its cost. Also the tokens of its request, estimated by size, and the fee for its organisation's
    own key, None for the installation's keys. `is_stored_answer`: it serves one, and asks no
    provider."""

    charge: PriceVersion | None
    cost: PriceVersion | None
    input_estimate: int
    own_fee: OwnKeyFee | None = None
    is_stored_answer: bool = False


def versions_of(attempts: Sequence[tuple[UUID, UUID]]) -> dict[UUID, Versions]:
    """Return the price versions at which attempts were admitted. An attempt is given by the ids of
    its organisation and of itself. None for free or unknown versions."""
    if not attempts:
        return {}
    organisations, ids = ([*values] for values in zip(*attempts, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, price_version_id, multiplier_ppm, cost_version_id, input_estimate, "
            "own_fee, channel_id IS NULL "
            # Use the primary key, which begins with the organisation, in the partitions of the ids'
            # months.
            "FROM usage_attempt WHERE organisation_id = ANY (%(organisations)s::uuid[]) "
            "AND id = ANY (%(ids)s::uuid[]) AND id BETWEEN %(first)s AND %(last)s",
            {"organisations": organisations, "ids": ids, "first": min(ids), "last": max(ids)},
        )
        rows = cursor.fetchall()
    wanted = {row[n] for row in rows for n in (1, 3) if row[n]}
    stored = {
        id: PriceVersion.from_stored(version.rates)
        for id, version in StoredVersion.objects.in_bulk(wanted).items()
    }
    return {
        attempt_id: Versions(
            stored[charge].multiplied(multiplier_ppm) if charge else None,
            stored[cost] if cost else None,
            estimate,
            None if own_fee is None else OwnKeyFee.from_stored(own_fee),
            stored_answer,
        )
        for attempt_id, charge, multiplier_ppm, cost, estimate, own_fee, stored_answer in rows
    }
