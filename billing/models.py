"""Money: accounts with their ledger, holds, prices with dates. All amounts are int64 nano units.

Postings, entries and holds are written for every request; they carry no foreign key constraints,
each of which would lock a shared row. The invariants prove what these would (docs/promises.md,
"Invariants").
"""

import datetime as dt

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Cast, Now, NullIf
from django.utils.translation import gettext_lazy as _

from lib.ids import id_text, new_id
from lib.sealed_field import SealedField


class AccountKind(models.TextChoices):
    AVAILABLE = "customer:available"
    HELD = "customer:held"
    DEBT = "customer:debt"
    REVENUE = "revenue"
    LOSS = "platform:loss"
    PAYABLE = "provider:payable"
    COST = "provider:cost"
    OPENING = "equity:opening"
    ADJUSTMENT = "equity:adjustment"
    PROMO_ISSUED = "promo:issued"
    PROMO_AVAILABLE = "promo:available"
    PROMO_EARMARKED = "promo:earmarked"
    RECEIVED_STRIPE = "processor:received:stripe"
    RECEIVED_MANUAL = "processor:received:manual"
    CLEARING_STRIPE = "processor:clearing:stripe"
    CLEARING_MANUAL = "processor:clearing:manual"


class Account(models.Model):
    """A ledger account of one organisation. The balance is the sum of its entries (I3).

    `overdraft_nano` is the credit line of an organisation that pays later: how far what is
    available may fall below 0.
    """

    id = models.BigAutoField(primary_key=True)
    # Every index here is paid for by each request: this one is the head of `account_once`.
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=32, choices=AccountKind.choices)
    currency = models.CharField(max_length=3, default="USD")
    balance_nano = models.BigIntegerField(default=0)
    overdraft_nano = models.BigIntegerField(default=0, db_default=0)
    guards = models.BigIntegerField(
        db_default=0, help_text="Counts the changes of the budgets that stand over this account."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "kind", "currency"], name="account_once"
            ),
            # I4: more than the credit line is impossible in the database, not only in code.
            models.CheckConstraint(
                condition=~models.Q(kind__in=["customer:available", "customer:held"])
                | models.Q(balance_nano__gte=models.F("overdraft_nano") * -1),
                name="customer_balance_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(overdraft_nano=0)
                | models.Q(kind="customer:available", overdraft_nano__gt=0),
                name="overdraft_of_available",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.organisation_id}"


LISTED_KINDS = (
    "opening", "adjust", "reverse", "redeem", "lapse", "topup", "refund", "dispute", "reinstate",
)  # fmt: skip
"""Kinds of postings that are a line of their own in a statement."""


