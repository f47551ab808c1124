"""Settings that protect the installation from a single operator."""

from django.db import models

from accounts.models import Organisation
from lib.database.unowned_rows import UnownedRows


class SafeguardName(models.TextChoices):
    """`credit_limit`: the amount that one operator may credit alone in 24 hours (nano USD).
    `audit_retention`: the days for which audit events are kept (0 = for ever)."""

    CREDIT_LIMIT = "credit_limit"
    AUDIT_RETENTION = "audit_retention"


class Safeguard(models.Model):
    """A setting that one operator can make stricter, and only two can relax. Without an
    organisation it applies to all. `value` is None if a value was only proposed so far."""

    unowned_rows = UnownedRows("closed", "What needs a second operator.")

    name = models.CharField(max_length=20, choices=SafeguardName.choices)
    organisation = models.ForeignKey(Organisation, models.CASCADE, null=True)
    value = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "organisation"], nulls_distinct=False, name="safeguard_once"
            ),
            models.CheckConstraint(
                condition=models.Q(organisation=None) | models.Q(name=SafeguardName.CREDIT_LIMIT),
                name="safeguard_of_organisation",
            ),
        ]

    def __str__(self) -> str:
        return self.name
