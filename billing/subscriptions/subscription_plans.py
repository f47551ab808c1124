"""The operators' subscription plans: create, offer and archive them.

A plan that includes far more than it costs is a gift to its subscribers. Above the limit of what
one operator may credit, another operator than the plan's author must offer it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.names.names import check_name
from billing.currency.money import (
    NANO_PER_USD,
    MoneyInvalid,
    format_multiplier,
    format_usd,
    parse_multiplier,
)
from billing.models import Overage, SubscriptionPlan, SubscriptionPlanState
from billing.prices.meters import METERS
from billing.prices.multipliers import MULTIPLIERS_MAX, Multiplier
from billing.prices.name_patterns import matches
from billing.prices.pricing import PPM
from billing.safeguards.safeguards import credit_limit_nano
from billing.subscriptions.included_units import MODELS_MAX, TERMS_MAX, UNITS_MAX, UnitTerm
from billing.subscriptions.rules import Terms
from lib.refusal import Refused, check_text

DESCRIPTION_MAX: Final = 300
MONTH_MAX_NANO: Final = 1_000_000 * NANO_PER_USD
"""The highest price, and the most included usage, of a plan's month."""


class SubscriptionRefused(Refused):
    """The plan or the subscription is not valid."""


def write_plan(
    actor: Actor,
    name: str,
    terms: Terms,
    *,
    multipliers: Sequence[Multiplier] = (),
    description: str = "",
    overage: str = Overage.BALANCE,
) -> SubscriptionPlan:
    """Create a plan that is not offered yet. Raises Refused."""
    name = check_name(name)
    description = check_text("description", description, DESCRIPTION_MAX)
    for field, nano in (("price", terms.price_nano), ("included", terms.included_nano)):
        if not 0 <= nano <= MONTH_MAX_NANO:
            text = gettext("Enter an amount from 0 to %(most)s USD.")
            most = f"{MONTH_MAX_NANO // NANO_PER_USD:,}"
            raise SubscriptionRefused(field, text % {"most": most})
    _check_units(terms.units, overage)
    _check_multipliers(multipliers)
    if not (terms.price_nano or terms.included_nano or terms.units or multipliers):
        text = gettext("Enter a price, included usage or multipliers.")
        raise SubscriptionRefused("price", text)
    with transaction.atomic():
        try:
            with transaction.atomic():
                plan = SubscriptionPlan.objects.create(
                    name=name,
                    description=description,
                    price_nano=terms.price_nano,
                    included_nano=terms.included_nano,
                    units=[term._asdict() for term in terms.units],
                    multipliers=[list(one) for one in multipliers],
                    overage=Overage(overage),
                    written_by=actor.user,
                )
        except IntegrityError as error:
            text = gettext("There is already a plan named %(plan)s.")
            raise SubscriptionRefused("name", text % {"plan": name}, already_exists=True) from error
        audit.record(actor, None, "subscription_plan.written", plan, **_audit_details(plan))
    return plan


def offer_plan(actor: Actor, plan: SubscriptionPlan) -> SubscriptionPlan:
    """Offer a plan to organisations. Raises SubscriptionRefused."""
    with transaction.atomic():
        locked = SubscriptionPlan.objects.select_for_update().get(id=plan.id)
        if locked.state == SubscriptionPlanState.OFFERED:
            return locked
        if needs_another_operator(locked) and (
            actor.user is None or actor.user.id == locked.written_by_id
        ):
            text = gettext(
                "This plan includes units, includes more than %(limit)s USD beyond its price, or "
                "more than halves prices. Another operator has to offer it."
            )
            raise SubscriptionRefused("plan", text % {"limit": format_usd(credit_limit_nano())})
        locked.state, locked.offered_by = SubscriptionPlanState.OFFERED, actor.user
        locked.save(update_fields=["state", "offered_by"])
        audit.record(actor, None, "subscription_plan.offered", locked, **_audit_details(locked))
    return locked


def archive_plan(actor: Actor, plan: SubscriptionPlan) -> SubscriptionPlan:
    """Stop offering a plan. Present subscriptions continue."""
    with transaction.atomic():
        locked = SubscriptionPlan.objects.select_for_update().get(id=plan.id)
        if locked.state != SubscriptionPlanState.ARCHIVED:
            locked.state = SubscriptionPlanState.ARCHIVED
            locked.save(update_fields=["state"])
            audit.record(
                actor, None, "subscription_plan.archived", locked, **_audit_details(locked)
            )
    return locked


