"""Promotional credit: granted, used before cash, taken back when it expires (I20; ADR 9)."""

import datetime as dt
from collections.abc import Iterable, Mapping
from itertools import groupby
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.models import Organisation
from billing.credits.promo_rules import Left, Payers, consume, lapse, payers
from billing.currency.money import format_usd
from billing.ledger.funding import Pool, consume_promo, grant_promo, lapse_promo
from billing.ledger.ledger import execute, lock_wallet, post
from billing.ledger.posting import PostingKind
from billing.ledger.spending import (
    charged_between,
    database_time,
    held_since_before,
    next_entry,
    paid_by_included,
    spent_since,
)
from billing.models import Posting, PromoGrant, PromoMark, SpendingCount, SubscriptionCharge
from lib import clock
from lib.database.tenancy import use_tenant
from outbox.facts import put


def grant(
    organisation: Organisation,
    amount_nano: int,
    idempotency_id: str,
    kind: PostingKind,
    *,
    expires_at: dt.datetime | None,
    actor: str,
    cause: dict[str, object],
    charge: SubscriptionCharge | None = None,
) -> PromoGrant:
    """Grant an organisation money, in the caller's transaction. `charge` is the subscription charge
    that paid for it. Earlier spending is first counted against earlier grants, so the interval of
    the regular counting does not matter."""
    count_spending(organisation.id)
    new_grant = PromoGrant(
        organisation=organisation,
        amount_nano=amount_nano,
        expires_at=expires_at,
        source=idempotency_id,
        charge=charge,
    )
    posting = grant_promo(idempotency_id, kind, amount_nano, organisation.id, new_grant.pool)
    post(posting, actor=actor, cause=cause)
    new_grant.save(force_insert=True)
    return new_grant


def count_spending(organisation_id: UUID) -> None:
    """Count the spending since the last count against the grants, then end expired grants."""
    with transaction.atomic():
        lock_wallet(organisation_id)
        grants = list(grants_left(organisation_id))
        [(now,)] = execute(database_time())
        edges = [edge for edge, _ in groupby(grant.expires_at for grant in grants) if edge]
        edges = [edge for edge in edges if edge <= now]
        [(last,)] = execute(next_entry())
        mark, created = PromoMark.objects.get_or_create(
            organisation_id=organisation_id, defaults={"entry_id": last}
        )
        if grants and not created:
            _count(grants, edges, mark, last)
        marks = PromoMark.objects.filter(organisation=organisation_id)
        marks.update(entry_id=last, counted_at=now)
        for grant in grants:
            if grant.expires_at is not None and grant.expires_at <= now:
                _lapse(grant)


def unused_nano(organisation_id: UUID, grants: Iterable[PromoGrant]) -> int:
    """Return the unused amount of these grants, without what running requests may still use. Before
    the call, count earlier spending under the wallet's lock."""
    [(now,)] = execute(database_time())
    [(protected,)] = execute(held_since_before(organisation_id, now.isoformat()))
    left_nano = sum(grant.remaining_nano for grant in grants)
    return lapse(left_nano, protected, lock_wallet(organisation_id).available_nano)


def take_back(grant: PromoGrant, amount_nano: int, cause: dict[str, object]) -> None:
    """Take back part of a grant before it expires, at most its unused part. Runs in the caller's
    transaction, under the lock of the wallet."""
    owner = grant.organisation_id
    post(lapse_promo(grant.id, grant.expired_nano, amount_nano, owner, grant.pool), cause=cause)
    grant.expired_nano += amount_nano
    grant.save(update_fields=["expired_nano"])


