"""The kinds of facts that are delivered, and who receives an email for each. Webhooks may subscribe
to all kinds.

The template of an email is `notify/letters/<kind>.txt`, with `_` for the dot.
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
    """One kind of fact. Members with one of `roles` in the organisation get an email; with
    `operators`, the operators do. A `personal` kind goes only to the people whom the fact names.

    `title` is its name on the page of webhooks.
    """

    name: str
    title: Promise
    roles: tuple[Role, ...] = ()
    operators: bool = False
    personal: bool = False


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("balance.low", gettext_lazy("Balance below the alert threshold"), _MONEY),
        Kind("topup.paid", gettext_lazy("Top-up paid"), _MONEY),
        Kind("topup.failed", gettext_lazy("Top-up failed"), _MONEY),
        Kind("topup.refunded", gettext_lazy("Top-up refunded"), _MONEY),
        Kind("topup.disputed", gettext_lazy("Payment disputed"), _MONEY),
        Kind("autotopup.stopped", gettext_lazy("Automatic top-up turned off"), _MONEY),
        Kind("invoice.closed", gettext_lazy("Invoice closed"), _MONEY),
        Kind("subscription.renewed", gettext_lazy("Subscription renewed")),
        Kind("subscription.unpaid", gettext_lazy("Subscription could not be renewed"), _MONEY),
        Kind("subscription.ended", gettext_lazy("Subscription ended"), _MONEY),
        Kind("credit.posted", gettext_lazy("Balance corrected by an operator"), _MONEY),
        Kind("budget.reached", gettext_lazy("Budget threshold reached"), _BUDGETS),
        Kind("budget.forecast", gettext_lazy("Budget forecast to run out early"), _BUDGETS),
        Kind("budget.tested", gettext_lazy("Test of a budget's alerts"), _BUDGETS),
        Kind("raise.asked", gettext_lazy("Budget increase requested"), _DECIDING),
        Kind("raise.decided", gettext_lazy("Budget increase request decided")),
        Kind("raise.ended", gettext_lazy("Budget increase ended"), _DECIDING),
        Kind("code.redeemed", gettext_lazy("Code redeemed")),
        Kind("promo.expired", gettext_lazy("Promotional credit expired"), _MONEY),
        Kind("export.ready", gettext_lazy("Export ready")),
        Kind("own_key.refused", gettext_lazy("Own provider key rejected"), _DECIDING),
        Kind("view_as.began", gettext_lazy("Viewed by an operator"), (Role.OWNER,)),
        Kind("video.completed", gettext_lazy("Video completed")),
        Kind("video.failed", gettext_lazy("Video failed")),
        Kind("task.completed", gettext_lazy("Media task completed")),
        Kind("task.failed", gettext_lazy("Media task failed")),
        Kind("webhook.tested", gettext_lazy("Webhook test")),
        Kind(
            "credit.asked",
            gettext_lazy("Balance correction waiting for a second operator"),
            operators=True,
        ),
        Kind(
            "payment.unmatched", gettext_lazy("Payment does not match any top-up"), operators=True
        ),
        Kind("refund.failed", gettext_lazy("Refund returned by the bank"), operators=True),
        Kind(
            "count.doubted",
            gettext_lazy("Implausible usage reported by a provider"),
            operators=True,
        ),
        Kind(
            "usage.unknown",
            gettext_lazy("Unknown usage reported by a provider"),
            operators=True,
        ),
        Kind("model.unpriced", gettext_lazy("Model used without a price"), operators=True),
        Kind("channel.troubled", gettext_lazy("Channel needs attention"), operators=True),
        Kind("channel.taken_out", gettext_lazy("Channel turned off by its rule"), operators=True),
        Kind("channel.balance_low", gettext_lazy("Provider's balance low"), operators=True),
        Kind("channel.models_changed", gettext_lazy("Provider's models changed"), operators=True),
        Kind("channel.prices_changed", gettext_lazy("Provider's prices changed"), operators=True),
        Kind("bill.differs", gettext_lazy("Provider's bill differs"), operators=True),
        Kind("books.wrong", gettext_lazy("Ledger check failed"), operators=True),
        Kind("books.unchecked", gettext_lazy("Ledger check did not finish"), operators=True),
        Kind(
            "records.damaged", gettext_lazy("Records of requests could not be read"), operators=True
        ),
        Kind("jobs.stopped", gettext_lazy("Background job stopped"), operators=True),
        Kind("security.changed", gettext_lazy("Sign-in settings changed"), personal=True),
        Kind("sign_in.noticed", gettext_lazy("Sign-in from a new network"), personal=True),
        Kind("report.due", gettext_lazy("Scheduled report"), personal=True),
        Kind("jobs.resumed", gettext_lazy("Background job running again"), operators=True),
    )
}
FOR_OPERATORS: Final = tuple(kind for kind in KINDS.values() if kind.operators)
FOR_ORGANISATIONS: Final = tuple(
    kind for kind in KINDS.values() if not kind.operators and not kind.personal
)
GROUPS: Final = (
    (
        gettext_lazy("Balance and payments"),
        ("balance", "topup", "autotopup", "credit", "code", "promo", "payment", "refund"),
    ),
    (gettext_lazy("Invoices and subscriptions"), ("invoice", "subscription")),
    (gettext_lazy("Budgets"), ("budget", "raise")),
    (gettext_lazy("Media and exports"), ("video", "task", "export")),
    (gettext_lazy("Access"), ("view_as", "own_key")),
    (gettext_lazy("Channels and models"), ("channel", "model")),
    (gettext_lazy("Usage and bills"), ("count", "usage", "records", "bill")),
    (gettext_lazy("Ledger and jobs"), ("books", "jobs")),
)
"""The groups of kinds in a form, by the first word of their names."""
