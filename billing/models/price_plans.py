"""Plans and their holders, and other settings for an organisation's charges."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from lib.database.unowned_rows import UnownedRows


class Plan(models.Model):
    """A price plan: it multiplies prices by `multiplier_ppm` parts per million, and shows the
    models in its list ([] = all)."""

    unowned_rows = UnownedRows(
        "read_only",
        "A plan is for many organisations; which one is on it is bound.",
    )

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
    """An organisation's plan. Without a row the organisation pays the plain prices."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="organisations")

    def __str__(self) -> str:
        return f"{self.organisation_id} on {self.plan_id}"


class OrganisationChargeRule(models.Model):
    """What an organisation is charged for abandoned and failed requests, in the form of
    `billing.limits.charge_rule.stored_rule`. Without a row, the model's rule applies."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    rule = models.JSONField()

    def __str__(self) -> str:
        return f"{self.organisation_id}: {self.rule}"


class TeamPlan(models.Model):
    """A team's plan. It takes precedence over the organisation's plan."""

    team = models.OneToOneField("accounts.Team", models.CASCADE, primary_key=True, related_name="+")
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="teams")

    def __str__(self) -> str:
        return f"{self.team_id} on {self.plan_id}"


class MemberPlan(models.Model):
    """A person's plan in an organisation. It takes precedence over the plans of teams and of the
    organisation, and ends with the membership."""

    membership = models.OneToOneField(
        "accounts.Membership", models.CASCADE, primary_key=True, related_name="+"
    )
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="members")

    def __str__(self) -> str:
        return f"{self.membership_id} on {self.plan_id}"
