"""Subscriptions: paid and granted once a month, changed by the day, the books balanced throughout
(I1, I8, I19, I20)."""

import datetime as dt
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import connection
from django.template.loader import render_to_string

from accounts.models import AuditEvent, Epoch, Key, KeyKind, Organisation, User
from billing.access import offered_plans, visible_subscription_plans
from billing.balances.balances import add_opening_credit, balance
from billing.credits import promo
from billing.credits.credits import CreditRefused, request_credit, request_reversal
from billing.credits.promo_rules import Payers
from billing.currency.money import format_usd
from billing.ledger.statement import statement
from billing.limits import budgets
from billing.limits.budgets import BudgetRefused
from billing.limits.enforcement import HoldRequest
from billing.models import (
    Account,
    Budget,
    IncludedUnits,
    Posting,
    PromoGrant,
    Subscription,
    SubscriptionCharge,
    SubscriptionPlan,
)
from billing.price_plans.price_plans import (
    assign_plan,
    price_plan_in_force,
    price_plan_of,
    save_plan,
)
from billing.prices.multipliers import MULTIPLIERS_MAX, Multiplier
from billing.prices.pricing import PPM
from billing.subscriptions import subscription_plans
from billing.subscriptions.included_units import TERMS_MAX, UNITS_MAX
from billing.subscriptions.rules import GRACE, Terms
from billing.subscriptions.subscription_plans import (
    MONTH_MAX_NANO,
    SubscriptionRefused,
    offer_plan,
    read_multiplier,
    unit_term,
    write_plan,
)
from billing.subscriptions.subscriptions import (
    Included,
    cancel_subscription,
    choose_plan,
    included_in,
    preview_plan,
    renew_subscriptions,
    resume_subscription,
    subscription_of,
    units_of,
)
from lib import clock
from lib.id_types import AttemptId, KeyId, OrganisationId
from lib.ids import id_text, new_id
from lib.refusal import Refused
from outbox.models import Fact
from tests.billing.racing import enter_database, racers
from tests.billing.test_sql import place
from tests.support import cast
from tests.support.beside import Beside
from tests.support.books import assert_books_balance
from tests.support.hostile import LONG, NUL, STORABLE
from tests.usage.rows import admit, end, price_version

USD = 10**9
# Far ahead: by the database's clock no grant of these months expires.
MIDDLE = dt.datetime(2099, 6, 16, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NextAt = Callable[[dt.datetime], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> NextAt:
    def move(now: dt.datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: now)

    move(MIDDLE)
    return move


@pytest.fixture
def key(people: cast.Cast, at: NextAt) -> Key:
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 100 * USD)
    return key


def plan(people: cast.Cast, name: str, price: int, included: int) -> SubscriptionPlan:
    dora = cast.actor(people.dora)
    written = write_plan(dora, name, Terms(price * USD, included * USD))
    return offer_plan(dora, written)


def spend(key: Key, charge_nano: int) -> None:
    # Records are of the present, whatever the time of the subscription is.
    end(admit(key, dt.datetime.now(dt.UTC), hold_nano=max(charge_nano, 1)), charge_nano)


def expire_grants() -> None:
    PromoGrant.objects.update(expires_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))


def accounts_of(key: Key) -> dict[str, int]:
    rows = Account.objects.filter(organisation=key.organisation)
    kinds = rows.exclude(kind__startswith="provider:").values_list("kind", "balance_nano")
    return {kind: nano for kind, nano in kinds if nano}


def test_multipliers_are_checked_and_told_to_the_relay(people: cast.Cast, key: Key) -> None:
    dora, alice = cast.actor(people.dora), cast.actor(people.alice, people.acme)

    def write(name: str, *multipliers: tuple[str, str]) -> SubscriptionPlan:
        read = [read_multiplier(*one) for one in multipliers]
        return write_plan(dora, name, Terms(0, 0), multipliers=read)

    for wrong in (
        [("gpt-*", "0.9"), ("gpt-5*", "0.8")],
        [("o3", "1"), ("o3", "2")],
        [("o3", "-1")],
        [("o3", "1e3")],
        [("o3", "NaN")],
        [("o 3", "1")],
        [("", "1")],
        [(f"o{n}", "1") for n in range(MULTIPLIERS_MAX + 1)],
    ):
        with pytest.raises(Refused) as refused:
            write("Wrong", *wrong)
        assert refused.value.field == "multipliers", wrong
    assert not SubscriptionPlan.objects.filter(name="Wrong").exists()
    # A price that falls by more than half needs two operators.
    cheap = write("Cheap", ("gpt-5*", "0.49"))
    with pytest.raises(SubscriptionRefused, match="more than halves"):
        offer_plan(dora, cheap)
    pro = offer_plan(dora, write("Pro", ("gpt-5*", "0.5"), ("*", "1.2")))
    save_plan(dora, "dear", multiplier_ppm=2_000_000)
    assign_plan(dora, people.acme, "dear")
    before = Epoch.objects.get(id=1).n
    choose_plan(alice, people.acme, pro)
    assert Epoch.objects.get(id=1).n > before
    in_force = price_plan_of(people.acme)
    assert (in_force.name, in_force.multiplier_for("gpt-5-mini")) == ("dear", 500_000)
    assert in_force.multiplier_for("o3") == 1_200_000
    save_plan(dora, "own", multiplier_ppm=1_900_000)
    assign_plan(dora, people.core, "own")
    of_team = price_plan_in_force(people.acme, team=people.core)
    assert (of_team.level, of_team.plan.multiplier_for("gpt-5-mini")) == ("team", 1_900_000)
    fact = AuditEvent.objects.get(action="subscription_plan.offered").detail
    assert fact["multipliers"] == {"gpt-5*": "0.5", "*": "1.2"}


