"""Keys that organisations bring for a provider, and the channels that operators offer for them."""

from django.db import models
from django.db.models.functions import Now

from gateway.models.channels import Channel
from lib.database.sealed_field import SealedField
from lib.ids import new_id


class OwnKeyOffer(models.Model):
    """A channel that organisations may use with keys of their own: all of them, or the chosen ones.
    A request costs nothing, or one of the two fees.
    """

    channel = models.OneToOneField(
        Channel, models.CASCADE, primary_key=True, related_name="own_key_offer"
    )
    title = models.CharField(
        max_length=120, unique=True, help_text="What organisations see instead of the channel."
    )
    everyone = models.BooleanField(default=False)
    organisations = models.ManyToManyField("accounts.Organisation", related_name="+")
    fee_request_nano = models.BigIntegerField(default=0)
    fee_million_nano = models.BigIntegerField(default=0, help_text="For a million tokens.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["title"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(fee_request_nano=0) | models.Q(fee_million_nano=0),
                    fee_request_nano__gte=0,
                    fee_million_nano__gte=0,
                ),
                name="own_key_fee_is_one",
            )
        ]

    def __str__(self) -> str:
        return self.title


class OwnKey(models.Model):
    """A provider key of an organisation, or of one of its teams, sealed for this row
    (lib/vault.py): it can be replaced, never read back. Requests use it first, and the
    installation's keys only if it may `fall_back`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="own_keys"
    )
    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, related_name="own_keys")
    channel = models.ForeignKey(Channel, models.PROTECT, related_name="own_keys")
    name = models.CharField(max_length=120)
    sealed = SealedField(null=True, help_text="Null since the channel's address changed.")
    digest = models.BinaryField(
        max_length=32, help_text="Keyed, to tell whether a new value differs."
    )
    last4 = models.CharField(max_length=4)
    enabled = models.BooleanField(default=True)
    fall_back = models.BooleanField(default=False)
    refused_at = models.DateTimeField(
        null=True, help_text="When its provider last rejected it; null since it was replaced."
    )
    refusal = models.CharField(max_length=12, default="", db_default="")
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    rotated_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "team", "channel"],
                name="own_key_once",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return self.name
