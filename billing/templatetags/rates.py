"""Template filters for rates and meters; their words are those of `billing.prices.words`."""

from collections.abc import Iterable

from django import template

from billing.models import SubscriptionPlan
from billing.prices.words import PER_MILLION, meter_name, multiplier_words
from billing.subscriptions.plans import multipliers_of_plan
from billing.templatetags.money import money_price
from lib.numbers.formatting import MISSING

register = template.Library()


@register.filter
def rate(nano_per_million: int | None) -> str:
    """A price per million units, exact, with two decimals at least: ``$0.25 / 1M``."""
    if nano_per_million is None:
        return MISSING
    return f"{money_price(nano_per_million)} / {PER_MILLION}"


@register.filter
def metered(meter: str, models: Iterable[str]) -> str:
    """A meter and the models that it is counted for: ``Input (gpt-5*, o3)``."""
    names = ", ".join(models)
    return f"{meter_name(meter)} ({names})" if names else meter_name(meter)


@register.filter
def multiplied(plan: SubscriptionPlan) -> str:
    """What a plan multiplies prices by: ``gpt-5* × 0.8, o3 × 2``."""
    return multiplier_words(multipliers_of_plan(plan))


@register.filter
def units(count: int) -> str:
    """A number of units: ``1,000,000``."""
    return f"{count:,}"
