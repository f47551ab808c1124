"""Payments of closed invoices, and the amounts still due. Closed invoices are never deleted, so no
foreign key constraint is needed."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class PaymentSource(models.TextChoices):
    BALANCE = "balance", _("Balance")
    RECORDED = "recorded", _("Recorded by an operator")


class InvoicePayment(models.Model):
    """The payment of an invoice, or a part of it. It moves no money: payment from the balance was
    posted when the invoice was closed, and other payments have their own postings."""

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
    """The unpaid amount of a closed invoice. An invoice without a row is paid. The table is
    separate because closed invoices never change."""

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
