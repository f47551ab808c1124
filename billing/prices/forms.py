"""The form field of a markup on prices."""

from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext, gettext_lazy

from billing.currency.money import MoneyInvalid, parse_markup

_PLAIN = {"autocomplete": "off"}


class MarkupField(forms.CharField):
    """A markup on prices in percent. The cleaned value is a multiplier in parts per million, or
    None when empty. While a person types, the hint shows the effect on a price."""

    def __init__(self, **over: Any) -> None:
        super().__init__(**{"label": gettext_lazy("Markup (%)"), "max_length": 12, **over})

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        checked = {
            "hx-get": reverse_lazy("markup_checked"),
            "hx-trigger": "input delay:150ms",
            "hx-target": "next .hint",
            "hx-swap": "innerHTML",
            "hx-sync": "this:replace",
        }
        return {**super().widget_attrs(widget), **_PLAIN, **checked}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_markup(text)
        except MoneyInvalid as error:
            raise forms.ValidationError(markup_error()) from error


def markup_error() -> str:
    """Return the error message for an invalid markup."""
    return gettext("Enter a percentage from -100 to 99,900, such as 7 or -10.")
