"""The form that orders a top-up."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from billing.currency.forms import MoneyField, OnceForm
from billing.currency.money import parse_usd


class TopUpForm(OnceForm):
    """The amount of a top-up and the way of payment."""

    amount = forms.ChoiceField(
        label=gettext_lazy("Amount"),
        choices=[(usd, usd) for usd in ("10", "25", "50", "100", "250", "other")],
        initial="50",
    )
    other = MoneyField(label=gettext_lazy("Other amount (USD)"), required=False)
    processor = forms.ChoiceField(label=gettext_lazy("Payment method"))
    keep_card = forms.BooleanField(
        label=gettext_lazy("Save this card for automatic top-ups"),
        help_text=gettext_lazy(
            "The card is stored by the payment provider. It is not charged until you turn on "
            "automatic top-ups."
        ),
        required=False,
    )

    def __init__(self, processors: Iterable[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {"stripe": gettext_lazy("Card"), "manual": gettext_lazy("Bank transfer")}
        choices = [(name, names[name]) for name in processors]
        self.fields["processor"].choices = choices  # type: ignore[attr-defined]
        self.fields["processor"].initial = choices[0][0]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("amount") == "other" and cleaned.get("other", 0) is None:
            self.add_error("other", gettext("Enter an amount such as 12.50."))
        if cleaned.get("processor") == "manual":
            cleaned["keep_card"] = False
        return cleaned

    @property
    def amount_nano(self) -> int:
        """Return the chosen or entered amount."""
        chosen = self.cleaned_data["amount"]
        nano: int = self.cleaned_data["other"] if chosen == "other" else parse_usd(chosen)
        return nano
