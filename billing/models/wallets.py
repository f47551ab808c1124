"""How an organisation wants its wallet."""

from django.db import models


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
