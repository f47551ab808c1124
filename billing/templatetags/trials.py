"""What a new organisation gets, on the page and in the letter of sign-up."""

from django import template

from accounts.models import SignUpMode
from accounts.sign_up.conditions import current_mode
from billing.trials.trials import Offer, offer

register = template.Library()


@register.simple_tag
def trial_offer() -> Offer | None:
    """Return the trial credit of a new organisation; None without, or where nobody creates one."""
    return offer() if current_mode() == SignUpMode.OPEN else None
