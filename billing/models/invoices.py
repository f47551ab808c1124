"""Invoices, credit and debit notes, their lines, payments and the amounts still due. A closed
document never changes: a trigger refuses changes, and tenants have no permission for them (I18).
Corrections are documents of their own that refer to it. Closed invoices are never deleted, so
payments need no foreign key constraint."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class InvoiceKind(models.TextChoices):
    INVOICE = "invoice", _("Invoice")
    CREDIT_NOTE = "credit_note", _("Credit note")
    DEBIT_NOTE = "debit_note", _("Debit note")


class InvoiceState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    PROPOSED = "proposed", pgettext_lazy("of an invoice", "Proposed")
    CLOSED = "closed", _("Closed")


class Invoice(models.Model):
    """One document. `from_at` to `until_at` is its period, a month of `zone`. A note has the period
    of the invoice that it corrects.

    `seller` and `buyer` are copied from the details when the document is proposed, and again when
    it is closed: {legal_name, address, country, tax_id}, and the seller's {bank_account}, which
    documents that were closed before `due_nano` was stored do not have. `movement` is the ledger's
    movements in the period: [[kind of posting, kind of account, number of postings, nano], …].
    `checksum` covers all of these and the lines, in hexadecimal. `due_nano` is the part of the
    total that the balance did not cover when the document was closed; later payments do not change
    it. `charged_nano` is all that was ever charged before the end of the last closed month, as of
    the close; documents that were closed before it was stored have none.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=InvoiceKind.choices)
    state = models.CharField(max_length=8, choices=InvoiceState.choices, default=InvoiceState.DRAFT)
    number = models.CharField(max_length=24, null=True, unique=True)  # noqa: DJ001 - none before
    corrects = models.ForeignKey("self", models.PROTECT, null=True, related_name="notes")
    reason = models.CharField(max_length=500, blank=True, default="")
    month = models.DateField()
    zone = models.CharField(max_length=64)
    from_at = models.DateTimeField()
    until_at = models.DateTimeField()
    currency = models.CharField(max_length=3, default="USD")
    seller = models.JSONField(default=dict)
    buyer = models.JSONField(default=dict)
    movement = models.JSONField(default=list)
    net_nano = models.BigIntegerField(default=0)
    tax_nano = models.BigIntegerField(default=0)
    rounding_nano = models.BigIntegerField(default=0)
    total_nano = models.BigIntegerField(default=0)
    due_nano = models.BigIntegerField(default=0, db_default=0)
    charged_nano = models.BigIntegerField(null=True)
    checksum = models.CharField(max_length=64, blank=True, default="")
    drafted_at = models.DateTimeField(db_default=Now())
    proposed_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    proposed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "month"],
                condition=models.Q(kind="invoice"),
                name="invoice_once_a_month",
            ),
            # The database itself requires two persons.
            models.CheckConstraint(
                condition=~models.Q(state="closed")
                | models.Q(number__isnull=False, closed_by__isnull=False, proposed_by__isnull=False)
                & ~models.Q(closed_by=models.F("proposed_by")),
                name="invoice_closed_by_two",
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-id"], name="invoices_of_organisation")]

    def __str__(self) -> str:
        return self.number or f"{self.kind} of {self.organisation_id} for {self.month}"


class InvoiceLine(models.Model):
    """One line of a document. `billing/invoices/rules.py` describes the kinds."""

    id = models.BigAutoField(primary_key=True)
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines", db_index=False)
    n = models.IntegerField()
    kind = models.CharField(max_length=12)
    amount_nano = models.BigIntegerField()
    project = models.CharField(max_length=120, blank=True, default="")
    team = models.CharField(max_length=120, blank=True, default="")
    model = models.CharField(max_length=200, blank=True, default="")
    meter = models.CharField(max_length=80, blank=True, default="")
    rate_nano_per_million = models.BigIntegerField(default=0)
    multiplier_ppm = models.BigIntegerField(default=1_000_000)
    quantity = models.BigIntegerField(default=0)
    origin = models.DateField(null=True)
    rate_ppm = models.IntegerField(default=0)
    text = models.CharField(max_length=700, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "n"], name="invoice_line_once"),
        ]

    def __str__(self) -> str:
        return f"{self.n} of {self.invoice_id}"


class InvoiceCounter(models.Model):
    """The last number of a series in a year. It is increased in the transaction that closes a
    document, under its lock, so that numbers have no gaps and no duplicates."""

    unowned_rows = UnownedRows("closed", "Counts the documents of all.")

    pk = models.CompositePrimaryKey("series", "year")
    series = models.CharField(max_length=3)
    year = models.SmallIntegerField()
    last = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.series}-{self.year}: {self.last}"


class Party(models.Model):
    """The details of a seller or buyer on a document."""

    legal_name = models.CharField(_("Legal name"), max_length=200, blank=True, default="")
    address = models.TextField(_("Address"), max_length=500, blank=True, default="")
    country = models.CharField(_("Country"), max_length=2, blank=True, default="")
    tax_id = models.CharField(_("Tax ID"), max_length=40, blank=True, default="")

    class Meta:
        abstract = True

    def document(self) -> dict[str, str]:
        """Return the details as they are copied into a document."""
        return {
            "legal_name": self.legal_name,
            "address": self.address,
            "country": self.country,
            "tax_id": self.tax_id,
        }


class BuyerDetail(Party):
    """An organisation's billing details, and the time zone of its months."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    zone = models.CharField(max_length=64, default="UTC")

    def __str__(self) -> str:
        return f"of {self.organisation_id}"


class SellerDetail(Party):
    """The installation's own details, in one row."""

    unowned_rows = UnownedRows("read_only", "Who sells stands on every invoice.")

    id = models.SmallIntegerField(primary_key=True, default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_seller")]

    def __str__(self) -> str:
        return self.legal_name


class TaxRate(models.Model):
    """A row of the operator's tax table (`billing/invoices/rules.py`, `taxes_of`). It never
    changes: a new rate is a new row, valid from a day on."""

    unowned_rows = UnownedRows("closed", "Taxes are the operators' to keep.")

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=60)
    country = models.CharField(max_length=2, blank=True, default="")
    rate_ppm = models.IntegerField()
    valid_from = models.DateField()
    reverse_charge_text = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "country", "valid_from"], name="tax_rate_once_a_day"
            ),
            models.CheckConstraint(
                condition=models.Q(rate_ppm__gte=0, rate_ppm__lte=1_000_000),
                name="tax_rate_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.country} from {self.valid_from}"


class ExchangeRate(models.Model):
    """The value of one USD in another currency on a day, by `source`. Rows never change; the latest
    row of a day counts."""

    unowned_rows = UnownedRows("read_only", "What a currency is worth is the same for all.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    currency = models.CharField(max_length=3)
    day = models.DateField()
    per_usd = models.DecimalField(max_digits=20, decimal_places=10)
    source = models.CharField(max_length=120, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["currency", "day", "id"], name="exchange_rate_by_day")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(per_usd__gt=0), name="exchange_rate_above_zero"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.per_usd} {self.currency} on {self.day}"


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
