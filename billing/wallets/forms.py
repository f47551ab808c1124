"""The form of the settings for low balances."""

from django import forms
from django.utils.translation import gettext_lazy

from billing.currency.forms import MoneyField


class WalletForm(forms.Form):
    """The threshold of the low-balance alert, and the automatic top-up by the stored card."""

    low = MoneyField(
        label=gettext_lazy("Low-balance alert (USD)"),
        required=False,
        help_text=gettext_lazy(
            "Owners and billing members get an email when the balance, including what running "
            "requests reserve, drops below this. Leave empty for no alert."
        ),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Top up automatically"), required=False)
    below = MoneyField(label=gettext_lazy("When the balance drops below (USD)"))
    amount = MoneyField(label=gettext_lazy("Add (USD)"))
