"""Budgets, their windows and alerts, and requests to increase them."""

import datetime as dt

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from billing.limits.budget_rules import ALERT_PERCENTS
from lib.ids import new_id


class BudgetScope(models.TextChoices):
    ORGANISATION = "organisation"
    TEAM = "team"
    USER = "user"
    KEY = "key"
    MODEL = "model"
    PROJECT = "project"
    TAG = "tag"
    CUSTOMER = "customer"
    END_USER = "end_user"


class BudgetPeriod(models.TextChoices):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"
    SESSION = "session"


class BudgetAction(models.TextChoices):
    BLOCK = "block"
    WARN = "warn"
    SLOW = "slow"


def alert_percents() -> list[int]:
    """Return a new list for each budget."""
    return list(ALERT_PERCENTS)


class LivingBudgets(models.Manager["Budget"]):
    """All budgets without the removed ones."""

    def get_queryset(self) -> models.QuerySet["Budget"]:
        return super().get_queryset().filter(removed_at=None)


class Budget(models.Model):
    """A cap on the spending of a part of an organisation in a period.

    `subject` is what the scope refers to: the id of a team, key or person, a model's name or
    pattern, a label; empty for the organisation, and for a budget of each end user. Of such a
    budget, `own_amounts` are the amounts in nano of those who have one of their own, by name. The
    period begins at `anchor` (see
    billing/limits/budget_rules.py) on the wall clock of `timezone`. A removed budget is disabled
    and kept with its alerts, so that it can be restored. `action` is what happens at the limit:
    block refuses, warn only notifies, slow lets one request through at a time. Until `raised_until`
    the limit is higher by `raised_nano`. A budget that a policy gives has the policy's id and name
    (see billing/limits/policy_budgets.py).
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, related_name="budgets"
    )
    scope = models.CharField(max_length=12, choices=BudgetScope.choices)
    subject = models.CharField(max_length=200, blank=True, default="")
    amount_nano = models.BigIntegerField()
    own_amounts = models.JSONField(default=dict, db_default={}, blank=True)
    period = models.CharField(max_length=7, choices=BudgetPeriod.choices)
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
        models.PositiveSmallIntegerField(), default=alert_percents, db_default=list(ALERT_PERCENTS)
    )
    alert_forecast = models.BooleanField(
        default=False, db_default=False, help_text="Notify when forecast to exceed the limit."
    )
    raised_nano = models.BigIntegerField(default=0, db_default=0)
    raised_until = models.DateTimeField(null=True)
    # A plain id, because policies belong to a room above.
    policy_id = models.UUIDField(null=True)
    policy_name = models.CharField(max_length=60, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    objects = LivingBudgets()
    with_removed = models.Manager["Budget"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "scope", "subject", "period", "policy_id"],
                condition=models.Q(removed_at=None),
                nulls_distinct=False,
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
            ),
            models.Index(
                fields=["policy_id"],
                condition=models.Q(policy_id__isnull=False),
                name="budgets_of_policies",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject} {self.period}"

    def limit_nano(self, at: dt.datetime, end_user: str = "") -> int:
        """Return the limit of the period at an instant; of a budget of each end user, that of this
        one."""
        raised = self.raised_until is not None and self.raised_until > at
        amount_nano: int = self.own_amounts.get(end_user, self.amount_nano)
        return amount_nano + (self.raised_nano if raised else 0)


class BudgetWindow(models.Model):
    """One period of a budget, of one end user under a budget of each, or one session under it, with
    the amounts held and spent in it.

    `cap_nano` is the budget's amount, or the amount already used when the limit was lowered below
    it; the database enforces it (P2). The windows of a budget never overlap, of one of each
    end user those of the same `end_user`: exclusion constraints in the migration. A budget
    without a period has one window, to the year 9999, and so has each session. A session whose
    client sends a limit of its own has a window without a budget; its `cap_nano` is the limit that
    was sent last.
    `brought_nano` is the part of the spending from before the budget existed. `refused_at` is when
    it first refused a request under its present limit.
    """

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, models.CASCADE, related_name="windows", null=True)
    session_id = models.UUIDField(null=True)
    end_user = models.CharField(max_length=256, blank=True, default="", db_default="")
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
            models.UniqueConstraint(
                fields=["budget", "end_user", "starts_at"],
                condition=models.Q(session_id=None),
                name="budget_window_once",
            ),
            models.UniqueConstraint(
                fields=["session_id", "budget"],
                condition=~models.Q(session_id=None),
                nulls_distinct=False,
                name="session_window_once",
            ),
            models.CheckConstraint(
                condition=models.Q(budget__isnull=False) | models.Q(session_id__isnull=False),
                name="budget_window_of_somebody",
            ),
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


class EndedSession(models.Model):
    """A session that was ended. Its requests are refused until it is reopened, which deletes the
    row. The audit log records both."""

    session_id = models.UUIDField(primary_key=True)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    ended_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.session_id)


class BudgetAlertKind(models.TextChoices):
    REACHED = "reached"
    FORECAST = "forecast"
    TEST = "test"


class BudgetAlert(models.Model):
    """An alert of a budget: a share of its limit was reached, or will be at this pace. Sent once
    for each period, limit and share, even with several workers (W53); the outbox has the fact with
    its deliveries."""

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
        """Return whether the alert was sent because a request did not fit the remaining amount,
        while some of the limit was left."""
        return self.percent == 100 and self.spent_nano < self.limit_nano


class RaiseState(models.TextChoices):
    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    ENDED = "ended"


class BudgetRaise(models.Model):
    """A request to increase a budget until an instant. An approved increase ends automatically
    (W54).

    `amount_nano` is the increase. A budget has one increase at a time: a later one ends it.
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
