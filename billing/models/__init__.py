"""Money: a file for each noun. All amounts are int64 nano units."""

from billing.models.budgets import (
    Budget,
    BudgetAction,
    BudgetAlert,
    BudgetAlertKind,
    BudgetPeriod,
    BudgetRaise,
    BudgetScope,
    BudgetWindow,
    LivingBudgets,
    RaiseState,
    alert_percents,
)
from billing.models.checks import (
    BooksWalk,
    CheckedSum,
)
from billing.models.codes import (
    Code,
    CodeBatch,
    RedeemTry,
    Redemption,
)
from billing.models.credits import (
    Credit,
    CreditKind,
    CreditState,
)
from billing.models.holds import (
    Hold,
    HoldState,
    Process,
    RateSecond,
)
from billing.models.idempotency import (
    IdempotentAnswer,
)
from billing.models.invoice_payments import (
    InvoiceDue,
    InvoicePayment,
    PaymentSource,
)
from billing.models.invoices import (
    BuyerDetail,
    ExchangeRate,
    Invoice,
    InvoiceCounter,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    SellerDetail,
    TaxRate,
)
from billing.models.ledger import (
    LISTED_KINDS,
    Account,
    AccountKind,
    LedgerEntry,
    LedgerLine,
    Posting,
    StatementDay,
)
from billing.models.plans import (
    MemberPlan,
    OrganisationChargeRule,
    OrganisationPlan,
    Plan,
    PlanCut,
    TeamPlan,
)
from billing.models.prices import (
    Price,
    PriceKind,
    PriceProposal,
    PriceVersion,
    ProposalState,
)
from billing.models.promo import (
    PromoGrant,
    PromoMark,
    SpendingCount,
)
from billing.models.safeguards import Safeguard, SafeguardName
from billing.models.seals import (
    Seal,
    SealCut,
    SealKind,
)
from billing.models.subscriptions import (
    IncludedUnits,
    Overage,
    Subscription,
    SubscriptionCharge,
    SubscriptionPlan,
    SubscriptionPlanState,
    SubscriptionState,
)
from billing.models.topups import (
    EventVerdict,
    ProcessorEvent,
    TopUp,
    TopUpState,
    WalletSetting,
)

__all__ = [
    "LISTED_KINDS",
    "Account",
    "AccountKind",
    "BooksWalk",
    "Budget",
    "BudgetAction",
    "BudgetAlert",
    "BudgetAlertKind",
    "BudgetPeriod",
    "BudgetRaise",
    "BudgetScope",
    "BudgetWindow",
    "BuyerDetail",
    "CheckedSum",
    "Code",
    "CodeBatch",
    "Credit",
    "CreditKind",
    "CreditState",
    "EventVerdict",
    "ExchangeRate",
    "Hold",
    "HoldState",
    "IdempotentAnswer",
    "IncludedUnits",
    "Invoice",
    "InvoiceCounter",
    "InvoiceDue",
    "InvoiceKind",
    "InvoiceLine",
    "InvoicePayment",
    "InvoiceState",
    "LedgerEntry",
    "LedgerLine",
    "LivingBudgets",
    "MemberPlan",
    "OrganisationChargeRule",
    "OrganisationPlan",
    "Overage",
    "PaymentSource",
    "Plan",
    "PlanCut",
    "Posting",
    "Price",
    "PriceKind",
    "PriceProposal",
    "PriceVersion",
    "Process",
    "ProcessorEvent",
    "PromoGrant",
    "PromoMark",
    "ProposalState",
    "RaiseState",
    "RateSecond",
    "RedeemTry",
    "Redemption",
    "Safeguard",
    "SafeguardName",
    "Seal",
    "SealCut",
    "SealKind",
    "SellerDetail",
    "SpendingCount",
    "StatementDay",
    "Subscription",
    "SubscriptionCharge",
    "SubscriptionPlan",
    "SubscriptionPlanState",
    "SubscriptionState",
    "TaxRate",
    "TeamPlan",
    "TopUp",
    "TopUpState",
    "WalletSetting",
    "alert_percents",
]
