"""Policies: what guards do to texts, what requests may use, and whose requests."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lib.database.sealed_field import SealedField
from lib.ids import new_id


class PolicyScope(models.TextChoices):
    """Whose requests a policy applies to."""

    ORGANISATION = "organisation"
    TEAM = "team"
    KEY = "key"


class Policy(models.Model):
    """What applies to requests, under one name: guards, limits beside those of keys, and budgets.
    `rules` is a list of `content.guards.guard.GuardRule`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="policies"
    )
    name = models.CharField(max_length=60)
    rules = models.JSONField(default=list)
    model_patterns = ArrayField(
        models.CharField(max_length=200),
        default=list,
        db_default=[],
        blank=True,
        help_text="Names or patterns (gpt-*) that keys may ask; none = all.",
    )
    networks = ArrayField(
        models.CharField(max_length=43),
        default=list,
        db_default=[],
        blank=True,
        help_text="The addresses that keys may be used from; none = all.",
    )
    retention_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="The longest time of the content log; 0 = nothing, none = as its rules.",
    )
    budgets = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="A list of billing.limits.policy_budgets.PolicyBudget.",
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="policy_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class PolicyAssignment(models.Model):
    """A policy applies to the requests of an organisation, a team or a key. `subject` is the id of
    the team or key; "" for the whole organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="policy_assignments"
    )
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="assignments")
    scope = models.CharField(max_length=12, choices=PolicyScope.choices)
    subject = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "scope", "subject"], name="policy_assignment_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}"


class PolicySecret(models.Model):
    """The secret of a policy's guard, which is never shown again."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="secrets")
    guard = models.CharField(max_length=40)
    sealed = SealedField(place="content_policysecret|{policy_id}|{guard}")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["policy", "guard"], name="policy_secret_once")
        ]

    def __str__(self) -> str:
        return self.guard
