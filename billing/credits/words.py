"""The kinds of credit on pages."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from billing.models import CreditKind

CREDIT_KINDS: Final[dict[str, Promise]] = {
    CreditKind.CASH: gettext_lazy("Cash balance"),
    CreditKind.PROMO: gettext_lazy("Promotional credit"),
}
