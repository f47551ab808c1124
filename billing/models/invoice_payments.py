"""How closed invoices were paid, and what of them is still due.

A closed invoice is never deleted: no constraint of the database has to hold it.
"""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class PaymentSource(models.TextChoices):
    BALANCE = "balance", _("Balance")
    RECORDED = "recorded", _("Recorded by an operator")


class InvoicePayment(models.Model):
    """A part or all of an invoice was paid. It moves no money: what the balance pays was posted
    when the invoice was closed, and what else was paid has postings of its own."""

    id = models.BigAutoField(primary_key=True)
    invoice = models.ForeignKey(
        "billing.Invoice", models.PROTECT, related_name="payments", db_constraint=False
    )
    amount_nano = models.BigIntegerField()
    source = models.CharField(max_length=8, choices=PaymentSource.choices)
    reference = models.CharField(max_length=120, blank=True, default="")
    paid_on = models.DateField()
    recorded_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_nano__gt=0), name="invoice_payment_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(source="balance", reference="", recorded_by=None)
                | models.Q(source="recorded", recorded_by__isnull=False) & ~models.Q(reference=""),
                name="invoice_payment_told",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} of {self.invoice_id}"


class InvoiceDue(models.Model):
    """What of a closed invoice is still to be paid; without a row, nothing. Closed invoices never
    change, so it stands beside them."""

    invoice = models.OneToOneField(
        "billing.Invoice",
        models.PROTECT,
        primary_key=True,
        related_name="due",
        db_constraint=False,
    )
    left_nano = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(left_nano__gt=0), name="invoice_due_positive")
        ]

    def __str__(self) -> str:
        return f"{self.left_nano} of {self.invoice_id}"
