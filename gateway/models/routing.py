"""Rules for models that apply to all channels."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class ModelRule(models.Model):
    """An operator's rule for a model or a pattern of names
    (gateway/routing/model_rule_bounds.py)."""

    unowned_rows = UnownedRows("read_only", "The models are the same for all.")

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200, unique=True)
    fallbacks = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    causes = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    pick = models.CharField(max_length=12, default="weight", db_default="weight")
    # Stored as `billing.limits.charge_rule.stored_rule` returns it.
    charge_rule = models.JSONField(
        default=dict, db_default=models.Value({}, output_field=models.JSONField()), blank=True
    )
    # Stored as `gateway.routing.shadow_rules.stored_shadow` returns it.
    shadow = models.JSONField(
        default=dict, db_default=models.Value({}, output_field=models.JSONField()), blank=True
    )

    class Meta:
        ordering = ["model"]

    def __str__(self) -> str:
        return self.model


class ShadowAnswer(models.Model):
    """A request that also went to a shadow, and a comparison of the two answers, which are not
    kept.

    `main_…` describes the answer that the client got. `fault` is a row of the fault table, "" if
    the shadow answered, or STOPPED if the process stopped before. `likeness` (in percent) and
    `same_structure` (gateway/routing/shadow_rules.py) are null if one of the two failed; the latter
    also if one is not JSON. `cost_nano` is the installation's cost, or an estimate if
    `cost_unknown`.
    """

    unowned_rows = UnownedRows("closed", "What operators try elsewhere, of all organisations.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(db_default=Now())
    rule = models.CharField(max_length=200)
    request_id = models.UUIDField()
    model = models.CharField(max_length=200)
    main_channel = models.CharField(max_length=120)
    main_status = models.PositiveSmallIntegerField()
    main_ttft_ms = models.PositiveIntegerField(null=True)
    main_total_ms = models.PositiveIntegerField()
    main_tokens = models.BigIntegerField()
    main_finish = models.CharField(max_length=40)
    main_cost_nano = models.BigIntegerField(null=True)
    channel_id = models.UUIDField()
    channel = models.CharField(max_length=120)
    upstream_model = models.CharField(max_length=200)
    fault = models.CharField(max_length=8)
    ttft_ms = models.PositiveIntegerField(null=True)
    total_ms = models.PositiveIntegerField()
    tokens = models.BigIntegerField()
    finish = models.CharField(max_length=40)
    cost_nano = models.BigIntegerField()
    cost_unknown = models.BooleanField(db_default=False)
    likeness = models.PositiveSmallIntegerField(null=True)
    same_structure = models.BooleanField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["at"], name="shadow_answers_by_time")]

    def __str__(self) -> str:
        return f"{self.request_id} by {self.channel}"


class ShadowSpend(models.Model):
    """The cost of a rule's shadows on a UTC day; the rule is given by its model. Each written
    comparison is added to it, and every process reads today's sum once a second. The sum contains
    estimates for the `unknown` requests whose cost is unknown."""

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    pk = models.CompositePrimaryKey("day", "rule")
    day = models.DateField()
    rule = models.CharField(max_length=200)
    cost_nano = models.BigIntegerField()
    unknown = models.IntegerField(db_default=0)

    def __str__(self) -> str:
        return f"{self.cost_nano} for {self.rule} on {self.day}"


class ModelAlias(models.Model):
    """A public name that stands for another name, which may be a model's or an alias."""

    unowned_rows = UnownedRows("read_only", "The models are the same for all.")

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200, unique=True)
    target = models.CharField(max_length=200)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} → {self.target}"
