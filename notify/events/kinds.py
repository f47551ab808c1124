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
    """One kind of fact. Members with one of `roles` in the organisation get an email, but members
    who are limited to teams only about what is of these teams. With `operators`, the operators do.
    A `personal` kind goes only to the people whom the fact names. Other kinds go to those of them
    who are members, and with `to_visitors` to operators too, who may work in an organisation
    without being members.

    `title` is its name on the page of webhooks. `data` names the fields of its payload, separated
    by spaces; docs/reference/events.md says what they are.
    """

    name: str
    title: Promise
    roles: tuple[Role, ...] = ()
    operators: bool = False
    personal: bool = False
    to_visitors: bool = False
    data: str = ""


_TOP_UP: Final = "top_up amount currency available"
_SUBSCRIPTION: Final = "plan month price currency included"
_BUDGET: Final = "budget scope subject period limit spent currency action resets_at"
_ALERT: Final = f"{_BUDGET} spent_percent threshold period_began"
_RAISE: Final = f"{_BUDGET} request amount until reason answer approved asked_by decided_by"
_TASK: Final = "request team model"
_CHANNEL: Final = "channel channel_id"


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "balance.low",
            gettext_lazy("Balance below the alert threshold"),
            _MONEY,
            data="available threshold currency",
        ),
        Kind("topup.paid", gettext_lazy("Top-up paid"), _MONEY, data=_TOP_UP),
        Kind("topup.failed", gettext_lazy("Top-up failed"), _MONEY, data=_TOP_UP),
        Kind("topup.refunded", gettext_lazy("Top-up refunded"), _MONEY, data=_TOP_UP),
        Kind("topup.disputed", gettext_lazy("Payment disputed"), _MONEY, data=_TOP_UP),
        Kind(
            "autotopup.stopped", gettext_lazy("Automatic top-up turned off"), _MONEY, data="reason"
        ),
        Kind(
            "invoice.closed",
            gettext_lazy("Invoice closed"),
            _MONEY,
            data="number document month total currency",
        ),
        Kind("subscription.renewed", gettext_lazy("Subscription renewed"), data=_SUBSCRIPTION),
        Kind(
            "subscription.unpaid",
            gettext_lazy("Subscription could not be renewed"),
            _MONEY,
            data=f"{_SUBSCRIPTION} days",
        ),
        Kind(
            "subscription.ended",
            gettext_lazy("Subscription ended"),
            _MONEY,
            data=f"{_SUBSCRIPTION} unpaid",
        ),
        Kind(
            "credit.posted",
            gettext_lazy("Balance corrected by an operator"),
            _MONEY,
            data="credit amount currency reason",
        ),
        Kind("budget.reached", gettext_lazy("Budget threshold reached"), _BUDGETS, data=_ALERT),
        Kind(
            "budget.forecast",
            gettext_lazy("Budget forecast to run out early"),
            _BUDGETS,
            data=f"{_ALERT} forecast_at",
        ),
        Kind("budget.tested", gettext_lazy("Test of a budget's alerts"), _BUDGETS, data=_ALERT),
        Kind("raise.asked", gettext_lazy("Budget increase requested"), _DECIDING, data=_RAISE),
        Kind("raise.decided", gettext_lazy("Budget increase request decided"), data=_RAISE),
        Kind("raise.ended", gettext_lazy("Budget increase ended"), _DECIDING, data=_RAISE),
        Kind(
            "code.redeemed",
            gettext_lazy("Code redeemed"),
            data="redemption amount currency expires_at",
        ),
        Kind(
            "promo.expired",
            gettext_lazy("Promotional credit expired"),
            _MONEY,
            data="amount currency",
        ),
        Kind(
            "export.ready",
            gettext_lazy("Export ready"),
            to_visitors=True,
            data="id file rows size expires_at",
        ),
        Kind(
            "own_key.refused",
            gettext_lazy("Own provider key rejected"),
            _DECIDING,
            data="key team cause",
        ),
        Kind(
            "guard.failing",
            gettext_lazy("Guard failing, texts pass unchecked"),
            _DECIDING,
            data="policy guard failure",
        ),
        Kind(
            "view_as.began",
            gettext_lazy("Viewed by an operator"),
            (Role.OWNER,),
            data="operator role reason until",
        ),
        Kind(
            "video.completed", gettext_lazy("Video completed"), data=f"video {_TASK} seconds size"
        ),
        Kind(
            "video.failed", gettext_lazy("Video failed"), data=f"video {_TASK} seconds size error"
        ),
        Kind("task.completed", gettext_lazy("Media task completed"), data=f"task {_TASK}"),
        Kind("task.failed", gettext_lazy("Media task failed"), data=f"task {_TASK} error"),
        Kind("webhook.tested", gettext_lazy("Webhook test")),
        Kind(
            "approval.asked",
            gettext_lazy("Change waiting for a second operator"),
            operators=True,
            data="approval type about changes reason asked_by",
        ),
        Kind(
            "payment.unmatched",
            gettext_lazy("Payment does not match any top-up"),
            operators=True,
            data="processor payment event amount currency reason",
        ),
        Kind(
            "refund.failed",
            gettext_lazy("Refund returned by the bank"),
            operators=True,
            data="processor payment refund amount currency name",
        ),
        Kind(
            "count.doubted",
            gettext_lazy("Implausible usage reported by a provider"),
            operators=True,
            data="channel model slug flags",
        ),
        Kind(
            "usage.unknown",
            gettext_lazy("Unknown usage reported by a provider"),
            operators=True,
            data="provider channel model unknown",
        ),
        Kind(
            "model.unpriced",
            gettext_lazy("Model used without a price"),
            operators=True,
            data="model",
        ),
        Kind(
            "channel.troubled",
            gettext_lazy("Channel needs attention"),
            operators=True,
            data=f"{_CHANNEL} cause what last",
        ),
        Kind(
            "channel.taken_out",
            gettext_lazy("Channel turned off by its rule"),
            operators=True,
            data=f"{_CHANNEL} cause what",
        ),
        Kind(
            "channel.balance_low",
            gettext_lazy("Provider's balance low"),
            operators=True,
            data=f"{_CHANNEL} key balance limit",
        ),
        Kind(
            "channel.models_changed",
            gettext_lazy("Provider's models changed"),
            operators=True,
            data=f"{_CHANNEL} added added_count gone gone_count renamed renamed_count",
        ),
        Kind(
            "channel.prices_changed",
            gettext_lazy("Provider's prices changed"),
            operators=True,
            data=f"{_CHANNEL} new not_understood not_understood_count",
        ),
        Kind(
            "bill.differs",
            gettext_lazy("Provider's bill differs"),
            operators=True,
            data="bill provider first_on last_on differences billed ours currency",
        ),
        Kind(
            "books.wrong",
            gettext_lazy("Ledger check failed"),
            operators=True,
            data="findings count",
        ),
        Kind(
            "books.unchecked",
            gettext_lazy("Ledger check did not finish"),
            operators=True,
            data="parts count",
        ),
        Kind(
            "records.damaged",
            gettext_lazy("Records of requests could not be read"),
            operators=True,
            data="records",
        ),
        Kind("jobs.stopped", gettext_lazy("Background job stopped"), operators=True, data="jobs"),
        Kind("security.changed", gettext_lazy("Sign-in settings changed"), personal=True),
        Kind("sign_in.noticed", gettext_lazy("Sign-in from a new network"), personal=True),
        Kind("report.due", gettext_lazy("Scheduled report"), personal=True),
        Kind(
            "jobs.resumed",
            gettext_lazy("Background job running again"),
            operators=True,
            data="jobs",
        ),
    )
}
FOR_OPERATORS: Final = tuple(kind for kind in KINDS.values() if kind.operators)
FOR_ORGANISATIONS: Final = tuple(
    kind for kind in KINDS.values() if not kind.operators and not kind.personal
)
GROUPS: Final = (
    (
        gettext_lazy("Balance and payments"),
        (
            "approval",
            "balance",
            "topup",
            "autotopup",
            "credit",
            "code",
            "promo",
            "payment",
            "refund",
        ),
    ),
    (gettext_lazy("Invoices and subscriptions"), ("invoice", "subscription")),
    (gettext_lazy("Budgets"), ("budget", "raise")),
    (gettext_lazy("Media and exports"), ("video", "task", "export")),
    (gettext_lazy("Access"), ("view_as", "own_key", "guard")),
    (gettext_lazy("Channels and models"), ("channel", "model")),
    (gettext_lazy("Usage and bills"), ("count", "usage", "records", "bill")),
    (gettext_lazy("Ledger and jobs"), ("books", "jobs")),
)
"""The groups of kinds in a form, by the first word of their names."""