def needs_another_operator(plan: SubscriptionPlan) -> bool:
    """Return whether another operator than the plan's author must offer the plan. That holds for
    plans with units, because their value changes with the price book, and for a multiplier below
    half, as for any such price cut."""
    halves = any(2 * one.ppm < PPM for one in subscription_multipliers(plan))
    return bool(plan.units) or halves or plan.included_nano - plan.price_nano > credit_limit_nano()


def terms_of(plan: SubscriptionPlan) -> Terms:
    return Terms(plan.price_nano, plan.included_nano, units_of_plan(plan))


def units_of_plan(plan: SubscriptionPlan) -> tuple[UnitTerm, ...]:
    """Return the units that a month of the plan includes."""
    return tuple(
        UnitTerm(term["meter"], tuple(term["models"]), term["units"]) for term in plan.units
    )


def subscription_multipliers(plan: SubscriptionPlan) -> tuple[Multiplier, ...]:
    """Return the plan's multipliers of prices, in its order."""
    return tuple(Multiplier(pattern, ppm) for pattern, ppm in plan.multipliers)


def read_multiplier(pattern: str, text: str) -> Multiplier:
    """Return a pattern and a typed multiplier as a Multiplier. Raises SubscriptionRefused."""
    try:
        return Multiplier(check_text("multipliers", pattern, 200), parse_multiplier(text))
    except MoneyInvalid as error:
        message = gettext("Enter a multiplier from 0 to 1000, such as 0.8, for %(pattern)s.")
        raise SubscriptionRefused("multipliers", message % {"pattern": pattern[:80]}) from error


def unit_term(meter: str, models: Iterable[str], units: int) -> UnitTerm:
    """Return a term in its stored form: models are sorted, without duplicates."""
    return UnitTerm(
        meter, tuple(sorted({check_text("units", name, 200) for name in models})), units
    )


def _check_units(terms: Sequence[UnitTerm], overage: str) -> None:
    if not terms:
        return
    if overage == Overage.REFUSE:
        text = gettext("A plan that rejects requests includes usage by its price, not by units.")
        raise SubscriptionRefused("overage", text)
    if len(terms) > TERMS_MAX or any(len(term.models) > MODELS_MAX for term in terms):
        text = gettext("Enter at most %(terms)s lines, with %(models)s models each.")
        raise SubscriptionRefused("units", text % {"terms": TERMS_MAX, "models": MODELS_MAX})
    if len({term.kind for term in terms}) < len(terms):
        text = gettext("Each meter can be named once for the same models.")
        raise SubscriptionRefused("units", text)
    for term in terms:
        if term.meter not in METERS:
            text = gettext("There is no meter %(meter)s. Use one of: %(meters)s.")
            meters = ", ".join(sorted(METERS))
            raise SubscriptionRefused("units", text % {"meter": term.meter, "meters": meters})
        if not 0 < term.units <= UNITS_MAX:
            text = gettext("Enter a number of units from 1 to %(most)s.")
            raise SubscriptionRefused("units", text % {"most": f"{UNITS_MAX:,}"})


def _check_multipliers(multipliers: Sequence[Multiplier]) -> None:
    if len(multipliers) > MULTIPLIERS_MAX:
        text = gettext("Enter at most %(n)s multipliers.")
        raise SubscriptionRefused("multipliers", text % {"n": MULTIPLIERS_MAX})
    patterns = [one.pattern for one in multipliers]
    for place, pattern in enumerate(patterns):
        if not pattern or any(letter.isspace() for letter in pattern):
            text = gettext("Enter a model or a pattern without spaces: %(pattern)s")
            raise SubscriptionRefused("multipliers", text % {"pattern": pattern[:80]})
        if any(matches(before, pattern) for before in patterns[:place]):
            text = gettext("%(pattern)s is never reached: a line above it covers the same models.")
            raise SubscriptionRefused("multipliers", text % {"pattern": pattern[:80]})


def _audit_details(plan: SubscriptionPlan) -> dict[str, object]:
    return {
        "name": plan.name,
        "price": format_usd(plan.price_nano),
        "included": format_usd(plan.included_nano),
        "units": plan.units,
        "multipliers": {
            one.pattern: format_multiplier(one.ppm) for one in subscription_multipliers(plan)
        },
        "overage": str(plan.overage),
    }