def paid_by(organisation_id: UUID, charges: Mapping[UUID, int]) -> Payers | None:
    """Return who paid these charges (attempt: nano). None until the charges are counted against
    grants, which happens every minute."""
    total = Payers(0, 0, sum(charges.values()))
    for attempt_id, charge_nano in charges.items():
        entry_id = _entry_of(organisation_id, attempt_id) if charge_nano > 0 else None
        if entry_id is None:
            continue
        [(units_nano,)] = execute(paid_by_included(organisation_id, attempt_id))
        total = Payers(total[0] + units_nano, total[1], total[2] - units_nano)
        count = (
            SpendingCount.objects.filter(organisation=organisation_id, entry__gt=entry_id)
            .order_by("entry")
            .first()
        )
        if count is None and _has_waiting_spending(organisation_id, entry_id):
            return None
        if count is None or count.from_entry > entry_id:
            continue
        before = charged_between(organisation_id, count.from_entry, entry_id, count.since)
        [(before_nano,)] = execute(before)
        included, promo, _ = payers(
            charge_nano - units_nano, before_nano, count.included_nano, count.promo_nano
        )
        total = Payers(total[0] + included, total[1] + promo, total[2] - included - promo)
    return total


def _entry_of(organisation_id: UUID, attempt_id: UUID) -> int | None:
    """Return the ledger entry of the posting that charged an attempt, or None for older ones."""
    postings = Posting.objects.filter(organisation=organisation_id, attempt_id=attempt_id)
    return postings.values_list("entry_id", flat=True).first()


def _has_waiting_spending(organisation_id: UUID, entry_id: int) -> bool:
    """Return whether a grant with a remaining amount may pay an entry that is not counted yet."""
    mark = PromoMark.objects.filter(organisation=organisation_id).first()
    counted = mark is not None and mark.entry_id > entry_id
    return not counted and grants_left(organisation_id).exists()


def grants_left(organisation_id: UUID) -> QuerySet[PromoGrant]:
    """Return the grants with a remaining amount, in the order in which they are consumed."""
    return _unspent_grants().filter(organisation=organisation_id)


def count_all_spending(*, expired_only: bool) -> int:
    """Run `count_spending` for every organisation with unspent grants, or only with expired ones.
    Return the number of organisations."""
    grants = _unspent_grants()
    if expired_only:
        grants = grants.filter(expires_at__lte=clock.now())
    organisations = list(grants.order_by().values_list("organisation_id", flat=True).distinct())
    for organisation_id in organisations:
        with use_tenant(organisation_id):
            count_spending(organisation_id)
    return len(organisations)


def _unspent_grants() -> QuerySet[PromoGrant]:
    return PromoGrant.objects.filter(
        Q(amount_nano__gt=F("consumed_nano") + F("expired_nano"))
    ).order_by(F("expires_at").asc(nulls_last=True), "id")


def _count(grants: list[PromoGrant], edges: list[dt.datetime], mark: PromoMark, last: int) -> None:
    owner = grants[0].organisation_id
    texts = [edge.isoformat() for edge in edges]
    rows = execute(spent_since(owner, mark.entry_id, mark.counted_at, texts))
    spent: dict[int, int] = dict(rows)
    left = [
        Left(
            grant.id,
            grant.remaining_nano,
            edges.index(grant.expires_at) + 1 if grant.expires_at in edges else None,
        )
        for grant in grants
    ]
    used = consume(left, spent)
    if any(spent.values()):
        paid: dict[Pool, int] = {"included": 0, "promo": 0}
        for grant in grants:
            paid[grant.pool] += used.get(grant.id, 0)
        SpendingCount.objects.create(
            organisation_id=owner,
            from_entry=mark.entry_id,
            entry=last,
            included_nano=paid["included"],
            promo_nano=paid["promo"],
            since=mark.counted_at,
        )
    for grant in grants:
        if amount_nano := used.get(grant.id, 0):
            post(consume_promo(grant.id, last, amount_nano, owner, grant.pool))
            grant.consumed_nano += amount_nano
            grant.save(update_fields=["consumed_nano"])


def _lapse(grant: PromoGrant) -> None:
    if grant.expires_at is None or not grant.remaining_nano:
        return
    owner = grant.organisation_id
    [(protected,)] = execute(held_since_before(owner, grant.expires_at.isoformat()))
    available_nano = lock_wallet(owner).available_nano
    amount_nano = lapse(grant.remaining_nano, protected, available_nano)
    if not amount_nano:
        return
    if grant.charge_id is None:
        take_back(grant, amount_nano, {})
        put("promo.expired", owner, amount=format_usd(amount_nano), currency="USD")
    else:
        # Included usage ends every month: nobody is notified.
        take_back(grant, amount_nano, {"included": True})
