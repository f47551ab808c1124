"""Late usage: uncertain attempts, and what was learnt about them later (I7)."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from django.contrib.postgres.functions import TransactionNow
from django.db.models import Exists, OuterRef

from billing.models import Hold
from billing.prices.pricing import total_of
from lib import clock
from lib.ids import ID_SLACK, first_id_at
from usage.filters.visibility import run
from usage.models import DetachedMonth, LateTruth, TruthSource, UsageRecord
from usage.records.records import add_request_meter, cost_of, versions_of

# A provider that cannot answer yet is asked every few seconds for some minutes, then less and less
# often for a day. A process may have died after asking.
_PATIENT_TRIES = 40
_TRIES_MAX = _PATIENT_TRIES + 14


class Unsure(NamedTuple):
    """A settled attempt about whose usage the provider may know more. `channel_key_id` is the key
    with which it was sent, None if the channel had no keys."""

    attempt_id: UUID
    organisation_id: UUID
    channel_id: UUID
    charge_nano: int
    channel_key_id: UUID | None


class LateUsage(NamedTuple):
    """What is known about an attempt, to be posted.

    `charge_nano` is what the attempt's own process charged, None if that process died. `total_nano`
    is the count at the price of the admission, None if it cannot be computed. `cost_nano` is our
    cost, None without a cost price. The provider's count takes precedence over ours, unless the
    provider did not know the attempt yet. `own_nano` is what the organisation pays its provider
    itself, None for the installation's keys.
    """

    attempt_id: UUID
    organisation_id: UUID
    source: str
    meters: Mapping[str, int]
    charge_nano: int | None
    total_nano: int | None
    cost_nano: int | None
    own_nano: int | None = None


def take_unsure(channel_ids: Iterable[UUID], limit: int) -> list[Unsure]:
    """Claim up to `limit` attempts of these channels whose provider should be asked now.

    No other process asks about these attempts before they are due again.
    """
    now = clock.now()
    parameters = {
        "channels": list(channel_ids),
        "limit": limit,
        "first_id": first_id_at(now - dt.timedelta(days=1) - ID_SLACK),
        "end_id": first_id_at(now + ID_SLACK),
    }
    rows = run(_UNSURE, parameters | {"tries": _TRIES_MAX, "patient": _PATIENT_TRIES})
    return [Unsure(*row) for row in rows]


def note(unsure: Unsure, meters: Mapping[str, int], raw_usage: str | None) -> None:
    """Store what the provider reported."""
    meters_text = json.dumps(dict(meters))
    run(_NOTE, {"attempt": unsure.attempt_id, "meters": meters_text, "raw": raw_usage})


def list_unposted(limit: int) -> list[LateUsage]:
    """Return what was learnt and is not posted yet, oldest first. Entries of a detached month wait
    until the month is attached, because the file has the prices of its attempts and their use of
    budgets."""
    away = DetachedMonth.objects.filter(
        first_id__lte=OuterRef("attempt_id"), end_id__gt=OuterRef("attempt_id")
    )
    unposted = LateTruth.objects.filter(~Exists(away), posted_at=None, meters__isnull=False)
    rows = list(unposted.order_by("id")[:limit])
    ids = [row.attempt_id for row in rows]
    known: dict[UUID, dict[str, LateTruth]] = {}
    for row in LateTruth.objects.filter(attempt_id__in=ids, meters__isnull=False):
        known.setdefault(row.attempt_id, {})[row.source] = row
    versions = versions_of([(row.organisation_id, row.attempt_id) for row in rows])
    late_usages = []
    for row in rows:
        late_ending = known[row.attempt_id].get(TruthSource.LATE)
        best = known[row.attempt_id].get(TruthSource.LOOK_UP, late_ending or row)
        if late_ending is not None and late_ending.meters and not best.meters:
            # The provider was asked before the request was sent, because the sending process was
            # suspended.
            best = late_ending
        version, cost_version, _, own_fee, is_stored_answer = versions[row.attempt_id]
        meters: Mapping[str, int] = best.meters or {}
        if own_fee is not None or is_stored_answer:
            late_usages.append(_without_cost(row, late_ending, meters))
            continue
        total = 0 if version is None else total_of(add_request_meter(meters, version), version)
        charge_nano = None if late_ending is None else late_ending.charge_nano
        if best is late_ending and charge_nano is not None and isinstance(total, int):
            # The attempt may have ended at another price version than it began with.
            total = max(total, charge_nano)
        late_usages.append(
            LateUsage(
                attempt_id=row.attempt_id,
                organisation_id=row.organisation_id,
                source=row.source,
                meters=meters,
                charge_nano=charge_nano,
                total_nano=total if isinstance(total, int) else None,
                cost_nano=cost_of(meters, cost_version),
            )
        )
    return late_usages


def _without_cost(
    row: LateTruth, late_ending: LateTruth | None, meters: Mapping[str, int]
) -> LateUsage:
    """Return the late usage of an attempt for which we owe no provider: only its charge is in the
    ledger, and only its own process knows it. A stored answer has a share of another charge. With
    its own key, an organisation pays the fee to us and the rest to its provider, whom the
    installation's key cannot query about another account."""
    known = row if late_ending is None else late_ending
    return LateUsage(
        attempt_id=row.attempt_id,
        organisation_id=row.organisation_id,
        source=row.source,
        meters=meters,
        charge_nano=known.charge_nano,
        total_nano=known.charge_nano,
        cost_nano=0,
        own_nano=known.own_nano,
    )