class Posting(models.Model):
    """A balanced set of entries with one idempotency id. Append-only by trigger (I2)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    idempotency_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=24)
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    cause = models.JSONField(default=dict)
    actor = models.CharField(max_length=80, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        # Not by the field, which would bring a second index for LIKE.
        constraints = [models.UniqueConstraint(fields=["idempotency_id"], name="posting_once")]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="posting_by_organisation"),
            # Few among the postings of requests, which are not in it.
            models.Index(
                fields=["organisation", "-id"],
                condition=models.Q(kind__in=LISTED_KINDS),
                name="postings_listed",
            ),
        ]

    def __str__(self) -> str:
        return self.idempotency_id


class LedgerEntry(models.Model):
    """One line of a posting. Append-only by trigger (I2)."""

    id = models.BigAutoField(primary_key=True)
    posting = models.ForeignKey(
        Posting, models.PROTECT, related_name="entries", db_constraint=False
    )
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="entries", db_constraint=False
    )
    amount_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.amount_nano} on {self.account_id}"


class HoldState(models.TextChoices):
    OPEN = "open"
    KEPT = "kept"
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


class Process(models.Model):
    """A relay process that places holds; it says every second that it lives.

    When it has not said so in time it is suspected, and its holds are resolved a while after that:
    a process that was only cut off from the database has time to say that it lives after all.
    """

    id = models.UUIDField(primary_key=True)
    alive_until = models.DateTimeField()
    suspected_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"alive until {self.alive_until}"


# What a relay's connection says of itself, so that no statement has to name it for every hold.
_PROCESS = Cast(
    NullIf(
        models.Func(models.Value("weir.process"), models.Value(True), function="current_setting"),
        models.Value(""),
    ),
    models.UUIDField(),
)


class Hold(models.Model):
    """Money moved from available to held at admission; its id is the attempt's (I5, I6).

    `window_ids` are the budget windows that it is held in as well (I23). `rated_ids` are the
    organisation, team, member and key whose tokens per minute it counts on, with `tokens`;
    `leased_*` are those whose limit of requests at once it takes a place of, until it is resolved.
    All are null where nothing is limited.

    `mark` is how far the attempt surely was: the meters of its last high-water mark, of which a
    provider counts no less. A hold whose process died is settled from it.

    A hold is `kept` where no charge can be named, until an operator decides (I14).
    """

    id = models.UUIDField(primary_key=True)
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    amount_nano = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=HoldState.choices, default=HoldState.OPEN)
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    window_ids = ArrayField(models.BigIntegerField(), null=True)
    rated_ids = ArrayField(models.UUIDField(), null=True)
    tokens = models.BigIntegerField(null=True)
    leased_key_id = models.UUIDField(null=True)
    leased_team_id = models.UUIDField(null=True)
    leased_organisation_id = models.UUIDField(null=True)
    leased_member_id = models.UUIDField(null=True)
    process_id = models.UUIDField(null=True, db_default=_PROCESS)
    mark = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_nano__gte=0), name="hold_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(state="open", resolved_at=None)
                | (~models.Q(state="open") & models.Q(resolved_at__isnull=False)),
                name="hold_open_until_resolved",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=models.Q(state="open"), name="open_holds"
            ),
            models.Index(
                fields=["leased_key_id"],
                condition=models.Q(state="open", leased_key_id__isnull=False),
                name="open_holds_of_key",
            ),
            models.Index(
                fields=["leased_team_id"],
                condition=models.Q(state="open", leased_team_id__isnull=False),
                name="open_holds_of_team",
            ),
            models.Index(
                fields=["leased_organisation_id"],
                condition=models.Q(state="open", leased_organisation_id__isnull=False),
                name="open_holds_of_organisation",
            ),
            models.Index(
                fields=["leased_member_id"],
                condition=models.Q(state="open", leased_member_id__isnull=False),
                name="open_holds_of_member",
            ),
            models.Index(
                fields=["organisation"], condition=models.Q(state="kept"), name="kept_holds"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"


class BudgetScope(models.TextChoices):
    ORGANISATION = "organisation", _("Organisation")
    TEAM = "team", _("Team")
    USER = "user", _("User")
    KEY = "key", _("Key")
    MODEL = "model", _("Model")
    PROJECT = "project", _("Project")
    TAG = "tag", _("Tag")
    CUSTOMER = "customer", _("Customer")


class BudgetPeriod(models.TextChoices):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class BudgetAction(models.TextChoices):
    BLOCK = "block"
    WARN = "warn"
    SLOW = "slow"


def alert_percents() -> list[int]:
    """At which shares of a budget people hear of it when nobody says otherwise."""
    return [50, 80, 100]


class LivingBudgets(models.Manager["Budget"]):
    """All budgets but those that were removed."""

    def get_queryset(self) -> models.QuerySet["Budget"]:
        return super().get_queryset().filter(removed_at=None)


class Budget(models.Model):
    """A cap on what may be spent in a period, by a part of an organisation.

    `subject` is what the scope names: the id of a team, key or person, a model's name or pattern, a
    label; empty for the organisation. The period begins at `anchor` (see rules/budget.py) on the
    wall clock of `timezone`.

    One that was removed is off, and kept with what was told of it, so that it can be brought back.

    What happens at the limit is the `action`: block refuses, warn lets through and only tells, slow
    lets one request through at a time. Until `raised_until` the limit is higher by `raised_nano`.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, related_name="budgets"
    )
    scope = models.CharField(max_length=12, choices=BudgetScope.choices)
    subject = models.CharField(max_length=200, blank=True, default="")
    amount_nano = models.BigIntegerField()
    period = models.CharField(max_length=5, choices=BudgetPeriod.choices)
    anchor = models.SmallIntegerField()
    timezone = models.CharField(max_length=64, default="UTC")
    enabled = models.BooleanField(default=True)
    action = models.CharField(
        max_length=5,
        choices=BudgetAction.choices,
        default=BudgetAction.BLOCK,
        db_default=BudgetAction.BLOCK,
    )
    alert_percents = ArrayField(
        models.PositiveSmallIntegerField(), default=alert_percents, db_default=[50, 80, 100]
    )
    alert_forecast = models.BooleanField(
        default=False, db_default=False, help_text="Notify when forecast to exceed the limit."
    )
    raised_nano = models.BigIntegerField(default=0, db_default=0)
    raised_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    objects = LivingBudgets()
    with_removed = models.Manager["Budget"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "scope", "subject", "period"],
                condition=models.Q(removed_at=None),
                name="budget_once",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_nano__gte=0, raised_nano__gte=0),
                name="budget_not_negative",
            ),
        ]
        indexes = [
            models.Index(
                fields=["raised_until"],
                condition=models.Q(raised_until__isnull=False),
                name="budgets_raised",
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject} {self.period}"

    def limit_nano(self, at: dt.datetime) -> int:
        """What may be spent in the period, as it is at an instant."""
        raised = self.raised_until is not None and self.raised_until > at
        return self.amount_nano + (self.raised_nano if raised else 0)


class BudgetWindow(models.Model):
    """One span of a budget's time, and what stands in it: held now, and spent.

    `cap_nano` is the budget's amount, or what stood here already when the amount was lowered below
    it; the database itself lets no more in (P2). The windows of a budget never overlap: an
    exclusion constraint in the migration. A budget without a period has one, to the year 9999.
    `brought_nano` is what of the spent was charged before the budget was there. `refused_at` is
    when it first refused a request under its present limit.
    """

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, models.CASCADE, related_name="windows")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    cap_nano = models.BigIntegerField()
    held_nano = models.BigIntegerField(db_default=0)
    spent_nano = models.BigIntegerField(db_default=0)
    brought_nano = models.BigIntegerField(db_default=0)
    refused_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["ends_at"], name="budget_windows_by_end")]
        constraints = [
            models.UniqueConstraint(fields=["budget", "starts_at"], name="budget_window_once"),
            models.CheckConstraint(
                condition=models.Q(held_nano__gte=0) & models.Q(spent_nano__gte=0),
                name="budget_window_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(cap_nano__gte=models.F("held_nano") + models.F("spent_nano")),
                name="budget_never_exceeded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget_id} from {self.starts_at}"


class BudgetAlertKind(models.TextChoices):
    REACHED = "reached"
    FORECAST = "forecast"
    TEST = "test"


class BudgetAlert(models.Model):
    """What was told of a budget: that a share of its limit was reached, or would be at this pace.

    Once for each period, limit and share, however many workers look (W53); the fact with its
    deliveries is the outbox's.
    """

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, models.CASCADE, related_name="alerts")
    kind = models.CharField(max_length=8, choices=BudgetAlertKind.choices)
    starts_at = models.DateTimeField(help_text="When the period began.")
    limit_nano = models.BigIntegerField()
    percent = models.PositiveSmallIntegerField(null=True)
    spent_nano = models.BigIntegerField()
    fact_id = models.UUIDField(null=True)
    told_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "starts_at", "limit_nano", "kind", "percent"],
                condition=~models.Q(kind="test"),
                nulls_distinct=False,
                name="budget_alert_once",
            )
        ]
        indexes = [models.Index(fields=["budget", "-id"], name="alerts_of_budget")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.budget_id}"

    @property
    def by_refusal(self) -> bool:
        """Told because a request did not fit what was left, not because nothing was left."""
        return self.percent == 100 and self.spent_nano < self.limit_nano


