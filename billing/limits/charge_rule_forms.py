"""The form of the charge for abandoned and failed requests."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from billing.currency.forms import MoneyField
from billing.limits.charge_rule import DRAIN_SECONDS, DRAIN_SECONDS_MAX, ChargeRule, stored_rule
from billing.limits.words import CHARGE_RULES
from lib.numbers.whole_numbers import WholeNumberField


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
