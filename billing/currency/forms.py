"""The forms of billing. Amounts are typed as exact decimals and cleaned to nano."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext, gettext_lazy

from accounts.organisations.choices import pick_organisation
from billing.credits.codes import CODES_MAX
from billing.currency.money import (
    MoneyInvalid,
    MoneyTooLarge,
    parse_markup,
    parse_typed_usd,
    parse_usd,
)
from billing.currency.words import CHARGE_RULES, CREDIT_KINDS
from billing.limits.charge_rule import DRAIN_SECONDS, DRAIN_SECONDS_MAX, ChargeRule, stored_rule
from lib import clock
from lib.ids import id_text, new_id
from lib.numbers.whole_numbers import WholeNumberField

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


class OnceForm(forms.Form):
    """A form that moves money. Its hidden key makes sure that sending it twice moves the money
    once."""

    once = forms.CharField(
        max_length=40, required=False, widget=forms.HiddenInput, initial=lambda: id_text(new_id())
    )


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


class ChargeRuleForm(forms.Form):
    """The charge for abandoned and failed requests."""

    kind = forms.ChoiceField(
        label=gettext_lazy("After a client disconnects or a request fails"),
        choices=[("", gettext_lazy("Not set")), *CHARGE_RULES.items()],
        required=False,
        widget=forms.Select(attrs={"class": "input"}),
    )
    seconds = WholeNumberField(
        label=gettext_lazy("Keep reading for up to (seconds)"),
        min_value=1,
        max_value=DRAIN_SECONDS_MAX,
        required=False,
    )
    cost = MoneyField(
        label=gettext_lazy("Extra cost limit after a disconnect (USD)"),
        help_text=gettext_lazy("Leave empty for no limit."),
        required=False,
    )

    @staticmethod
    def initial_of(rule: ChargeRule | None) -> dict[str, Any]:
        """Return the initial values of the form's fields for a rule."""
        return {"seconds": DRAIN_SECONDS, **stored_rule(rule)}

    def rule_fields(self) -> dict[str, Any]:
        """Return the rule as it is stored, {} to inherit one. Only `drain` has limits."""
        sent = self.cleaned_data
        if not sent["kind"]:
            return {}
        if sent["kind"] != "drain":
            return stored_rule(ChargeRule(sent["kind"]))
        seconds = DRAIN_SECONDS if sent["seconds"] is None else sent["seconds"]
        return stored_rule(ChargeRule("drain", seconds, sent["cost"]))


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


class WalletForm(forms.Form):
    """The threshold of the low-balance alert, and the automatic top-up by the stored card."""

    low = MoneyField(
        label=gettext_lazy("Low-balance alert (USD)"),
        required=False,
        help_text=gettext_lazy(
            "Owners and billing members get an email when the available balance drops below "
            "this. Leave empty for no alert."
        ),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Top up automatically"), required=False)
    below = MoneyField(label=gettext_lazy("When the balance drops below (USD)"))
    amount = MoneyField(label=gettext_lazy("Add (USD)"))


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
