"""Template filters for rates and meters, with the words of `billing.prices.words`."""

from collections.abc import Iterable

from django import template
from django.utils.translation import get_language, ngettext

from billing.models import SubscriptionPlan
from billing.prices.meter_words import meter_name
from billing.prices.meters import TOKEN_METERS
from billing.prices.words import PER_MILLION, multiplier_words
from billing.subscriptions.subscription_plans import subscription_multipliers
from billing.templatetags.money import money_price
from lib.numbers import formatting

register = template.Library()


@register.filter
def rate(nano_per_million: int | None) -> str:
    """Return a price per million units, exact, with at least two decimals: ``$0.25 / 1M``."""
    if nano_per_million is None:
        return formatting.MISSING
    return f"{money_price(nano_per_million)} / {PER_MILLION}"


@register.filter
def metered(meter: str, models: Iterable[str]) -> str:
    """Return a meter and the models that it counts for: ``Input (gpt-5*, o3)``."""
    names = ", ".join(models)
    return f"{meter_name(meter)} ({names})" if names else meter_name(meter)


@register.filter
def multiplied(plan: SubscriptionPlan) -> str:
    """Return the multipliers of a plan's prices: ``gpt-5* × 0.8, o3 × 2``."""
    return multiplier_words(subscription_multipliers(plan))


@register.filter
def units_of_meter(count: int, meter: str) -> str:
    """Return units of a meter, short and with their word: ``1.5 M tokens``, ``+500``."""
    number = formatting.compact(count, formatting.units_of(get_language()))
    if meter not in TOKEN_METERS:
        return number
    return ngettext("%(number)s token", "%(number)s tokens", count) % {"number": number}