class RaiseState(models.TextChoices):
    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    ENDED = "ended"


class BudgetRaise(models.Model):
    """Somebody asks for more of a budget until an instant; approved, it ends by itself (W54).

    `amount_nano` is how much more. Of a budget one raise holds at a time: a later one ends it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    budget = models.ForeignKey(Budget, models.CASCADE, related_name="raises")
    amount_nano = models.BigIntegerField()
    until = models.DateTimeField()
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=8, choices=RaiseState.choices, default=RaiseState.WAITING)
    asked_by = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "asked_by"],
                condition=models.Q(state="waiting"),
                name="raise_waits_once",
            ),
            models.UniqueConstraint(
                fields=["budget"],
                condition=models.Q(state="approved"),
                name="one_raise_of_a_budget",
            ),
            models.CheckConstraint(condition=models.Q(amount_nano__gt=0), name="raise_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"


class RateSecond(models.Model):
    """What one limited organisation, team, member or key was admitted within one second of the
    database's clock.

    The last sixty seconds are its sliding minute; what is older is removed by the admissions that
    follow. `tokens` are those of the holds, corrected when they are settled.
    """

    pk = models.CompositePrimaryKey("subject_id", "second")
    subject_id = models.UUIDField()
    second = models.BigIntegerField()
    requests = models.IntegerField()
    tokens = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.requests} of {self.subject_id} at {self.second}"


class PriceKind(models.TextChoices):
    CHARGE = "charge"
    COST = "cost"


class Price(models.Model):
    """What one model name, or a pattern of names, is charged at, or costs us; its versions carry
    the rates.

    `channel` names the channel whose cost it is, "" any. `service_tier` and `hours` narrow it down
    (rules/conditions.py): what they do not fit has the price in which they are empty.
    """

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200)
    kind = models.CharField(
        max_length=6,
        choices=PriceKind.choices,
        default=PriceKind.CHARGE,
        db_default=PriceKind.CHARGE,
    )
    channel = models.CharField(max_length=120, blank=True, default="", db_default="")
    service_tier = models.CharField(max_length=40, blank=True, default="", db_default="")
    hours = models.CharField(max_length=11, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "kind", "channel", "service_tier", "hours"], name="price_once"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="cost") | models.Q(channel=""), name="charge_has_no_channel"
            ),
        ]

    def __str__(self) -> str:
        return self.model


class PriceVersion(models.Model):
    """Rates with dates: {meter: integer nano per million units}. Immutable once used (I11), by a
    trigger that the room usage brings.

    The versions of one price never overlap: an exclusion constraint in the migration.
    """

    id = models.BigAutoField(primary_key=True)
    price = models.ForeignKey(Price, models.PROTECT, related_name="versions")
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    rates = models.JSONField()
    source = models.CharField(max_length=60)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["valid_from"]

    def __str__(self) -> str:
        return f"{self.price_id} from {self.valid_from}"


class Plan(models.Model):
    """What organisations on it pay: the prices times `multiplier_ppm` parts per million, for the
    models that it shows ([] = all)."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=120, unique=True)
    multiplier_ppm = models.BigIntegerField(default=1_000_000)
    model_patterns = ArrayField(models.CharField(max_length=200), default=list, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(multiplier_ppm__gte=0, multiplier_ppm__lte=1_000_000_000),
                name="plan_multiplier_in_range",
            )
        ]

    def __str__(self) -> str:
        return self.name


