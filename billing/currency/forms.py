"""The form fields of money, and the form of an exchange rate. Amounts are typed as exact decimals
and cleaned to nano."""

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.currency.money import MoneyInvalid, MoneyTooLarge, parse_typed_usd
from lib.forms.date_and_file_fields import DateInput
from lib.ids import id_text, new_id

_PLAIN = {"autocomplete": "off"}


class MoneyField(forms.CharField):
    """An amount of USD as people type it. The cleaned value is nano, or None when empty."""

    def __init__(self, **over: Any) -> None:
        widget = forms.TextInput(attrs={**_PLAIN, "inputmode": "decimal", "maxlength": 24})
        super().__init__(**{"max_length": 24, "widget": widget, **over})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_typed_usd(text)
        except MoneyTooLarge as error:
            raise forms.ValidationError(gettext("This amount is too large.")) from error
        except MoneyInvalid as error:
            raise forms.ValidationError(gettext("Enter an amount such as 12.50.")) from error


class OnceForm(forms.Form):
    """A form that moves money. Its hidden key makes sure that sending it twice moves the money
    once."""

    once = forms.CharField(
        max_length=40, required=False, widget=forms.HiddenInput, initial=lambda: id_text(new_id())
    )


class ExchangeRateForm(forms.Form):
    """What one USD is worth in another currency on a day."""

    currency = forms.CharField(
        label=_("Currency"),
        max_length=3,
        help_text=_("Currency code, such as EUR."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
    )
    day = forms.DateField(label=_("Day"), widget=DateInput())
    rate = forms.CharField(
        label=_("One USD is worth"),
        max_length=24,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "decimal"}),
    )
    source = forms.CharField(
        label=_("Source"),
        max_length=120,
        required=False,
        help_text=_("Where the rate is published, such as ECB."),
    )
