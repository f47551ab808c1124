"""Subscriptions: start, renew, change, cancel and end them.

Each step is one transaction under the wallet's lock: the charge with its posting, the included
usage with its posting, and the subscription's month. So a month is paid and granted once, even
after a crash or with several workers; a second attempt finds the month paid (I8). Spending is
counted against the grants first, so that the unused amount is exact.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Max
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from billing.credits import promo
from billing.currency.money import format_usd
from billing.invoices.billing_details import zone_of
from billing.ledger.funding import subscription_fee
from billing.ledger.ledger import lock_wallet, post
from billing.limits import budgets
from billing.limits.budget_rules import OF_SUBSCRIPTION
from billing.models import (
    Budget,
    BudgetScope,
    Hold,
    HoldState,
    IncludedUnits,
    Overage,
    PromoGrant,
    Subscription,
    SubscriptionCharge,
    SubscriptionPlan,
    SubscriptionPlanState,
    SubscriptionState,
)
from billing.periods.months import month_after, month_span
from billing.subscriptions.included_units import UnitKind
from billing.subscriptions.rules import (
    GRACE,
    Change,
    Terms,
    begin,
    change_plan,
    days_left,
    days_of_month,
    first_of_month,
)
from billing.subscriptions.subscription_plans import SubscriptionRefused, terms_of
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from outbox.facts import put

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class Preview:
    """The effect of being on a plan from `day` on. `days` of the `of_days` days of the month are
    left.

    `missing_nano` is the amount that the balance lacks. From `renews_on` on, each month costs the
    plan's price.
    """

    plan: SubscriptionPlan
    change: Change
    day: dt.date
    days: int
    of_days: int
    renews_on: dt.date
    missing_nano: int

    @property
    def back_nano(self) -> int:
        """Return the amount that is refunded to the balance."""
        return max(-self.change.charge_nano, 0)

    @property
    def seen(self) -> str:
        """Return what a person agreed to, as text: the plan, the first day, the amounts and the
        units."""
        amounts = ":".join(str(nano) for nano in self.change[:3])
        units = "".join(f":{more}" for _, more in self.change.units)
        return f"{id_text(self.plan.id)}:{self.day}:{amounts}{units}"


@dataclass(frozen=True)
class Included:
    """The included usage of the present month: the granted amount, and the rest."""

    granted_nano: int
    left_nano: int

    @property
    def used_nano(self) -> int:
        return self.granted_nano - self.left_nano


def subscription_of(organisation: Organisation) -> Subscription | None:
    """Return the organisation's subscription that has not ended (active or unpaid), or None."""
    living = Subscription.objects.exclude(state=SubscriptionState.ENDED)
    return living.select_related("plan").filter(organisation=organisation).first()


def included_in(subscription: Subscription) -> Included:
    """Return the included usage. The remaining amount is as of the last count of spending, which
    runs every minute."""
    grants = _grants(subscription)
    return Included(
        sum(grant.amount_nano - grant.expired_nano for grant in grants),
        sum(grant.remaining_nano for grant in grants),
    )


def units_of(subscription: Subscription) -> list[IncludedUnits]:
    """Return the included units of the latest paid month, in the plan's order; [] if that month is
    over."""
    rows = IncludedUnits.objects.filter(
        subscription=subscription, month=subscription.month, ends_at__gt=clock.now(), included__gt=0
    )
    return list(rows.order_by("position", "id"))


def period_end(subscription: Subscription) -> dt.datetime:
    """Return the end of the latest paid month."""
    return month_span(subscription.month, ZoneInfo(subscription.zone)).end_at


def preview_plan(organisation: Organisation, plan: SubscriptionPlan) -> Preview:
    """Return the effect of subscribing now, or of changing the plan. Raises SubscriptionRefused."""
    with transaction.atomic():
        lock_wallet(organisation.id)
        return _preview(organisation, _lock_subscription(organisation), plan)