class OrganisationPlan(models.Model):
    """Which plan an organisation is on; without a row it pays the prices as they are."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="organisations")

    def __str__(self) -> str:
        return f"{self.organisation_id} on {self.plan_id}"


class PlanCut(models.Model):
    """A change of plans that cuts what is paid by more than half: asked by one operator, it waits
    for another (docs/promises.md, "Operators and audit").

    Without an organisation the plan's multiplier changes, else that organisation goes on the plan,
    with none off any.
    """

    plan = models.ForeignKey(Plan, models.CASCADE, null=True, related_name="+")
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, null=True, related_name="+"
    )
    multiplier_ppm = models.BigIntegerField()
    asked_by = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "organisation"], nulls_distinct=False, name="plan_cut_waits_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} to {self.multiplier_ppm}"


class ProposalState(models.TextChoices):
    OPEN = "open"
    SECOND = "second"
    ACCEPTED = "accepted"
    IGNORED = "ignored"


class PriceProposal(models.Model):
    """A price version that is not in force yet: a draft written by hand, or a change of the
    shipped catalogue. Accepted, it becomes a version.

    `replaces` are the rates that it was compared with, null where there were none; without `rates`
    the price ends at `valid_from`. In state `second` one person has accepted it, and another must:
    a rate falls by more than half.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    model = models.CharField(max_length=200)
    kind = models.CharField(max_length=6, choices=PriceKind.choices, default=PriceKind.CHARGE)
    channel = models.CharField(max_length=120, blank=True, default="")
    service_tier = models.CharField(max_length=40, blank=True, default="")
    hours = models.CharField(max_length=11, blank=True, default="")
    valid_from = models.DateTimeField(null=True, help_text="null: from the acceptance on")
    rates = models.JSONField(null=True)
    replaces = models.JSONField(null=True)
    source = models.CharField(max_length=60)
    note = models.CharField(max_length=500, blank=True, default="")
    state = models.CharField(
        max_length=8, choices=ProposalState.choices, default=ProposalState.OPEN
    )
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    first_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    decided_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["model", "kind", "channel", "service_tier", "hours", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "kind", "channel", "service_tier", "hours", "source"],
                condition=models.Q(state__in=["open", "second"]) & ~models.Q(source="draft"),
                name="proposal_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.state}"