def can_be_posted(late: LateUsage) -> bool:
    """Return whether the attempt is in the database and this usage is not posted yet. Both are
    locked until the end of this transaction, which has locked the wallet."""
    unposted = LateTruth.objects.filter(
        attempt_id=late.attempt_id, source=late.source, posted_at=None
    )
    return unposted.exists() and Hold.objects.filter(id=late.attempt_id).exists()


def own_change_of(late: LateUsage) -> int | None:
    """Return by how much more the organisation pays its provider than the record says, None for the
    installation's keys."""
    if late.own_nano is None:
        return None
    record = UsageRecord.objects.get(organisation_id=late.organisation_id, id=late.attempt_id)
    return late.own_nano - (record.own_nano or 0)


def mark_posted(late: LateUsage, own_change_nano: int | None = None) -> bool:
    """Mark late usage as posted, unless it is. Return whether this call did: only then the books
    may follow, in the same transaction, so that both have the same time."""
    marked = LateTruth.objects.filter(
        attempt_id=late.attempt_id, source=late.source, posted_at=None
    ).update(posted_at=TransactionNow(), own_change_nano=own_change_nano)
    return marked == 1


_UNSURE = """
    WITH unsure AS (
        SELECT record.id, record.organisation_id, record.channel_id, record.charge_nano
        FROM usage_usagerecord record
        LEFT JOIN usage_latetruth late
            ON late.attempt_id = record.id AND late.source = 'look_up'
        WHERE record.basis IN ('estimated', 'absorbed')
          -- Our key there cannot ask for what another account used.
          AND record.own_nano IS NULL
          AND record.admitted_at > now() - interval '1 day'
          AND record.id >= %(first_id)s AND record.id < %(end_id)s
          AND record.channel_id = ANY (%(channels)s)
          AND (late.id IS NULL OR (
              late.meters IS NULL AND late.ask_at < now() AND late.tries < %(tries)s))
        ORDER BY record.admitted_at LIMIT %(limit)s
    ),
    taken AS (
        INSERT INTO usage_latetruth AS late (organisation_id, attempt_id, source, tries, ask_at)
        SELECT organisation_id, id, 'look_up', 1, now() + interval '5 seconds' FROM unsure
        ON CONFLICT (attempt_id, source) DO UPDATE
        SET tries = late.tries + 1,
            ask_at = now() + interval '5 seconds' * 2 ^ greatest(late.tries - %(patient)s, 0)
        WHERE late.meters IS NULL AND late.ask_at < now()
        RETURNING attempt_id
    )
    SELECT unsure.*, attempt.channel_key_id
    FROM unsure JOIN taken ON taken.attempt_id = unsure.id
    LEFT JOIN LATERAL (
        SELECT channel_key_id FROM usage_attempt
        WHERE organisation_id = unsure.organisation_id AND id = unsure.id
          AND id >= %(first_id)s AND id < %(end_id)s LIMIT 1
    ) attempt ON true"""

_NOTE = """
    UPDATE usage_latetruth
    SET meters = %(meters)s::jsonb, raw_usage = %(raw)s::jsonb, learnt_at = now()
    WHERE attempt_id = %(attempt)s AND source = 'look_up' AND meters IS NULL"""
