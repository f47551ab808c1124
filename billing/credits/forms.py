"""The forms of corrections and codes."""

import datetime as dt

from django import forms
from django.utils.translation import gettext_lazy

from accounts.organisations.choices import pick_organisation
from billing.credits.codes import CODES_MAX
from billing.credits.words import CREDIT_KINDS
from billing.currency.forms import MoneyField, OnceForm
from lib import clock
from lib.numbers.whole_numbers import WholeNumberField

_PLAIN = {"autocomplete": "off"}


class RedeemForm(forms.Form):
    """A redemption code."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=200,
        help_text=gettext_lazy("Seven groups of four characters. Case and spaces do not matter."),
        widget=forms.TextInput(
            attrs={
                "class": "mono",
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "autofocus": True,
                "placeholder": "XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX",
            }
        ),
    )


class CreditForm(OnceForm):
    """A correction of a balance."""

    organisation = forms.CharField(
        label=gettext_lazy("Organisation"),
        max_length=60,
        widget=pick_organisation(),
    )
    amount = MoneyField(
        label=gettext_lazy("Amount (USD)"),
        help_text=gettext_lazy("A negative amount reduces the balance."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Type"),
        choices=list(CREDIT_KINDS.items()),
    )
    days = WholeNumberField(
        label=gettext_lazy("Expires after (days)"),
        required=False,
        min_value=1,
        max_value=3650,
        help_text=gettext_lazy("Only for promotional credit. Leave empty for no expiry."),
        widget=forms.NumberInput(attrs=_PLAIN),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        help_text=gettext_lazy("The customer will see this."),
        widget=forms.TextInput(attrs=_PLAIN),
    )
    document = forms.CharField(
        label=gettext_lazy("Document number"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )

    def expires_at(self) -> dt.datetime | None:
        days = self.cleaned_data["days"]
        return clock.now() + dt.timedelta(days=days) if days else None


class BatchForm(OnceForm):
    """A batch of redemption codes."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, widget=forms.TextInput(attrs=_PLAIN)
    )
    value = MoneyField(label=gettext_lazy("Value per code (USD)"))
    count = WholeNumberField(
        label=gettext_lazy("Codes"),
        min_value=1,
        max_value=CODES_MAX,
        initial=10,
        widget=forms.NumberInput(attrs=_PLAIN),
    )
    max_uses = WholeNumberField(
        label=gettext_lazy("Uses per code"),
        min_value=1,
        max_value=1_000_000,
        initial=1,
        help_text=gettext_lazy("Each use must be by a different organisation."),
        widget=forms.NumberInput(attrs=_PLAIN),
    )
    days = WholeNumberField(
        label=gettext_lazy("Codes expire after (days)"),
        required=False,
        min_value=1,
        max_value=3650,
        widget=forms.NumberInput(attrs=_PLAIN),
    )
    credit_days = WholeNumberField(
        label=gettext_lazy("Credit expires after (days)"),
        required=False,
        min_value=1,
        max_value=3650,
        help_text=gettext_lazy("Counted from redemption. Leave empty for no expiry."),
        widget=forms.NumberInput(attrs=_PLAIN),
    )

    def expires_at(self) -> dt.datetime | None:
        days = self.cleaned_data["days"]
        return clock.now() + dt.timedelta(days=days) if days else None