class PromoGrant(models.Model):
    """Money that was given: spendable at once, consumed before cash, gone when it expires (I20).

    It stands inside `customer:available`; what is left of all grants stands on `promo:available`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    amount_nano = models.BigIntegerField()
    consumed_nano = models.BigIntegerField(default=0)
    expired_nano = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=120, help_text="The idempotency id of its posting.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(consumed_nano__gte=0)
                & models.Q(expired_nano__gte=0)
                & models.Q(amount_nano__gte=models.F("consumed_nano") + models.F("expired_nano")),
                name="promo_never_exceeded",
            )
        ]
        indexes = [
            models.Index(
                fields=["organisation", "expires_at"],
                condition=models.Q(
                    amount_nano__gt=models.F("consumed_nano") + models.F("expired_nano")
                ),
                name="promo_left",
            )
        ]

    def __str__(self) -> str:
        return f"{self.remaining_nano} of {self.amount_nano}"

    @property
    def remaining_nano(self) -> int:
        return self.amount_nano - self.consumed_nano - self.expired_nano


class PromoMark(models.Model):
    """Up to which ledger entry an organisation's spending was counted against its grants."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    entry_id = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.entry_id)


class CreditKind(models.TextChoices):
    CASH = "cash"
    PROMO = "promo"


class CreditState(models.TextChoices):
    WAITING = "waiting"
    POSTED = "posted"
    REFUSED = "refused"


class Credit(models.Model):
    """A correction of a balance by an operator, by a second one as well above a limit.

    `amount_nano` below 0 takes money away. A reversal names the posting that it undoes (I2).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    amount_nano = models.BigIntegerField()
    kind = models.CharField(max_length=5, choices=CreditKind.choices, default=CreditKind.CASH)
    expires_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500)
    document = models.CharField(max_length=200, blank=True, default="")
    reverses = models.ForeignKey(
        Posting, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    state = models.CharField(max_length=7, choices=CreditState.choices)
    asked_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(decided_by=models.F("asked_by")), name="second_person"
            ),
            models.CheckConstraint(condition=~models.Q(amount_nano=0), name="credit_not_zero"),
            models.UniqueConstraint(
                fields=["reverses"], condition=~models.Q(state="refused"), name="reversed_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["-id"], condition=models.Q(state="waiting"), name="credits_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"

    @property
    def outer_id(self) -> str:
        return id_text(self.id)


class CodeBatch(models.Model):
    """Codes of one value. They are made, shown and forgotten in one download."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    value_nano = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="USD")
    count = models.PositiveIntegerField()
    max_uses = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField(null=True, blank=True)
    credit_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="How long the credit lives; none = for ever."
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    downloaded_at = models.DateTimeField(null=True)
    killed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(value_nano__gt=0), name="code_has_value")
        ]

    def __str__(self) -> str:
        return self.name


class Code(models.Model):
    """One redemption code; only a keyed digest of its text is stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    batch = models.ForeignKey(CodeBatch, models.PROTECT, related_name="codes")
    digest = models.BinaryField(max_length=32, unique=True)
    uses = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.id)


class Redemption(models.Model):
    """One use of a code, at most once for an organisation; the indexes decide races (I22)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.ForeignKey(Code, models.PROTECT, related_name="redemptions")
    n = models.PositiveIntegerField()
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    grant = models.OneToOneField(PromoGrant, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "n"], name="use_of_code_once"),
            models.UniqueConstraint(fields=["code", "organisation"], name="code_once_per_wallet"),
        ]

    def __str__(self) -> str:
        return f"{self.code_id} by {self.organisation_id}"


class RedeemTry(models.Model):
    """A try to redeem that came to nothing, or has not ended yet. Two rows: by whom, from where."""

    id = models.BigAutoField(primary_key=True)
    subject = models.CharField(max_length=80)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["subject", "at"], name="redeem_tries")]

    def __str__(self) -> str:
        return self.subject


class IdempotentAnswer(models.Model):
    """What a POST that moves money answered, for whoever sends it again with the same key (P5)."""

    id = models.BigAutoField(primary_key=True)
    owner = models.CharField(max_length=80, help_text="An organisation, or an operator.")
    key_digest = models.BinaryField(max_length=32)
    asked_digest = models.BinaryField(max_length=32)
    status = models.SmallIntegerField()
    sealed = SealedField(place="billing_idempotentanswer|{owner}|{key_digest}")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key_digest"], name="answer_once")]
        indexes = [models.Index(fields=["created_at"], name="answers_by_age")]

    def __str__(self) -> str:
        return f"{self.status} for {self.owner}"


