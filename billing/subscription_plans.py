"""The operator's subscription plans: written, offered, archived.

A plan that includes far more than it costs is a gift to whoever subscribes: above the limit of what
one operator may credit, another one has to offer it than the one who wrote it.
"""

from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from accounts import audit
from accounts.actors import Actor
from accounts.names import check_name
from billing.credits import limit_nano
from billing.models import Overage, SubscriptionPlan, SubscriptionPlanState
from billing.rules.money import NANO_PER_USD, format_usd
from billing.rules.subscription import Terms
from lib.refusal import Refused, check_text

DESCRIPTION_MAX: Final = 300
MONTH_MAX_NANO: Final = 1_000_000 * NANO_PER_USD
"""What a month of a plan may cost, and include, at most."""


class SubscriptionRefused(Refused):
    """The plan or the subscription cannot be so."""


def write_plan(
    actor: Actor,
    name: str,
    terms: Terms,
    *,
    description: str = "",
    overage: str = Overage.BALANCE,
) -> SubscriptionPlan:
    """A new plan, which nobody sees yet. Raises Refused."""
    name = check_name(name)
    description = check_text("description", description, DESCRIPTION_MAX)
    for field, nano in (("price", terms.price_nano), ("included", terms.included_nano)):
        if not 0 <= nano <= MONTH_MAX_NANO:
            text = gettext("Enter an amount from 0 to %(most)s USD.")
            most = f"{MONTH_MAX_NANO // NANO_PER_USD:,}"
            raise SubscriptionRefused(field, text % {"most": most})
    if not terms.price_nano and not terms.included_nano:
        raise SubscriptionRefused("price", gettext("Enter a price or included usage."))
    with transaction.atomic():
        try:
            with transaction.atomic():
                plan = SubscriptionPlan.objects.create(
                    name=name,
                    description=description,
                    price_nano=terms.price_nano,
                    included_nano=terms.included_nano,
                    overage=Overage(overage),
                    written_by=actor.user,
                )
        except IntegrityError as error:
            text = gettext("There is already a plan named %(plan)s.")
            raise SubscriptionRefused("name", text % {"plan": name}) from error
        audit.record(actor, None, "subscription_plan.written", plan, **_facts(plan))
    return plan


def offer_plan(actor: Actor, plan: SubscriptionPlan) -> SubscriptionPlan:
    """Let organisations subscribe. Raises SubscriptionRefused."""
    with transaction.atomic():
        locked = SubscriptionPlan.objects.select_for_update().get(id=plan.id)
        if locked.state == SubscriptionPlanState.OFFERED:
            return locked
        if needs_another(locked) and (actor.user is None or actor.user.id == locked.written_by_id):
            text = gettext(
                "This plan includes more than %(limit)s USD beyond its price. Another operator "
                "has to offer it."
            )
            raise SubscriptionRefused("plan", text % {"limit": format_usd(limit_nano())})
        locked.state, locked.offered_by = SubscriptionPlanState.OFFERED, actor.user
        locked.save(update_fields=["state", "offered_by"])
        audit.record(actor, None, "subscription_plan.offered", locked, **_facts(locked))
    return locked


def archive_plan(actor: Actor, plan: SubscriptionPlan) -> SubscriptionPlan:
    """Offer it to nobody any more; who is subscribed stays so."""
    with transaction.atomic():
        locked = SubscriptionPlan.objects.select_for_update().get(id=plan.id)
        if locked.state != SubscriptionPlanState.ARCHIVED:
            locked.state = SubscriptionPlanState.ARCHIVED
            locked.save(update_fields=["state"])
            audit.record(actor, None, "subscription_plan.archived", locked, **_facts(locked))
    return locked


def needs_another(plan: SubscriptionPlan) -> bool:
    """Whether who wrote the plan may not offer it alone."""
    return plan.included_nano - plan.price_nano > limit_nano()


def terms_of(plan: SubscriptionPlan) -> Terms:
    return Terms(plan.price_nano, plan.included_nano)


def _facts(plan: SubscriptionPlan) -> dict[str, object]:
    return {
        "name": plan.name,
        "price": format_usd(plan.price_nano),
        "included": format_usd(plan.included_nano),
        "overage": str(plan.overage),
    }
