"""Units of a plan, taken, given back and changed by several processes at once (P2, I6)."""

from uuid import UUID

import pytest
from django.db import transaction

from accounts.models import Organisation, User
from billing.holds.resolve_holds import HoldResolved, resolve_holds
from billing.ledger.accounts import lock_accounts
from billing.ledger.ledger import execute
from billing.limits.enforcement import HoldRequest
from billing.models import Account, IncludedUnits, Posting, SubscriptionPlan
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscription_plans import unit_term, write_plan
from billing.subscriptions.subscriptions import choose_plan
from lib.id_types import AttemptId, KeyId, OrganisationId
from lib.ids import new_id
from tests.billing.racing import racers
from tests.billing.test_sql import place
from tests.support import cast

PRICE = 10


def take(job: tuple[UUID, UUID, int]) -> UUID | None:
    """A request of a key that may come to so many units; None where so many are not left."""
    organisation_id, key_id, count = job
    row, word = IncludedUnits.objects.get(organisation=organisation_id), "stale"
    while word == "stale":
        wallet = Account.objects.get(organisation=organisation_id, kind="customer:available")
        hold = HoldRequest(
            attempt_id=AttemptId(new_id()),
            organisation_id=OrganisationId(organisation_id),
            key_id=KeyId(key_id),
            amount_nano=0,
            ttl_seconds=600,
            guards=wallet.guards,
            guarded=True,
            units=((row.id, count),),
            included_nano=count * PRICE,
        )
        ((word, *_),) = place(hold)
    row.refresh_from_db()
    assert row.taken <= row.included
    return hold.attempt_id if word == "admitted" else None


def resolve(job: tuple[UUID, UUID, str, int]) -> int:
    """One of those who end a request; how many units it used, 0 where somebody else ended it."""
    organisation_id, attempt_id, state, used = job
    resolved = HoldResolved(
        attempt_id=AttemptId(attempt_id),
        posting_id=new_id(),
        organisation_id=OrganisationId(organisation_id),
        state=state,
        charge_nano=used * PRICE,
        included_nano=used * PRICE,
        units=(used,),
    )
    with transaction.atomic():
        execute(lock_accounts([organisation_id]))
        return used if execute(resolve_holds([resolved])) else 0


def change(job: tuple[str, UUID]) -> None:
    """Another plan for the rest of the month."""
    organisation = Organisation.objects.get(slug=job[0])
    alice = cast.actor(User.objects.get(email__startswith="alice"), organisation)
    choose_plan(alice, organisation, SubscriptionPlan.objects.get(id=job[1]))


JOBS = {"take": take, "resolve": resolve, "change": change}


def do(job: tuple[str, tuple[object, ...]]) -> UUID | int | None:
    return JOBS[job[0]](job[1])  # type: ignore[operator,no-any-return]


@pytest.mark.django_db(transaction=True)
def test_used_and_held_units_never_exceed_the_included() -> None:
    people = cast.assemble()
    owner, (key, _) = people.acme.id, cast.make_key(people.core)
    plans = []
    for name, count in (("Small", 30_000), ("Large", 60_000)):
        terms = Terms(0, 0, (unit_term("in_text", [], count),))
        plans.append(write_plan(cast.actor(people.dora), name, terms))
    SubscriptionPlan.objects.update(state="offered")
    small, large = (plan.id for plan in plans)
    change(("acme", small))
    count = IncludedUnits.objects.get().included // 10 + 1
    takes = [("take", (owner, key.id, count))] * 24
    with racers(2) as run:
        attempts = [id for id in run(do, [*takes, ("change", ("acme", large))]) if id]
        ends = [
            ("resolve", (owner, id, state, used))
            for id in attempts
            for state, used in (("settled", count), ("expired", count // 2), ("voided", 0))
        ]
        used = sum(n or 0 for n in run(do, [*ends, ("change", ("acme", small))]))
    assert 9 <= len(attempts) <= 19
    row = IncludedUnits.objects.get()
    assert (row.used, row.held) == (used, 0)
    assert row.used <= row.included
    assert Posting.objects.filter(attempt_id__in=attempts).count() == len(attempts)
    accounts = dict(Account.objects.filter(organisation=owner).values_list("kind", "balance_nano"))
    assert accounts["revenue"] == used * PRICE == -accounts["included:units"]
    assert accounts["customer:available"] == accounts["customer:held"] == 0