def test_multipliers_end_with_the_subscription(people: cast.Cast, key: Key, at: NextAt) -> None:
    """The relay is told where a renewal is unpaid, and where the subscription ends."""
    dora, alice = cast.actor(people.dora), cast.actor(people.alice, people.acme)
    multipliers = [read_multiplier("*", "0.5")]
    written = write_plan(dora, "Pro", Terms(90 * USD, 0), multipliers=multipliers)
    choose_plan(alice, people.acme, offer_plan(dora, written))
    assert price_plan_of(people.acme).multiplier_for("o3") == 500_000
    for now in (MIDDLE + 16 * DAY, MIDDLE + 16 * DAY + GRACE + DAY):
        at(now)
        before = Epoch.objects.get(id=1).n
        renew_subscriptions()
        assert Epoch.objects.get(id=1).n > before
        assert price_plan_of(people.acme).multiplier_for("o3") == 1_000_000
    assert subscription_of(people.acme) is None


def test_multipliers_resume_with_a_late_payment(people: cast.Cast, key: Key, at: NextAt) -> None:
    """The relay is told then, and not by a renewal that changes no multiplier."""
    dora, alice = cast.actor(people.dora), cast.actor(people.alice, people.acme)
    multipliers = [read_multiplier("*", "0.5")]
    written = write_plan(dora, "Pro", Terms(90 * USD, 0), multipliers=multipliers)
    choose_plan(alice, people.acme, offer_plan(dora, written))
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    assert price_plan_of(people.acme).multiplier_for("o3") == 1_000_000
    for n in range(4):
        request_credit(dora, people.acme, 40 * USD, reason=f"Transfer {n}")
    for month, told in ((7, True), (8, False)):
        at(dt.datetime(2099, month, 1, 1, tzinfo=dt.UTC))
        before = Epoch.objects.get(id=1).n
        assert renew_subscriptions() == 1
        assert (Epoch.objects.get(id=1).n > before) is told
        assert price_plan_of(people.acme).multiplier_for("o3") == 500_000


def test_half_a_month_costs_and_includes_half(people: cast.Cast, key: Key) -> None:
    pro = plan(people, "Pro", 30, 40)
    alice = cast.actor(people.alice, people.acme)
    preview = preview_plan(people.acme, pro)
    assert preview.change == (15 * USD, 20 * USD, 0, ())
    assert (preview.days, preview.of_days, preview.missing_nano) == (15, 30, 0)
    assert preview.renews_on == dt.date(2099, 7, 1)
    choose_plan(alice, people.acme, pro, seen=preview.seen)
    assert balance(people.acme).available_nano == 105 * USD
    spend(key, 12 * USD)
    promo.count_spending(people.acme.id)
    current = subscription_of(people.acme)
    assert current is not None
    assert included_in(current) == Included(20 * USD, 8 * USD)
    spend(key, 18 * USD)
    promo.count_spending(people.acme.id)
    # 20 of 30 came out of what is included, 10 out of the balance.
    assert accounts_of(key) == {
        "customer:available": 75 * USD, "equity:opening": -100 * USD, "revenue": 30 * USD,
        "subscription:fees": 15 * USD, "included:issued": -20 * USD,
    }  # fmt: skip
    present = dt.datetime.now(dt.UTC).date().replace(day=1)
    words = [line.word_kind for line in statement(people.acme, present).lines]
    assert words.count("subscription") == words.count("included") == 1
    assert AuditEvent.objects.filter(action="subscription.plan_chosen").count() == 1
    assert_books_balance()


def test_preview_page_shows_what_the_change_moves(people: cast.Cast, key: Key) -> None:
    """Half of a month: each amount differs from those of a whole one."""
    alice = cast.actor(people.alice, people.acme)
    pro, small = plan(people, "Pro", 30, 40), plan(people, "Small", 10, 4)

    def amounts(chosen: SubscriptionPlan) -> dict[str, str]:
        context = {"actor": alice, "preview": preview_plan(people.acme, chosen)}
        shown = render_to_string("billing/subscriptions/_subscription_preview.html", context)
        pairs = re.findall(r"<dt>([^<]+)</dt>\s*<dd>([^<]+)</dd>", shown)
        return {label.strip(): amount.strip() for label, amount in pairs}

    assert {"From your balance now": "$15.00", "Included usage added": "$20.00"}.items() <= (
        amounts(pro).items()
    )
    choose_plan(alice, people.acme, pro)
    assert {"Back to your balance": "$10.00", "Included usage removed": "$18.00"}.items() <= (
        amounts(small).items()
    )


