"""Template filter for rates; their words are those of `billing.rate_words`."""

from django import template

from billing.rate_words import PER_MILLION
from billing.templatetags.money import money_price
from lib.formatting import MISSING

register = template.Library()


@register.filter
def rate(nano_per_million: int | None) -> str:
    """A price per million units, exact, with two decimals at least: ``$0.25 / 1M``."""
    if nano_per_million is None:
        return MISSING
    return f"{money_price(nano_per_million)} / {PER_MILLION}"