class StatementDay(models.Model):
    """An organisation's usage on one day of UTC that is over, as its statement shows it (I18)."""

    pk = models.CompositePrimaryKey("organisation_id", "day")
    organisation = models.ForeignKey(
        "accounts.Organisation", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    day = models.DateField(db_index=True)
    requests = models.BigIntegerField()
    amount_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.organisation_id} on {self.day}"


class TopUpState(models.TextChoices):
    ORDERED = "ordered"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class TopUp(models.Model):
    """An order to put money on a balance, and how its payment stands.

    `checkout_id` is the processor's object that we made for it, `payment_id` the one that was paid:
    credited once for each (I21). Of a transfer it is the bank's reference, which the first operator
    named who saw it. Refunds and disputes are sums beside the state.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    processor = models.CharField(max_length=12)
    live = models.BooleanField(help_text="Real money, not the processor's test mode.")
    amount_nano = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="USD")
    automatic = models.BooleanField(default=False)
    keep_card = models.BooleanField(default=False)
    state = models.CharField(max_length=9, choices=TopUpState.choices, default=TopUpState.ORDERED)
    checkout_id = models.CharField(max_length=120, blank=True, default="")
    checkout_url = models.TextField(blank=True, default="")
    payment_id = models.CharField(max_length=120, blank=True, default="")
    refunded_nano = models.BigIntegerField(default=0)
    disputed_nano = models.BigIntegerField(default=0)
    confirmed_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    paid_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["processor", "payment_id"],
                condition=~models.Q(payment_id=""),
                name="payment_once",
            ),
            models.UniqueConstraint(
                fields=["organisation"],
                condition=models.Q(automatic=True, state__in=["ordered", "pending"]),
                name="one_automatic_top_up",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_nano__gt=0, refunded_nano__gte=0)
                & models.Q(refunded_nano__lte=models.F("amount_nano")),
                name="top_up_amounts",
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-id"], name="top_ups_of_organisation")]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"

    @property
    def outer_id(self) -> str:
        return id_text(self.id)

    @property
    def given_back_nano(self) -> int:
        """What the payer has back, by refunds and by the bank."""
        return self.refunded_nano + self.disputed_nano


class EventVerdict(models.TextChoices):
    APPLIED = "applied"
    WAITING = "waiting"
    REFUSED = "refused"


class ProcessorEvent(models.Model):
    """What a processor told, verified; each of its events once.

    `waiting` came before what it is about; `refused` fits no top-up, for the `reason`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    processor = models.CharField(max_length=12)
    event_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=12)
    payment_id = models.CharField(max_length=120, blank=True, default="")
    told = models.JSONField()
    top_up = models.ForeignKey(TopUp, models.PROTECT, null=True, related_name="events")
    verdict = models.CharField(max_length=8, choices=EventVerdict.choices)
    reason = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["processor", "event_id"], name="event_once")]
        indexes = [
            models.Index(
                fields=["processor", "payment_id"],
                condition=models.Q(verdict="waiting"),
                name="events_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.verdict}"


class WalletSetting(models.Model):
    """When an organisation wants to hear of its balance, and whether it is filled by itself."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    low_nano = models.BigIntegerField(null=True, blank=True)
    low_told_at = models.DateTimeField(null=True)
    auto_enabled = models.BooleanField(default=False)
    auto_below_nano = models.BigIntegerField(default=10_000_000_000)
    auto_amount_nano = models.BigIntegerField(default=50_000_000_000)
    processor = models.CharField(max_length=12, blank=True, default="")
    customer_ref = models.CharField(
        max_length=120, blank=True, default="", help_text="Whom the processor keeps the card for."
    )

    def __str__(self) -> str:
        return f"of {self.organisation_id}"


class SealKind(models.TextChoices):
    LEDGER = "ledger"
    TRAIL = "trail"


class Seal(models.Model):
    """What stood in the ledger, or in the trail, from one instant to another; see `seals.py`."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=8, choices=SealKind.choices)
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    rows = models.BigIntegerField()
    digest = models.BinaryField()
    code = models.BinaryField()
    form = models.SmallIntegerField(
        help_text="Older forms say 2. It has no default, so that no older process seals in its own."
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "from_at"], name="sealed_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to_at}"


class SealCut(models.Model):
    """Where the oldest rows were cut off, with the seals over them: `code` is that of the last of
    these seals, on which the next one stands; `signature` is ours over both."""

    kind = models.CharField(primary_key=True, max_length=8, choices=SealKind.choices)
    until = models.DateTimeField()
    code = models.BinaryField()
    signature = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.kind} until {self.until}"
