"""Subscription plans with included usage, subscriptions, and their charges.

Included usage is a `PromoGrant` of the charge that paid for it: it is used before the balance and
expires at the end of its month, with the same postings as any other grant.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.database.unowned_rows import UnownedRows
from lib.ids import id_text, new_id


class SubscriptionPlanState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    OFFERED = "offered", _("Offered")
    ARCHIVED = "archived", _("Archived")


class Overage(models.TextChoices):
    BALANCE = "balance", _("Paid from the balance")
    REFUSE = "refuse", _("Requests are rejected")


class SubscriptionPlan(models.Model):
    """The monthly price, and the included usage at list prices. `overage` decides what happens to
    requests beyond it. The terms of an offered plan never change, so subscribers keep what they
    agreed to. An archived plan is no longer offered; its subscriptions continue."""

    unowned_rows = UnownedRows(
        "read_only",
        "A plan is for many organisations; who is subscribed is bound.",
    )

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120, unique=True)
    description = models.CharField(max_length=300, blank=True, default="")
    price_nano = models.BigIntegerField()
    included_nano = models.BigIntegerField()
    # [{"meter", "models": names or patterns, [] = all, "units": per month}]
    units = models.JSONField(default=list, db_default=[])
    # [[pattern, parts per million]]: multipliers of prices; the first match applies.
    multipliers = models.JSONField(default=list, db_default=[])
    overage = models.CharField(
        max_length=7, choices=Overage.choices, default=Overage.BALANCE, db_default=Overage.BALANCE
    )
    state = models.CharField(
        max_length=8, choices=SubscriptionPlanState.choices, default=SubscriptionPlanState.DRAFT
    )
    written_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    offered_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(price_nano__gte=0, included_nano__gte=0),
                name="subscription_plan_not_negative",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def outer_id(self) -> str:
        return id_text(self.id)


class SubscriptionState(models.TextChoices):
    ACTIVE = "active", _("Active")
    UNPAID = "unpaid", _("Renewal unpaid")
    ENDED = "ended", _("Ended")


class Subscription(models.Model):
    """An organisation's subscription to a plan. `month` is the first day of the latest paid month,
    in `zone`. A subscription with `cancelled_at` ends with that month."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    plan = models.ForeignKey(SubscriptionPlan, models.PROTECT, related_name="subscriptions")
    state = models.CharField(
        max_length=6, choices=SubscriptionState.choices, default=SubscriptionState.ACTIVE
    )
    zone = models.CharField(max_length=64)
    month = models.DateField()
    started_at = models.DateTimeField()
    unpaid_since = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation"],
                condition=~models.Q(state="ended"),
                name="one_living_subscription",
            ),
            models.CheckConstraint(
                condition=models.Q(state="ended") ^ models.Q(ended_at=None),
                name="subscription_ended_at",
            ),
            models.CheckConstraint(
                condition=models.Q(state="unpaid", unpaid_since__isnull=False)
                | models.Q(~models.Q(state="unpaid"), unpaid_since=None),
                name="subscription_unpaid_since",
            ),
        ]
        indexes = [
            models.Index(
                fields=["month"],
                condition=~models.Q(state="ended"),
                name="subscriptions_to_renew",
            )
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id} on {self.plan_id}"


class SubscriptionCharge(models.Model):
    """A charge for days of a month: for a new subscription, a renewal (`n` 0) or a change of plan.
    A negative amount is a refund; a negative `included_nano` was taken back."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, related_name="charges", db_index=False
    )
    plan = models.ForeignKey(SubscriptionPlan, models.PROTECT, related_name="+")
    month = models.DateField()
    n = models.SmallIntegerField()
    from_day = models.DateField()
    charge_nano = models.BigIntegerField()
    included_nano = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # The constraint makes sure that a month is paid once, even after a crash or with
            # several workers.
            models.UniqueConstraint(
                fields=["subscription", "month", "n"], name="subscription_charge_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.charge_nano} for {self.month} of {self.subscription_id}"


class IncludedUnits(models.Model):
    """The units of a meter that a subscription includes in the month until `ends_at`, with the used
    units and those that running requests hold. `position` is the position of the term in the plan.
    `patterns` are names or patterns of models; [] means every model."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, related_name="units", db_index=False
    )
    month = models.DateField()
    position = models.SmallIntegerField()
    meter = models.CharField(max_length=40)
    patterns = ArrayField(models.CharField(max_length=200))
    included = models.BigIntegerField()
    used = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "month", "meter", "patterns"], name="included_units_once"
            ),
            # P2: the database never gives more units than are included.
            models.CheckConstraint(
                condition=models.Q(used__gte=0, held__gte=0)
                & models.Q(included__gte=models.F("used") + models.F("held")),
                name="included_units_never_exceeded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.used} of {self.included} {self.meter}"

    @property
    def taken(self) -> int:
        """Return the used units plus those that running requests may use."""
        return self.used + self.held

    @property
    def left(self) -> int:
        """Return the units still available."""
        return self.included - self.used - self.held