def choose_plan(
    actor: Actor, organisation: Organisation, plan: SubscriptionPlan, *, seen: str | None = None
) -> Subscription:
    """Subscribe to a plan, or change to another, from today on.

    `seen` is the `Preview.seen` that the person agreed to; if it has changed, the call is refused.
    Raises SubscriptionRefused.
    """
    with transaction.atomic():
        lock_wallet(organisation.id)
        subscription = _lock_subscription(organisation)
        preview = _preview(organisation, subscription, plan)
        if seen is not None and seen != preview.seen:
            text = gettext("The amounts have changed meanwhile. Check them again.")
            raise SubscriptionRefused("seen", text)
        if preview.missing_nano:
            text = gettext("The balance is %(amount)s USD short. Top up first.")
            raise SubscriptionRefused("plan", text % {"amount": format_usd(preview.missing_nano)})
        before = subscription.plan.name if subscription else ""
        _notify_of_multipliers(plan, *([subscription.plan] if subscription else []))
        if subscription is None:
            subscription = Subscription.objects.create(
                organisation=organisation,
                plan=plan,
                zone=zone_of(organisation).key,
                month=first_of_month(preview.day),
                started_at=clock.now(),
            )
        else:
            subscription.plan, subscription.cancelled_at = plan, None
            subscription.month = first_of_month(preview.day)
            subscription.state, subscription.unpaid_since = SubscriptionState.ACTIVE, None
            subscription.save()
        charge = _charge(subscription, preview.day, preview.change, actor)
        _limit_usage(subscription, fresh=charge.n == 0)
        audit.record(
            actor, organisation, "subscription.plan_chosen", subscription, before=before,
            after=plan.name, charge=format_usd(preview.change.charge_nano),
        )  # fmt: skip
    return subscription


def cancel_subscription(actor: Actor, organisation: Organisation) -> Subscription:
    """End the subscription with its paid month. A subscription with an unpaid renewal ends
    immediately. Raises SubscriptionRefused."""
    with transaction.atomic():
        lock_wallet(organisation.id)
        subscription = _must(_lock_subscription(organisation))
        if subscription.state == SubscriptionState.UNPAID:
            _end(subscription, "cancelled", actor)
        elif subscription.cancelled_at is None:
            subscription.cancelled_at = clock.now()
            subscription.save(update_fields=["cancelled_at"])
            audit.record(
                actor, organisation, "subscription.cancelled", subscription,
                plan=subscription.plan.name,
            )  # fmt: skip
    return subscription


def resume_subscription(actor: Actor, organisation: Organisation) -> Subscription:
    """Withdraw a cancellation before the month is over. Raises SubscriptionRefused."""
    with transaction.atomic():
        lock_wallet(organisation.id)
        subscription = _must(_lock_subscription(organisation))
        if subscription.cancelled_at is not None:
            subscription.cancelled_at = None
            subscription.save(update_fields=["cancelled_at"])
            audit.record(
                actor, organisation, "subscription.resumed", subscription,
                plan=subscription.plan.name,
            )  # fmt: skip
    return subscription


def renew_subscriptions() -> int:
    """Renew or end the subscriptions that are due. Return how many were processed.

    This may run late, twice, and in several processes concurrently.
    """
    # Zones differ by less than two days, so some rows are not due yet; they are skipped.
    due = Subscription.objects.exclude(state=SubscriptionState.ENDED).filter(
        month__lt=first_of_month(clock.now().date() + _DAY)
    )
    rows = list(due.order_by("id").values_list("organisation_id", flat=True))
    for organisation_id in rows:
        with use_tenant(organisation_id):
            _renew(organisation_id)
    return len(rows)


def _renew(organisation_id: UUID) -> None:
    with transaction.atomic():
        lock_wallet(organisation_id)
        organisation = Organisation.objects.get(id=organisation_id)
        subscription = _lock_subscription(organisation)
        # A suspended or archived organisation pays nothing. It is renewed once it is active again.
        stopped = organisation.suspended_at is not None or organisation.archived_at is not None
        if subscription is None or stopped:
            return
        # Skipped months are not charged, because nobody could use them: the job did not run.
        month = first_of_month(_today(subscription.zone))
        if month <= subscription.month:
            return
        if subscription.cancelled_at is not None:
            _end(subscription, "cancelled", SYSTEM)
            return
        terms = terms_of(subscription.plan)
        # Promo does not pay for a plan, so its exact remainder must be known.
        promo.count_spending(organisation_id)
        if terms.price_nano and lock_wallet(organisation_id).cash_nano < terms.price_nano:
            _mark_unpaid(subscription)
            return
        if subscription.state == SubscriptionState.UNPAID:
            _notify_of_multipliers(subscription.plan)
        subscription.month = month
        subscription.state, subscription.unpaid_since = SubscriptionState.ACTIVE, None
        subscription.save(update_fields=["month", "state", "unpaid_since"])
        _charge(subscription, month, begin(terms, month), SYSTEM)
        _limit_usage(subscription, fresh=True)
        audit.record(
            SYSTEM, organisation, "subscription.renewed", subscription,
            plan=subscription.plan.name, month=f"{month:%Y-%m}",
            charge=format_usd(terms.price_nano),
        )  # fmt: skip
        put("subscription.renewed", organisation_id, **_subscription_facts(subscription))