def test_units_follow_the_plan_by_the_day(people: cast.Cast, key: Key, at: NextAt) -> None:
    """Rounded down; what was used is not removed, and its part of the price does not go back."""
    dora, bert = cast.actor(people.dora), cast.actor(people.alice, people.acme)
    plans = []
    for name, price, count in (("Small", 30, 1_001), ("Large", 60, 3_001)):
        terms = Terms(price * USD, 0, (unit_term("in_text", ["gpt-5*"], count),))
        written = write_plan(dora, name, terms)
        with pytest.raises(SubscriptionRefused):
            offer_plan(dora, written)
        SubscriptionPlan.objects.filter(id=written.id).update(state="offered")
        written.refresh_from_db()
        plans.append(written)
    small, large = plans
    guards = Account.objects.get(organisation=people.acme, kind="customer:available").guards
    current = choose_plan(bert, people.acme, small)
    [row] = units_of(current)
    assert (row.meter, row.patterns, row.included) == ("in_text", ["gpt-5*"], 501)
    assert Account.objects.get(kind="customer:available").guards > guards
    assert Account.objects.get(kind="included:units").balance_nano == 0
    choose_plan(bert, people.acme, large)
    [row] = units_of(current)
    assert row.included == 1_501
    IncludedUnits.objects.update(used=1_001, held=100)
    preview = preview_plan(people.acme, small)
    assert preview.change == (-6 * USD, 0, 0, ((("in_text", ("gpt-5*",)), -400),))
    choose_plan(bert, people.acme, small, seen=preview.seen)
    [row] = units_of(current)
    assert (row.included, row.left) == (1_101, 0)
    IncludedUnits.objects.update(held=0)
    at(dt.datetime(2099, 7, 1, 0, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    current.refresh_from_db()
    [row] = units_of(current)
    assert (row.month, row.included, row.used) == (dt.date(2099, 7, 1), 1_001, 0)
    # One unit is some, and none is not shown.
    for included, shown in ((1, 1), (0, 0)):
        IncludedUnits.objects.filter(id=row.id).update(included=included)
        assert len(units_of(current)) == shown
    IncludedUnits.objects.filter(id=row.id).update(included=1_001)
    assert_books_balance()


def test_units_are_checked(people: cast.Cast) -> None:
    dora = cast.actor(people.dora)
    for term, overage in (
        (unit_term("in_tex", [], 5), "balance"),
        (unit_term("in_text", [], 0), "balance"),
        (unit_term("in_text", [], 5), "refuse"),
    ):
        with pytest.raises(SubscriptionRefused):
            write_plan(dora, "Units", Terms(USD, 0, (term,)), overage=overage)
    with pytest.raises(Refused):
        unit_term("in_text", [NUL], 5)


def test_upgrade_and_downgrade_in_the_middle_of_a_month(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    small, large = plan(people, "Small", 30, 30), plan(people, "Large", 60, 90)
    alice = cast.actor(people.alice, people.acme)
    at(MIDDLE.replace(day=1))
    choose_plan(alice, people.acme, small)
    assert accounts_of(key)["subscription:fees"] == 30 * USD
    at(MIDDLE.replace(day=11))
    choose_plan(alice, people.acme, large)
    assert accounts_of(key)["subscription:fees"] == 50 * USD
    assert accounts_of(key)["included:issued"] == -70 * USD
    at(MIDDLE.replace(day=21))
    choose_plan(alice, people.acme, small)
    # Ten days of each, ten more of the small one.
    assert accounts_of(key)["subscription:fees"] == 40 * USD
    assert accounts_of(key)["included:issued"] == -50 * USD
    assert [charge.n for charge in SubscriptionCharge.objects.order_by("id")] == [0, 1, 2]
    assert_books_balance()


def test_used_up_units_are_not_returned(people: cast.Cast, key: Key, at: NextAt) -> None:
    large, free = plan(people, "Large", 60, 60), plan(people, "Free", 0, 3)
    alice = cast.actor(people.alice, people.acme)
    at(MIDDLE.replace(day=1))
    choose_plan(alice, people.acme, large)
    spend(key, 50 * USD)
    # What runs may still use it: 6 of the 10 that are left.
    admit(key, dt.datetime.now(dt.UTC), hold_nano=6 * USD)
    at(MIDDLE)
    change = preview_plan(people.acme, free).change
    charge_nano = change.charge_nano
    # Half of 57 would be taken, 4 are unused; half of the price is 30, less what was used of it.
    assert change == (-(30 * USD - (28_500_000_000 - 4 * USD)), 0, 4 * USD, ())
    choose_plan(alice, people.acme, free)
    assert accounts_of(key)["subscription:fees"] == 60 * USD + charge_nano
    assert_books_balance()


def test_only_money_pays_for_a_plan(people: cast.Cast, key: Key) -> None:
    """Neither by grants nor by included usage, and never into debt."""
    pro = plan(people, "Pro", 300, 300)
    alice = cast.actor(people.alice, people.acme)
    promo.grant(people.acme, 500 * USD, "redeem:t", "redeem", expires_at=None, actor="", cause={})
    assert preview_plan(people.acme, pro).missing_nano == 50 * USD
    with pytest.raises(SubscriptionRefused, match="50"):
        choose_plan(alice, people.acme, pro)
    assert not SubscriptionCharge.objects.exists()
    assert balance(people.acme) == (600 * USD, 0, 0)


def test_amount_other_than_the_displayed_is_rejected(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    pro = plan(people, "Pro", 30, 40)
    alice = cast.actor(people.alice, people.acme)
    seen = preview_plan(people.acme, pro).seen
    at(MIDDLE + DAY)
    with pytest.raises(SubscriptionRefused, match="changed"):
        choose_plan(alice, people.acme, pro, seen=seen)
    choose_plan(alice, people.acme, pro, seen=preview_plan(people.acme, pro).seen)
    with pytest.raises(SubscriptionRefused, match="already"):
        preview_plan(people.acme, pro)


def test_a_month_is_renewed_once(people: cast.Cast, key: Key, at: NextAt) -> None:
    pro = plan(people, "Pro", 30, 40)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, pro)
    assert renew_subscriptions() == 0
    at(dt.datetime(2099, 7, 1, 0, 1, tzinfo=dt.UTC))
    expire_grants()
    Organisation.objects.filter(id=people.acme.id).update(suspended_at=MIDDLE)
    renew_subscriptions()
    assert SubscriptionCharge.objects.count() == 1
    Organisation.objects.filter(id=people.acme.id).update(suspended_at=None)
    assert renew_subscriptions() == 1
    assert renew_subscriptions() == 0
    assert accounts_of(key)["subscription:fees"] == 45 * USD
    # What June left is gone: 20 of 40.
    assert balance(people.acme).available_nano == (100 - 45 + 40) * USD
    assert AuditEvent.objects.filter(action="subscription.renewed").count() == 1
    assert Fact.objects.filter(kind="subscription.renewed").count() == 1
    # The job was away for two months, of which nobody could use what they include.
    at(dt.datetime(2099, 10, 3, tzinfo=dt.UTC))
    renew_subscriptions()
    months = SubscriptionCharge.objects.order_by("id").values_list("month", flat=True)
    assert [month.month for month in months] == [6, 7, 10]
    assert_books_balance()


def test_the_month_begins_in_the_zone(people: cast.Cast, key: Key, at: NextAt) -> None:
    pro = plan(people, "Pro", 30, 40)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, pro)
    Subscription.objects.update(zone="Pacific/Apia")
    eve = dt.datetime(2099, 6, 30, 10, 59, tzinfo=dt.UTC)
    at(eve)
    renew_subscriptions()
    assert SubscriptionCharge.objects.count() == 1
    at(eve + dt.timedelta(minutes=1))
    renew_subscriptions()
    assert SubscriptionCharge.objects.count() == 2


def test_low_balance_is_reported_once_retried_and_ends_the_plan(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    pro = plan(people, "Pro", 90, 90)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, pro)
    first = dt.datetime(2099, 7, 1, 0, 1, tzinfo=dt.UTC)
    at(first)
    expire_grants()
    renew_subscriptions()
    renew_subscriptions()
    current = subscription_of(people.acme)
    assert current is not None
    assert (current.state, included_in(current).left_nano) == ("unpaid", 0)
    assert Fact.objects.filter(kind="subscription.unpaid").count() == 1
    assert balance(people.acme) == (55 * USD, 0, 0)
    at(first + GRACE)
    renew_subscriptions()
    assert subscription_of(people.acme) is not None
    at(first + GRACE + dt.timedelta(minutes=1))
    renew_subscriptions()
    assert subscription_of(people.acme) is None
    assert Fact.objects.get(kind="subscription.ended").body["unpaid"] is True
    assert_books_balance()


def test_timely_top_up_continues_the_plan(people: cast.Cast, key: Key, at: NextAt) -> None:
    pro = plan(people, "Pro", 90, 90)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, pro)
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    expire_grants()
    renew_subscriptions()
    dora = cast.actor(people.dora)
    request_credit(dora, people.acme, 40 * USD, reason="Paid by transfer")
    renew_subscriptions()
    current = subscription_of(people.acme)
    assert current is not None
    assert (current.state, current.unpaid_since) == ("active", None)
    assert balance(people.acme).available_nano == 95 * USD
    assert_books_balance()


def test_cancelled_it_lasts_to_the_end_of_the_month(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    pro = plan(people, "Pro", 30, 40)
    alice = cast.actor(people.alice, people.acme)
    choose_plan(alice, people.acme, pro)
    cancel_subscription(alice, people.acme)
    assert resume_subscription(alice, people.acme).cancelled_at is None
    cancel_subscription(alice, people.acme)
    actions = AuditEvent.objects.filter(action__startswith="subscription.").order_by("id")
    assert [event.action for event in actions][1:] == [
        "subscription.cancelled", "subscription.resumed", "subscription.cancelled",
    ]  # fmt: skip
    renew_subscriptions()
    assert subscription_of(people.acme) is not None
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    assert subscription_of(people.acme) is None
    assert accounts_of(key)["subscription:fees"] == 15 * USD
    with pytest.raises(SubscriptionRefused):
        resume_subscription(alice, people.acme)


@pytest.mark.parametrize("stopped", ["archived_at", "suspended_at"])
def test_inactive_organisation_pays_for_no_month(
    people: cast.Cast, key: Key, at: NextAt, stopped: str
) -> None:
    choose_plan(cast.actor(people.alice, people.acme), people.acme, plan(people, "Pro", 30, 40))
    Organisation.objects.filter(id=people.acme.id).update(**{stopped: MIDDLE})
    at(MIDDLE + 30 * DAY)
    renew_subscriptions()
    assert SubscriptionCharge.objects.count() == 1


def test_a_second_cancellation_changes_nothing(people: cast.Cast, key: Key, at: NextAt) -> None:
    alice = cast.actor(people.alice, people.acme)
    choose_plan(alice, people.acme, plan(people, "Pro", 30, 40))
    for days in range(2):
        at(MIDDLE + days * DAY)
        assert cancel_subscription(alice, people.acme).cancelled_at == MIDDLE
    assert AuditEvent.objects.filter(action="subscription.cancelled").count() == 1


def test_a_plan_is_changed_by_the_day_of_the_subscriptions_own_zone(
    people: cast.Cast, key: Key
) -> None:
    """In Apia it is the 17th already. A zone that was set later is that of the next one."""
    pro, max_ = plan(people, "Pro", 30, 40), plan(people, "Max", 60, 80)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, pro)
    assert preview_plan(people.acme, max_).day == dt.date(2099, 6, 16)
    Subscription.objects.update(zone="Pacific/Apia")
    preview = preview_plan(people.acme, max_)
    assert (preview.day, preview.days) == (dt.date(2099, 6, 17), 14)


def test_units_are_in_the_plans_order_until_its_month_ends(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    dora, eve = cast.actor(people.dora), cast.actor(cast.person("eve", operator=True))
    both = (unit_term("in_text", [], 300), unit_term("out_text", [], 600))
    alice = cast.actor(people.alice, people.acme)
    for name, terms in (("A", both), ("B", both[::-1])):
        written = offer_plan(eve, write_plan(dora, name, Terms(USD, 0, terms)))
        current = choose_plan(alice, people.acme, written)
        assert [row.meter for row in units_of(current)] == [term.meter for term in terms]
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    assert units_of(current) == []


def test_included_usage_that_was_taken_back_is_not_granted(people: cast.Cast, key: Key) -> None:
    alice = cast.actor(people.alice, people.acme)
    for included, half in ((80, 40), (20, 10)):
        current = choose_plan(alice, people.acme, plan(people, f"{included}", 10, included))
        assert included_in(current) == Included(half * USD, half * USD)


def test_plans_are_offered_the_cheapest_first_and_count_subscribers(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    alice, dora = cast.actor(people.alice, people.acme), cast.actor(people.dora)
    dear, cheap = plan(people, "A", 30, 30), plan(people, "B", 20, 20)
    assert list(offered_plans(alice)) == [cheap, dear]

    def subscribers() -> list[int]:
        rows = visible_subscription_plans(dora)
        return [row.subscribers for row in rows]  # type: ignore[attr-defined]

    choose_plan(alice, people.acme, dear)
    assert subscribers() == [0, 1]
    cancel_subscription(alice, people.acme)
    assert subscribers() == [0, 1]
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    assert subscribers() == [0, 0]


def test_another_plan_takes_a_cancellation_back(people: cast.Cast, key: Key, at: NextAt) -> None:
    alice = cast.actor(people.alice, people.acme)
    choose_plan(alice, people.acme, plan(people, "Small", 10, 10))
    cancel_subscription(alice, people.acme)
    large = plan(people, "Large", 20, 20)
    assert choose_plan(alice, people.acme, large).cancelled_at is None
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    current = subscription_of(people.acme)
    assert current is not None
    assert (current.plan, current.month) == (large, dt.date(2099, 7, 1))


def test_author_of_a_free_plan_does_not_offer_it_alone(people: cast.Cast, settings: Any) -> None:
    settings.CREDIT_LIMIT_USD = "100"
    dora, eve = cast.actor(people.dora), cast.actor(cast.person("eve", operator=True))
    gift = write_plan(dora, "Gift", Terms(10 * USD, 111 * USD))
    with pytest.raises(SubscriptionRefused, match="100"):
        offer_plan(dora, gift)
    assert offer_plan(eve, gift).offered_by == eve.user
    subscription_plans.archive_plan(dora, gift)
    with pytest.raises(SubscriptionRefused, match="not offered"):
        preview_plan(people.acme, SubscriptionPlan.objects.get(id=gift.id))
    actions = (
        "subscription_plan.written", "subscription_plan.offered", "subscription_plan.archived",
    )  # fmt: skip
    for action in actions:
        assert AuditEvent.objects.filter(action=action).count() == 1


@pytest.mark.parametrize(
    ("terms", "multipliers"),
    [
        (Terms(MONTH_MAX_NANO, 0), 0),
        (Terms(0, MONTH_MAX_NANO), 0),
        (Terms(0, 0, (unit_term("in_text", [], UNITS_MAX),)), 0),
        (Terms(0, 0), MULTIPLIERS_MAX),
    ],
)
def test_a_plan_may_have_the_most_of_each(
    people: cast.Cast, terms: Terms, multipliers: int
) -> None:
    lines = [Multiplier(f"m{n}", PPM) for n in range(multipliers)]
    written = write_plan(cast.actor(people.dora), "Most", terms, multipliers=lines)
    assert subscription_plans.terms_of(SubscriptionPlan.objects.get()) == terms
    assert len(subscription_plans.subscription_multipliers(written)) == multipliers


@pytest.mark.parametrize(("ppm", "alone"), [(PPM // 2, True), (PPM // 2 - 1, False)])
def test_a_plan_that_more_than_halves_prices_needs_two_operators(
    people: cast.Cast, ppm: int, alone: bool
) -> None:
    lines = [Multiplier("o3", PPM), Multiplier("*", ppm)]
    written = write_plan(cast.actor(people.dora), "Cut", Terms(USD, 0), multipliers=lines)
    assert subscription_plans.needs_another_operator(written) is not alone


@pytest.mark.parametrize("text", [*STORABLE, NUL, LONG])
def test_hostile_texts_of_a_plan_are_kept_or_refused(people: cast.Cast, text: str) -> None:
    dora = cast.actor(people.dora)
    try:
        new_plan = write_plan(dora, f"n{text}"[:60], Terms(USD, USD), description=text)
    except Refused:
        return
    assert SubscriptionPlan.objects.get(id=new_plan.id).description == text.strip()


def test_its_postings_cannot_be_reversed_by_hand(people: cast.Cast, key: Key) -> None:
    choose_plan(cast.actor(people.alice, people.acme), people.acme, plan(people, "Pro", 30, 40))
    for posting in Posting.objects.filter(kind="adjust"):
        with pytest.raises(CreditRefused, match="reversed here"):
            request_reversal(cast.actor(people.dora), posting, reason="r")


def renew_at(moment: str) -> int:
    """In a process of its own, at that time."""
    with patch.object(clock, "now", lambda: dt.datetime.fromisoformat(moment)):
        return renew_subscriptions()


@pytest.mark.django_db(transaction=True)
def test_one_of_many_parallel_renewals_happens(people: cast.Cast, at: NextAt) -> None:
    add_opening_credit(people.acme, 100 * USD)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, plan(people, "Pro", 30, 40))
    with racers(3) as run:
        run(renew_at, ["2099-07-01T00:01:00+00:00"] * 12)
    assert SubscriptionCharge.objects.count() == 2
    assert Account.objects.get(kind="subscription:fees").balance_nano == 45 * USD
    assert_books_balance()


def spend_at_once(job: tuple[str, UUID, int]) -> UUID | None:
    """In a process of its own: a request of a key, a count of what was spent, or another plan."""
    kind, id, nano = job
    if kind == "request":
        attempt = admit(Key.objects.get(id=id), dt.datetime.now(dt.UTC), hold_nano=nano)
        return UUID(str(end(attempt, nano).id))
    organisation = Organisation.objects.get(slug="acme")
    if kind == "count":
        promo.count_spending(organisation.id)
    else:
        alice = cast.actor(User.objects.get(email__startswith="alice"), organisation)
        choose_plan(alice, organisation, SubscriptionPlan.objects.get(id=id))
    return None


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_load_never_grants_more_than_included(people: cast.Cast) -> None:
    """Requests, counts and an upgrade at the same time: what requests were paid is what the grants
    have paid, to the nano, and no grant pays more than it is (I20)."""
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 1000 * USD)
    small, large = plan(people, "Small", 0, 50), plan(people, "Large", 0, 90)
    current = choose_plan(cast.actor(people.alice, people.acme), people.acme, small)
    charge_nano = included_in(current).left_nano // 10 + 1
    jobs: list[tuple[str, UUID, int]] = [("request", key.id, charge_nano)] * 24
    jobs[2::5] = [("count", key.id, 0)] * len(jobs[2::5])
    jobs[7] = ("upgrade", large.id, 0)
    with racers(3) as run:
        attempts = [id for id in run(spend_at_once, jobs) if id is not None]
    promo.count_spending(people.acme.id)
    used_nano = sum(grant.consumed_nano for grant in PromoGrant.objects.all())
    granted_nano = sum(grant.amount_nano for grant in PromoGrant.objects.all())
    assert PromoGrant.objects.count() == 2
    assert 10 * charge_nano - 10 <= used_nano <= min(granted_nano, len(attempts) * charge_nano)
    paid = promo.paid_by(people.acme.id, dict.fromkeys(attempts, charge_nano))
    assert paid == Payers(used_nano, 0, len(attempts) * charge_nano - used_nano)
    assert_books_balance()


# What a renewal does, in its order; a worker is killed as it begins each, and after all of them.
STEPS = (
    "promo.count_spending", "_charge", "post", "promo.grant", "_limit_usage", "audit.record", "put",
)  # fmt: skip
RENEWED = "2099-07-01T00:01:00+00:00"


def renew_and_die(step: str) -> None:
    """In a process of its own."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if not step:
        renew_at(RENEWED)
        die()
    with patch(f"billing.subscriptions.subscriptions.{step}", die):
        renew_at(RENEWED)


@contextmanager
def worker() -> Iterator[Beside]:
    """One that runs beside this process, in the test's database."""
    with closing(Beside(os.environ)) as process:
        process.call(enter_database, connection.settings_dict["NAME"])
        yield process


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", [*STEPS, ""])
def test_a_worker_that_is_killed_renews_wholly_or_not_at_all(
    people: cast.Cast, at: NextAt, step: str
) -> None:
    """And whoever comes next renews what is not: the month is paid once, and granted once (I8)."""
    add_opening_credit(people.acme, 100 * USD)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, plan(people, "Pro", 30, 40))
    with worker() as killed, pytest.raises(EOFError):
        killed.call(renew_and_die, step)
    assert_books_balance()
    assert SubscriptionCharge.objects.count() == (1 if step else 2)
    at(dt.datetime.fromisoformat(RENEWED))
    with worker() as one, worker() as other:
        assert one.call(renew_at, RENEWED) + other.call(renew_at, RENEWED) == (1 if step else 0)
    assert SubscriptionCharge.objects.count() == PromoGrant.objects.count() == 2
    assert Account.objects.get(kind="subscription:fees").balance_nano == 45 * USD
    assert Account.objects.get(kind="included:issued").balance_nano == -60 * USD
    assert Fact.objects.filter(kind="subscription.renewed").count() == 1
    assert_books_balance()


# Pages and API ------------------------------------------------------------------------------------


def test_a_plan_is_chosen_on_its_page(people: cast.Cast) -> None:
    add_opening_credit(people.acme, 100 * USD)
    pro = plan(people, "Pro", 30, 40)
    client = cast.signed_in(people.alice)
    page = f"/o/{people.acme.slug}/billing/plan"
    assert "Pro" in client.get(page).content.decode()
    text = client.post(page, {"plan": str(pro.id)}).content.decode()
    preview = preview_plan(people.acme, pro)
    assert f"{preview.days} of {preview.of_days}, from" in text
    assert preview.seen in text
    assert not Subscription.objects.exists()
    answer = client.post(page, {"plan": str(pro.id), "seen": preview.seen})
    assert answer.status_code == 303
    whole = client.get(page).content.decode()
    assert "Current plan" in whole
    client.post(f"{page}/cancel")
    assert "cancelled, not renewed" in client.get(page).content.decode()
    client.post(f"{page}/resume")
    assert client.post(page, {"plan": "none"}).status_code == 422
    assert "Plan Pro" in client.get(f"/o/{people.acme.slug}/billing").content.decode()


def test_units_are_written_chosen_and_shown(people: cast.Cast) -> None:
    add_opening_credit(people.acme, 100 * USD)
    operator, page = cast.signed_in(people.dora), "/admin/subscription-plans/new"
    body = {"name": "Units", "price": "20", "included": "0", "overage": "balance"}
    for wrong in (
        "in_text",
        "in_text x",
        "in_text 12,5",
        "in_text 1,2,3",
        "tokens 5",
        f"in_text 5 {LONG}",
        "in_text " + "9" * 30,
    ):
        assert operator.post(page, {**body, "units": wrong}).status_code == 422, wrong
    lines = "in_text 3,000,000 gpt-5*, o3\n\nimages 3100"
    assert operator.post(page, {**body, "units": lines}).status_code == 303
    written = SubscriptionPlan.objects.get()
    assert written.units == [
        {"meter": "in_text", "models": ["gpt-5*", "o3"], "units": 3_000_000},
        {"meter": "images", "models": [], "units": 3_100},
    ]
    SubscriptionPlan.objects.update(state="offered")
    written.refresh_from_db()
    client, own = cast.signed_in(people.alice), f"/o/{people.acme.slug}/billing/plan"
    assert "3,000,000" in client.post(own, {"plan": str(written.id)}).content.decode()
    choose_plan(cast.actor(people.alice, people.acme), people.acme, written)
    IncludedUnits.objects.filter(meter="images").update(used=7, held=2)
    page_text = client.get(own).content.decode()
    assert "gpt-5*, o3" in page_text
    assert "7 of " in page_text
    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    units = cast.with_key(text).get("/api/v1/subscription").json()["subscription"]["units"]
    assert [(one["meter"], one["used"], one["held"]) for one in units] == [
        ("in_text", 0, 0), ("images", 7, 2),
    ]  # fmt: skip


def test_multipliers_are_written_chosen_and_shown(people: cast.Cast) -> None:
    add_opening_credit(people.acme, 100 * USD)
    operator, page = cast.signed_in(people.dora), "/admin/subscription-plans/new"
    body = {"name": "Pro", "price": "20", "included": "0", "overage": "balance"}
    for wrong in ("gpt-5*", "gpt-5* x", "gpt 5 1", "gpt-5* -1", f"{LONG} 1", "* 1\no3 2"):
        answer = operator.post(page, {**body, "multipliers": wrong})
        assert answer.status_code == 422, wrong
    lines = "gpt-5*   0.8\n\n* 1.25"
    assert operator.post(page, {**body, "multipliers": lines}).status_code == 303
    written = SubscriptionPlan.objects.get()
    assert written.multipliers == [["gpt-5*", 800_000], ["*", 1_250_000]]
    written = offer_plan(cast.actor(people.dora), written)
    client, own = cast.signed_in(people.alice), f"/o/{people.acme.slug}/billing/plan"
    words = "gpt-5* × 0.8, * × 1.25"
    for value in (client.get(own), client.post(own, {"plan": str(written.id)})):
        assert words in value.content.decode()
    choose_plan(cast.actor(people.alice, people.acme), people.acme, written)
    assert "Prices are multiplied" in client.get(own).content.decode()
    assert words in client.get(f"/o/{people.acme.slug}/prices").content.decode()
    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    terms = cast.with_key(text).get("/api/v1/subscription").json()["subscription"]["terms"]
    assert terms["multipliers"] == [
        {"pattern": "gpt-5*", "multiplier": "0.8"}, {"pattern": "*", "multiplier": "1.25"},
    ]  # fmt: skip


def test_the_api_writes_multipliers(people: cast.Cast) -> None:
    operator, url = cast.signed_in(people.dora), "/api/v1/subscription-plans"
    listed = [{"pattern": "gpt-5*", "multiplier": "0.8"}, {"pattern": "*", "multiplier": "2"}]
    body = {"name": "Pro", "price": "20", "included": "0", "multipliers": listed}

    def post(fields: dict[str, Any]) -> Any:
        return operator.post(url, fields, content_type="application/json")

    for wrong in ("0.0000001", "1001", "1e2", "Infinity", "-0.5", ""):
        one = {"pattern": "o3", "multiplier": wrong}
        answer = post({**body, "multipliers": [one]})
        assert (answer.status_code, "multipliers" in answer.content.decode()) == (422, True), wrong
    response = post(body)
    assert (response.status_code, response.json()["multipliers"]) == (201, listed)
    assert operator.get(f"{url}/{response.json()['id']}").json()["multipliers"] == listed


def test_a_plan_with_every_line_replaces_another_on_its_page(people: cast.Cast) -> None:
    client, page = cast.signed_in(people.alice), f"/o/{people.acme.slug}/billing/plan"
    dora = cast.actor(people.dora)
    for name in ("One", "Other"):
        units = tuple(
            unit_term("in_text", [f"{name}-{n}"], UNITS_MAX - n) for n in range(TERMS_MAX)
        )
        written = write_plan(dora, name, Terms(0, 0, units))
        SubscriptionPlan.objects.filter(id=written.id).update(state="offered")
        written.refresh_from_db()
        seen = preview_plan(people.acme, written).seen
        assert client.post(page, {"plan": str(written.id), "seen": seen}).status_code == 303
    assert Subscription.objects.get().plan.name == "Other"


def test_receipt_shows_what_the_plan_paid(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 100 * USD)
    small = plan(people, "Small", 0, 1)
    current = choose_plan(cast.actor(people.alice, people.acme), people.acme, small)
    spend(key, included_in(current).left_nano - 200_000)
    version = price_version()
    attempt = admit(key, dt.datetime.now(dt.UTC), price_version_id=version.id)
    end(attempt, 210_000, price_version_id=version.id)
    client = cast.signed_in(people.alice)
    page = f"/o/{people.acme.slug}/requests/{id_text(attempt.request_id)}"
    assert "is counted within a minute" in client.get(page).content.decode()
    assert client.get(f"{page}/receipt.json").json()["paid_by"] is None
    promo.count_spending(people.acme.id)
    text = client.get(page).content.decode()
    assert "Paid by included usage" in text
    assert "is counted within a minute" not in text
    assert client.get(f"{page}/receipt.json").json()["paid_by"] == {
        "included": "0.0002", "promo": "0.00", "balance": "0.00001",
    }  # fmt: skip


def test_the_api_does_what_the_pages_do(people: cast.Cast) -> None:
    add_opening_credit(people.acme, 100 * USD)
    pro = plan(people, "Pro", 30, 40)
    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    api, path = cast.with_key(text), "/api/v1/subscription"
    assert api.get(path).json()["subscription"] is None
    body = {"plan": pro.outer_id}
    preview = api.post(f"{path}/preview", body, "application/json").json()
    chosen = api.put(path, body, "application/json")
    assert (chosen.status_code, chosen.json()["included_left"]) == (200, preview["included_added"])
    assert api.put(path, body, "application/json").status_code == 422
    assert api.post(f"{path}/cancel").json()["renews_on"] is None
    assert api.post(f"{path}/resume").json()["ends_on"] is None
    charge = SubscriptionCharge.objects.get()
    assert format_usd(charge.charge_nano) == preview["charge"]


def verdict(key: Key, amount_nano: int, budget: Budget) -> str:
    """What a request that would hold so much is answered, as the relay asks."""
    account = Account.objects.get(organisation=key.organisation, kind="customer:available")
    hold = HoldRequest(
        attempt_id=AttemptId(new_id()),
        organisation_id=OrganisationId(key.organisation_id),
        key_id=KeyId(key.id),
        amount_nano=amount_nano,
        ttl_seconds=60,
        guarded=True,
        budget_ids=(budget.id,),
        guards=account.guards,
    )
    [[word, *_]] = place(hold)
    return str(word)


def test_a_plan_may_refuse_what_it_does_not_include(
    people: cast.Cast, key: Key, at: NextAt
) -> None:
    """P2: to the nano, with money on the balance; each month may spend what it includes."""
    dora, alice = cast.actor(people.dora), cast.actor(people.alice, people.acme)
    strict = offer_plan(dora, write_plan(dora, "Strict", Terms(30, 40), overage="refuse"))
    at(MIDDLE.replace(day=1))
    choose_plan(alice, people.acme, strict)
    budget = Budget.objects.get(subject="subscription")
    assert [verdict(key, nano, budget) for nano in (41, 39, 2, 1, 1)] == [
        "insufficient", "admitted", "insufficient", "admitted", "insufficient",
    ]  # fmt: skip
    with pytest.raises(BudgetRefused, match="subscription"):
        budgets.change_budget(alice, budget, lambda *_: budgets.Past(0, []), amount_nano=99)
    with pytest.raises(BudgetRefused, match="subscription"):
        budgets.remove_budget(alice, budget)
    # What still runs at the turn of the month takes nothing of the next.
    at(dt.datetime(2099, 7, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    budget.refresh_from_db()
    assert budget.amount_nano == 80
    cancel_subscription(alice, people.acme)
    at(dt.datetime(2099, 8, 1, tzinfo=dt.UTC))
    renew_subscriptions()
    assert not Budget.objects.filter(subject="subscription").exists()


def test_operators_write_and_offer_plans(people: cast.Cast) -> None:
    client = cast.signed_in(people.dora)
    page = "/admin/subscription-plans"
    assert "No subscription plans yet" in client.get(page).content.decode()
    assert (
        client.post(
            f"{page}/new", {"name": "Pro", "price": "x", "included": "1", "overage": "refuse"}
        ).status_code
        == 422
    )
    sent = {"name": "Pro", "price": "20", "included": "25", "overage": "refuse"}
    client.post(f"{page}/new", sent)
    subscription_plan = SubscriptionPlan.objects.get()
    assert (
        subscription_plan.price_nano,
        subscription_plan.included_nano,
        subscription_plan.state,
    ) == (20 * USD, 25 * USD, "draft")
    assert subscription_plan.overage == "refuse"
    client.post(f"{page}/{subscription_plan.outer_id}/offer")
    assert f"{subscription_plan.outer_id}/offer" not in client.get(page).content.decode()
    client.post(f"{page}/{subscription_plan.outer_id}/archive")
    subscription_plan.refresh_from_db()
    assert subscription_plan.state == "archived"
