"""Trial credit of organisations that new people create."""

from django.db import models
from django.db.models.functions import Now

from billing.models.credits import PromoGrant
from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class TrialOnce(models.TextChoices):
    """Who gets trial credit once: an email domain, or a person. Addresses at a public
    email provider are always counted by person."""

    DOMAIN = "domain"
    PERSON = "person"


class TrialSetting(models.Model):
    """A single row: the credit that an organisation gets when a new person creates it; 0 is none.
    It expires after `days`, or never."""

    unowned_rows = UnownedRows("closed", "What new organisations get.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    amount_nano = models.BigIntegerField(default=0)
    once = models.CharField(max_length=6, choices=TrialOnce.choices, default=TrialOnce.DOMAIN)
    days = models.PositiveSmallIntegerField(null=True, default=30)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_trial_setting"),
            models.CheckConstraint(
                condition=models.Q(amount_nano__gte=0), name="trial_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} once per {self.once}"


class Trial(models.Model):
    """Trial credit that was given. `person` and `domain` are keyed digests of who had it; `domain`
    is None if it was given by person. Unique indexes decide between concurrent sign-ups."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    person = models.BinaryField(max_length=32, unique=True)
    domain = models.BinaryField(max_length=32, unique=True, null=True)
    grant = models.OneToOneField(PromoGrant, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.organisation_id)