def _mark_unpaid(subscription: Subscription) -> None:
    """Record that the balance does not cover the renewal, and report that once. The renewal is
    tried again until the grace period ends."""
    now = clock.now()
    if subscription.unpaid_since is None:
        subscription.state, subscription.unpaid_since = SubscriptionState.UNPAID, now
        subscription.save(update_fields=["state", "unpaid_since"])
        _notify_of_multipliers(subscription.plan)
        audit.record(
            SYSTEM, subscription.organisation, "subscription.unpaid", subscription,
            plan=subscription.plan.name,
        )  # fmt: skip
        _limit_usage(subscription)
        fact = {**_subscription_facts(subscription), "days": GRACE.days}
        put("subscription.unpaid", subscription.organisation_id, **fact)
    elif now - subscription.unpaid_since > GRACE:
        _end(subscription, "unpaid", SYSTEM)


def _end(subscription: Subscription, reason: str, actor: Actor) -> None:
    subscription.state, subscription.ended_at = SubscriptionState.ENDED, clock.now()
    subscription.unpaid_since = None
    subscription.save(update_fields=["state", "ended_at", "unpaid_since"])
    _notify_of_multipliers(subscription.plan)
    _limit_usage(subscription)
    audit.record(
        actor, subscription.organisation, "subscription.ended", subscription,
        plan=subscription.plan.name, reason=reason,
    )  # fmt: skip
    put(
        "subscription.ended", subscription.organisation_id,
        **_subscription_facts(subscription), unpaid=reason == "unpaid",
    )  # fmt: skip


def _notify_of_multipliers(*plans: SubscriptionPlan) -> None:
    """Make the relay load the new multipliers of prices."""
    if any(plan.multipliers for plan in plans):
        bump_epoch()


def _preview(
    organisation: Organisation, subscription: Subscription | None, plan: SubscriptionPlan
) -> Preview:
    if plan.state != SubscriptionPlanState.OFFERED:
        raise SubscriptionRefused("plan", gettext("This plan is not offered."))
    day = _today(subscription.zone if subscription else zone_of(organisation).key)
    terms = terms_of(plan)
    promo.count_spending(organisation.id)
    change = _change(subscription, plan, terms, day) if subscription else begin(terms, day)
    cash_nano = lock_wallet(organisation.id).cash_nano
    missing_nano = change.charge_nano - cash_nano if change.charge_nano > 0 else 0
    return Preview(
        plan=plan, change=change, day=day, days=days_left(day), of_days=days_of_month(day),
        renews_on=month_after(first_of_month(day)), missing_nano=max(missing_nano, 0),
    )  # fmt: skip


def _change(
    subscription: Subscription, plan: SubscriptionPlan, terms: Terms, day: dt.date
) -> Change:
    if subscription.plan_id == plan.id:
        raise SubscriptionRefused("plan", gettext("You are on this plan already."))
    month = first_of_month(day)
    if subscription.state == SubscriptionState.UNPAID:
        # Nothing of this month was paid or included, so it begins with the new plan.
        return begin(terms, day)
    if subscription.month != month:
        text = gettext("The plan is being renewed. Try again in a minute.")
        raise SubscriptionRefused("plan", text)
    unused_nano = promo.unused_nano(subscription.organisation_id, _grants(subscription))
    unused_units = {_kind(row): row.left for row in _unit_rows(subscription)}
    return change_plan(terms_of(subscription.plan), terms, day, unused_nano, unused_units)


def _charge(
    subscription: Subscription, day: dt.date, change: Change, actor: Actor
) -> SubscriptionCharge:
    """Post the charge and the included usage of the days from `day` on."""
    organisation = subscription.organisation
    month = first_of_month(day)
    last = subscription.charges.filter(month=month).aggregate(n=Max("n"))["n"]
    charge = SubscriptionCharge.objects.create(
        organisation=organisation,
        subscription=subscription,
        plan=subscription.plan,
        month=month,
        n=0 if last is None else last + 1,
        from_day=day,
        charge_nano=change.charge_nano,
        included_nano=change.grant_nano - change.taken_nano,
    )
    by = actor.user.email if actor.user else ""
    end_day = month_after(month) - _DAY
    reason = f"{subscription.plan.name}, {day:%Y-%m-%d} – {end_day:%Y-%m-%d}"
    if change.charge_nano:
        posting = subscription_fee(charge.id, change.charge_nano, lock_wallet(organisation.id))
        post(posting, actor=by, cause={"subscription": True, "reason": reason})
    cause: dict[str, object] = {"included": True, "reason": reason}
    if change.grant_nano:
        promo.grant(
            organisation, change.grant_nano, f"included:{charge.id}", "adjust",
            expires_at=period_end(subscription), actor=by, cause=cause, charge=charge,
        )  # fmt: skip
    _take_back(_grants(subscription), change.taken_nano, cause)
    _include_units(subscription, change)
    return charge


