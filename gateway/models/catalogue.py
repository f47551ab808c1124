"""What is known about each public model, and proposed changes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class ModelEntry(models.Model):
    """What operators state about one public model (gateway/model_entries/rules.py). `probe`
    is the result of its last probe (gateway/public_models/probes.py)."""

    unowned_rows = UnownedRows("read_only", "The models are the same for all.")

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200, unique=True)
    can = models.JSONField(default=dict, help_text="What is known better: capability -> on.")
    context_max = models.PositiveIntegerField(null=True, help_text="Null: as the catalogue says.")
    output_max = models.PositiveIntegerField(null=True)
    deprecated_at = models.DateTimeField(null=True)
    sunset_at = models.DateTimeField(null=True)
    replacement = models.CharField(max_length=200, blank=True, default="")
    forwards = models.BooleanField(
        default=False, help_text="From its sunset on the replacement answers."
    )
    plans = ArrayField(models.CharField(max_length=120), default=list, blank=True)
    roles = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    probe = models.JSONField(null=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sunset_at=None)
                | models.Q(deprecated_at__lte=models.F("sunset_at")),
                name="model_ends_after_its_deprecation",
            ),
            models.CheckConstraint(
                condition=models.Q(forwards=False) | ~models.Q(replacement=""),
                name="model_forwards_to_another",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class FactState(models.TextChoices):
    OPEN = "open"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


class ModelProposal(models.Model):
    """A proposal: a fact of a model for which a list of models or a probe differs from the current
    value.

    `field` is one of `gateway/model_entries/facts.py`; `before` is the current value, `after` the
    proposed one, None means not stated. `source` is the list, named as in price proposals, or the
    probe.
    """

    unowned_rows = UnownedRows("closed", "Of the installation's models.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    model = models.CharField(max_length=200)
    field = models.CharField(max_length=16)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    source = models.CharField(max_length=60)
    state = models.CharField(max_length=9, choices=FactState.choices, default=FactState.OPEN)
    created_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["model", "field"]
        indexes = [
            models.Index(
                fields=["model"], condition=models.Q(state="open"), name="open_model_proposals"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.field}"


class CatalogueIgnoreRule(models.Model):
    """What no list may propose for the models that a name or pattern matches: one field, or all
    ("")."""

    unowned_rows = UnownedRows("closed", "Of the installation's models.")

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200)
    field = models.CharField(max_length=16, blank=True, default="")

    class Meta:
        ordering = ["model", "field"]
        constraints = [
            models.UniqueConstraint(fields=["model", "field"], name="ignored_field_once")
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.field}".strip()


class CatalogueUpdate(models.Model):
    """One list of models that was compared with the current facts; `result` is the outcome
    (gateway/catalogue/updates.py)."""

    unowned_rows = UnownedRows("closed", "Of the installation's models.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=60)
    result = models.JSONField()
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source} at {self.created_at}"
