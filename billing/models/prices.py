"""Prices with dates, and proposals for them."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class PriceKind(models.TextChoices):
    CHARGE = "charge"
    COST = "cost"
    PATH = "path"
    PATH_COST = "path_cost"


class Price(models.Model):
    """The price or cost of one model name or pattern; its versions have the rates. A cost can be
    for one `channel`, "" for any. A price of kind `path` is that of a channel's pass-through rule,
    and `path_cost` its cost: their `model` are the rule's methods and path
    (gateway/channels/passthrough/rules.py). `service_tier`, `hours` and `region` restrict the price
    (billing/prices/conditions.py); other requests use the price without them."""

    unowned_rows = UnownedRows("read_only", "The prices are the same for all.")

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200)
    kind = models.CharField(
        max_length=10,
        choices=PriceKind.choices,
        default=PriceKind.CHARGE,
        db_default=PriceKind.CHARGE,
    )
    channel = models.CharField(max_length=120, blank=True, default="", db_default="")
    service_tier = models.CharField(max_length=40, blank=True, default="", db_default="")
    hours = models.CharField(max_length=11, blank=True, default="", db_default="")
    region = models.CharField(max_length=40, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "kind", "channel", "service_tier", "hours", "region"],
                name="price_once",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind="charge") | models.Q(channel=""),
                name="charge_has_no_channel",
            ),
        ]

    def __str__(self) -> str:
        return self.model


class PriceVersion(models.Model):
    """Rates with dates: {meter: integer nano per million units}. A trigger of the room usage makes
    it immutable once used (I11). An exclusion constraint in the migration prevents overlapping
    versions of one price.
    """

    unowned_rows = UnownedRows("read_only", "The prices are the same for all.")

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


class ProposalState(models.TextChoices):
    OPEN = "open"
    ACCEPTED = "accepted"
    IGNORED = "ignored"


class PriceProposal(models.Model):
    """A price version that is not in force yet: a draft that a person wrote, or a change of a
    catalogue or price list. An accepted proposal becomes a version.

    `replaces` are the rates that it was compared with, null if there were none. A proposal without
    `rates` ends the price at `valid_from`. If a rate falls by more than half, the acceptance waits
    for the approval of another person.
    """

    unowned_rows = UnownedRows("closed", "Prices are the operators' to make.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    model = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=PriceKind.choices, default=PriceKind.CHARGE)
    channel = models.CharField(max_length=120, blank=True, default="")
    service_tier = models.CharField(max_length=40, blank=True, default="")
    hours = models.CharField(max_length=11, blank=True, default="")
    region = models.CharField(max_length=40, blank=True, default="", db_default="")
    valid_from = models.DateTimeField(null=True, help_text="null: from the acceptance on")
    rates = models.JSONField(null=True)
    replaces = models.JSONField(null=True)
    source = models.CharField(max_length=60)
    note = models.CharField(max_length=500, blank=True, default="")
    state = models.CharField(
        max_length=8, choices=ProposalState.choices, default=ProposalState.OPEN
    )
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    decided_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["model", "kind", "channel", "service_tier", "hours", "region", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "kind", "channel", "service_tier", "hours", "region", "source"],
                condition=models.Q(state="open") & ~models.Q(source="draft"),
                name="proposal_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.state}"