def _include_units(subscription: Subscription, change: Change) -> None:
    """Add or remove units of the month. The caller holds the wallet's lock, so the next admission
    sees the new numbers."""
    if not change.units:
        return
    organisation_id = subscription.organisation_id
    rows = {_kind(row): row for row in _unit_rows(subscription)}
    for position, (kind, more) in enumerate(change.units):
        row = rows.get(kind)
        if row is None:
            meter, patterns = kind
            IncludedUnits.objects.create(
                organisation_id=organisation_id,
                subscription=subscription,
                month=subscription.month,
                position=position,
                meter=meter,
                patterns=list(patterns),
                included=more,
                ends_at=period_end(subscription),
            )
        else:
            row.included += more
            row.position = position
            row.save(update_fields=["included", "position"])
    budgets.invalidate_units(organisation_id)


def _unit_rows(subscription: Subscription) -> list[IncludedUnits]:
    rows = IncludedUnits.objects.filter(subscription=subscription, month=subscription.month)
    return list(rows.order_by("position", "id"))


def _kind(row: IncludedUnits) -> UnitKind:
    return row.meter, tuple(row.patterns)


def _limit_usage(subscription: Subscription, *, fresh: bool = False) -> None:
    """Limit requests to the remaining included usage if the plan refuses more. The limit is a
    budget without a period: its spent and held amounts, plus the remaining usage.

    Held amounts count against the remaining usage. In a `fresh` month they do not: they were held
    from the month before. Count the spending first, under the wallet's lock.
    """
    organisation = subscription.organisation
    budget = Budget.objects.filter(
        organisation=organisation,
        scope=BudgetScope.ORGANISATION,
        subject=OF_SUBSCRIPTION,
    ).first()
    living = subscription.state != SubscriptionState.ENDED
    if not living or subscription.plan.overage != Overage.REFUSE:
        if budget is not None:
            budgets.remove_budget(SYSTEM, budget)
        return
    if budget is None:
        budget = budgets.create_budget(
            SYSTEM, organisation, _past_from_now, scope=BudgetScope.ORGANISATION,
            subject=OF_SUBSCRIPTION, amount_nano=0, period="total", alert_percents=[],
        )  # fmt: skip
    [usage] = budgets.current_usage([budget])
    unpaid = subscription.state == SubscriptionState.UNPAID
    left_nano = 0 if unpaid else included_in(subscription).left_nano
    held_nano = usage.held_nano
    more_nano = left_nano if fresh else max(left_nano - held_nano, 0)
    amount_nano = usage.spent_nano + held_nano + more_nano
    budgets.change_budget(SYSTEM, budget, _past_from_now, amount_nano=amount_nano)


def _past_from_now(budget: Budget, at: dt.datetime) -> budgets.Past:
    """Return the running requests, which count against the limit. Earlier charges do not."""
    open_holds = Hold.objects.filter(organisation=budget.organisation_id, state=HoldState.OPEN)
    return budgets.Past(0, list(open_holds.values_list("id", flat=True)))


def _take_back(grants: list[PromoGrant], amount_nano: int, cause: dict[str, object]) -> None:
    """Take an amount back from the grants, the newest first."""
    for grant in reversed(grants):
        taken_nano = min(grant.remaining_nano, amount_nano)
        if taken_nano:
            promo.take_back(grant, taken_nano, cause)
            amount_nano -= taken_nano


def _grants(subscription: Subscription) -> list[PromoGrant]:
    """Return the grants of the latest paid month, the oldest first."""
    rows = PromoGrant.objects.filter(
        charge__subscription=subscription, charge__month=F("charge__subscription__month")
    )
    return list(rows.order_by("id"))


def _lock_subscription(organisation: Organisation) -> Subscription | None:
    """Lock and return the subscription that has not ended. Lock the wallet first."""
    living = Subscription.objects.exclude(state=SubscriptionState.ENDED)
    rows = living.select_for_update(of=("self",)).select_related("organisation", "plan")
    return rows.filter(organisation=organisation).first()


def _must(subscription: Subscription | None) -> Subscription:
    if subscription is None:
        raise SubscriptionRefused("subscription", gettext("There is no subscription."))
    return subscription


def _today(zone: str) -> dt.date:
    return clock.now().astimezone(ZoneInfo(zone)).date()


def _subscription_facts(subscription: Subscription) -> dict[str, Any]:
    return {
        "plan": subscription.plan.name,
        "month": f"{subscription.month:%Y-%m}",
        "price": format_usd(subscription.plan.price_nano),
        "included": format_usd(subscription.plan.included_nano),
        "currency": "USD",
    }
