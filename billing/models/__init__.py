"""The models of billing, one file per noun. All amounts are int64 nano units."""

from billing.models.approvals import Approval, ApprovalState
from billing.models.budgets import (
    Budget,
    BudgetAction,
    BudgetAlert,
    BudgetAlertKind,
    BudgetPeriod,
    BudgetRaise,
    BudgetScope,
    BudgetWindow,
    EndedSession,
    LivingBudgets,
    RaiseState,
    alert_percents,
)
from billing.models.checks import (
    BooksWalk,
    CheckedSum,
)
from billing.models.credits import (
    Code,
    CodeBatch,
    Credit,
    CreditKind,
    CreditState,
    PromoGrant,
    PromoMark,
    RedeemTry,
    Redemption,
    SpendingCount,
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
from billing.models.invoices import (
    BuyerDetail,
    ExchangeRate,
    Invoice,
    InvoiceCounter,
    InvoiceDue,
    InvoiceKind,
    InvoiceLine,
    InvoicePayment,
    InvoiceState,
    PaymentSource,
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
from billing.models.price_plans import (
    MemberPlan,
    OrganisationChargeRule,
    OrganisationPlan,
    Plan,
    TeamPlan,
)
from billing.models.prices import (
    Price,
    PriceKind,
    PriceProposal,
    PriceVersion,
    ProposalState,
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
from billing.models.trials import Trial, TrialOnce, TrialSetting
