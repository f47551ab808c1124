"""The kinds of facts that are told, and who gets a letter of each; webhooks may have them all.

The texts of a letter are templates: `notify/<kind>_subject.txt` and `notify/<kind>_message.txt`,
with `_` for the dot.
"""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from accounts.models import Role

_MONEY: Final = (Role.OWNER, Role.BILLING)
_BUDGETS: Final = (Role.OWNER, Role.ADMIN, Role.BILLING)
_DECIDING: Final = (Role.OWNER, Role.ADMIN)


@dataclass(frozen=True)
class Kind:
    """One kind of fact. `roles` get a letter in the organisation; `operators` in the installation.

    `title` is what the page of webhooks calls it.
    """

    name: str
    title: Promise
    roles: tuple[Role, ...] = ()
    operators: bool = False


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("balance.low", gettext_lazy("The balance fell below its threshold"), _MONEY),
        Kind("topup.paid", gettext_lazy("A top-up was paid"), _MONEY),
        Kind("topup.failed", gettext_lazy("A top-up failed"), _MONEY),
        Kind("topup.refunded", gettext_lazy("A top-up was refunded"), _MONEY),
        Kind("topup.disputed", gettext_lazy("A payment was disputed"), _MONEY),
        Kind("autotopup.stopped", gettext_lazy("Automatic top-up was switched off"), _MONEY),
        Kind("credit.posted", gettext_lazy("An operator corrected the balance"), _MONEY),
        Kind("budget.reached", gettext_lazy("A share of a budget was reached"), _BUDGETS),
        Kind("budget.forecast", gettext_lazy("A budget will be used up too early"), _BUDGETS),
        Kind("budget.tested", gettext_lazy("A test of a budget's alerts"), _BUDGETS),
        Kind("raise.asked", gettext_lazy("Somebody asked for more of a budget"), _DECIDING),
        Kind("raise.decided", gettext_lazy("A request for more was decided")),
        Kind("raise.ended", gettext_lazy("A raise of a budget ended"), _DECIDING),
        Kind("code.redeemed", gettext_lazy("A code was redeemed")),
        Kind("promo.expired", gettext_lazy("Promotional credit expired"), _MONEY),
        Kind("webhook.tested", gettext_lazy("A test of a webhook")),
        Kind("credit.asked", gettext_lazy("A credit waits for a second person"), operators=True),
        Kind("payment.unmatched", gettext_lazy("A payment fits no top-up"), operators=True),
        Kind("refund.failed", gettext_lazy("A refund came back"), operators=True),
        Kind("count.doubted", gettext_lazy("A provider's count cannot be right"), operators=True),
        Kind("model.unpriced", gettext_lazy("A model is used without a price"), operators=True),
        Kind("channel.troubled", gettext_lazy("A channel needs an operator"), operators=True),
        Kind("books.wrong", gettext_lazy("The books do not add up"), operators=True),
        Kind("jobs.stopped", gettext_lazy("A periodic job does not run"), operators=True),
        Kind("jobs.resumed", gettext_lazy("A periodic job runs again"), operators=True),
    )
}
FOR_ORGANISATIONS: Final = tuple(kind for kind in KINDS.values() if not kind.operators)
