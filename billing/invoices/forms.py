"""The forms of invoices: the parties, the tax rates, payments and notes."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.currency.forms import MoneyField
from billing.models import InvoiceKind
from lib.forms.country_and_zone_fields import CountryField, ZoneField
from lib.forms.date_and_file_fields import DateInput


class PartyForm(forms.Form):
    """The legal name, address, country and tax ID of a party on a document."""

    legal_name = forms.CharField(label=_("Legal name"), max_length=200, required=False)
    address = forms.CharField(
        label=_("Address"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    country = CountryField(
        label=_("Country"), none="–", help_text=_("It decides which taxes apply.")
    )
    tax_id = forms.CharField(label=_("Tax ID"), max_length=40, required=False)


class BuyerForm(PartyForm):
    """The billing details of an organisation, and the time zone of its months."""

    zone = ZoneField(
        label=_("Time zone of invoices"),
        help_text=_("Months begin and end at midnight in this zone."),
    )


class TaxForm(forms.Form):
    """A new tax rate. Its ids differ from those of the seller's form on the same page."""

    name = forms.CharField(label=_("Name"), max_length=60)
    country = CountryField(
        label=_("Country"),
        none=_("All other countries"),
        help_text=_("Leave empty for all other countries."),
    )
    percent = forms.CharField(label=_("Rate (%)"), max_length=12)
    valid_from = forms.DateField(label=_("Valid from"), widget=DateInput())
    reverse_charge_text = forms.CharField(
        label=_("Reverse charge"),
        max_length=500,
        required=False,
        help_text=_(
            "If set, buyers with a tax ID are not charged this tax; invoices show the text."
        ),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="tax_%s")


class PaymentForm(forms.Form):
    """A payment of an invoice. Its ids differ from those of the note's form on the same page."""

    amount = MoneyField(label=_("Amount (USD)"))
    reference = forms.CharField(
        label=_("Reference of the payment"),
        max_length=120,
        help_text=_("Such as the bank's reference. The customer will see this."),
    )
    paid_on = forms.DateField(label=_("Paid on"), widget=DateInput())

    def __init__(self, data: Any = None, **over: Any) -> None:
        super().__init__(data, auto_id="payment_%s", **over)


class NoteForm(forms.Form):
    """A credit or debit note."""

    kind = forms.ChoiceField(
        label=_("Type"),
        choices=[
            (InvoiceKind.CREDIT_NOTE, _("Credit note")),
            (InvoiceKind.DEBIT_NOTE, _("Debit note")),
        ],
    )
    amount = MoneyField(label=_("Net amount (USD)"))
    reason = forms.CharField(
        label=_("Reason"), max_length=500, help_text=_("The customer will see this.")
    )
