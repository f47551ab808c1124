"""Forms of budgets, and of keys with their budgets."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy

from accounts.keys.limited_subjects import Subject
from accounts.limits.forms import CountsForm
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.limits.budget_increases import INCREASE_REASON_MAX
from billing.limits.budget_rules import ALERT_PERCENTS, PERIODS
from billing.limits.budgets import TERMS
from billing.models import Budget, BudgetAction, BudgetScope
from lib import clock
from lib.forms.date_and_file_fields import DateInput
from lib.forms.picker import PickSelect

PERIOD_NAMES = {
    "hour": gettext_lazy("Hour"),
    "day": gettext_lazy("Day"),
    "week": gettext_lazy("Week"),
    "month": gettext_lazy("Month"),
    "total": gettext_lazy("Total (never resets)"),
    "session": gettext_lazy("Each session"),
}
SCOPE_NAMES: dict[str, Any] = {
    BudgetScope.ORGANISATION: gettext_lazy("Organisation"),
    BudgetScope.TEAM: gettext_lazy("Team"),
    BudgetScope.USER: gettext_lazy("Person"),
    BudgetScope.KEY: gettext_lazy("API key"),
    BudgetScope.MODEL: gettext_lazy("Model"),
    BudgetScope.PROJECT: gettext_lazy("Project"),
    BudgetScope.TAG: gettext_lazy("Tag"),
    BudgetScope.CUSTOMER: gettext_lazy("End customer"),
    BudgetScope.END_USER: gettext_lazy("Each end user"),
}


ACTION_NAMES: dict[str, Any] = {
    BudgetAction.BLOCK: gettext_lazy("Reject"),
    BudgetAction.WARN: gettext_lazy("Alert only"),
    BudgetAction.SLOW: gettext_lazy("Slow down: one request at a time"),
}


class PercentsField(forms.CharField):
    """Whole percentages in a list as people type it. The value is a sorted list."""

    def __init__(self, **over: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})
        super().__init__(**{"max_length": 60, "required": False, "widget": widget, **over})

    def clean(self, value: Any) -> list[int]:
        words = super().clean(value).replace("%", " ").replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() for word in words):
            raise forms.ValidationError(gettext("Enter whole percentages such as 50, 80, 100."))
        return sorted({int(word) for word in words})


def period_field(**over: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=gettext_lazy("Period"),
        help_text=gettext_lazy("Each session: caps one agent task, including sub-agents."),
        choices=[(period, PERIOD_NAMES[period]) for period in PERIODS],
        initial="month",
        **over,
    )


class BulkExpiryForm(forms.Form):
    """The expiry of several keys."""

    on = forms.DateField(
        label=gettext_lazy("Expires on (end of day, UTC)"),
        required=False,
        help_text=gettext_lazy("Leave empty for keys that never expire."),
        widget=DateInput({"autofocus": True}),
    )

    def clean_on(self) -> dt.datetime | None:
        day: dt.date | None = self.cleaned_data["on"]
        if day is None:
            return None
        if day < clock.now().date():
            raise forms.ValidationError(gettext("This day has passed."))
        return dt.datetime.combine(day, dt.time(23, 59, 59), dt.UTC)


class LimitForm(CountsForm):
    """The form for the limits of an organisation, a team or a person that has none."""

    subject = forms.ChoiceField(
        label=gettext_lazy("Applies to"), widget=PickSelect({"autofocus": True})
    )
    field_order = ("subject",)

    def __init__(self, subjects: Mapping[str, Subject], *args: Any) -> None:
        super().__init__(*args)
        field = cast(forms.ChoiceField, self.fields["subject"])
        field.choices = [
            ("", gettext("Choose a team or a person")),
            *((value, subject.name) for value, subject in subjects.items()),
        ]
        notes = {value: str(SCOPE_NAMES[one.scope]) for value, one in subjects.items()}
        cast(PickSelect, field.widget).notes = lambda: notes

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.errors and not any(data[name] for name in ("rpm", "tpm", "parallel")):
            raise forms.ValidationError(gettext("Enter at least one limit."))
        return data


class BulkLimitsForm(CountsForm):
    """The form for the limits of several keys. Empty fields leave each key's value unchanged."""

    unlimited = forms.MultipleChoiceField(
        label=gettext_lazy("Remove limits"),
        required=False,
        choices=[
            ("rpm", gettext_lazy("Requests per minute")),
            ("tpm", gettext_lazy("Tokens per minute")),
            ("parallel", gettext_lazy("Concurrent requests")),
        ],
        widget=forms.CheckboxSelectMultiple,
    )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for name in data.get("unlimited", ()):
            if data.get(name) is not None:
                self.add_error(name, gettext("Enter a limit or remove it, not both."))
        if not self.errors and not self.limits():
            raise forms.ValidationError(gettext("Enter a limit, or choose one to remove."))
        return data

    def limits(self) -> dict[str, int | None]:
        """Return the limits to set; None means no limit."""
        data = self.cleaned_data
        limits = {name: data[name] for name in ("rpm", "tpm", "parallel") if data.get(name)}
        return {**limits, **dict.fromkeys(data.get("unlimited", ()))}


class BulkBudgetForm(forms.Form):
    """The budgets of several keys."""

    budget = MoneyField(
        label=gettext_lazy("Budget of each key (USD)"),
        required=False,
        help_text=gettext_lazy("Leave empty to remove the budgets."),
    )
    period = period_field()


class TermsForm(forms.Form):
    """What happens at the limit of a budget and before it."""

    action = forms.ChoiceField(
        label=gettext_lazy("When the limit is reached"),
        choices=list(ACTION_NAMES.items()),
        initial=BudgetAction.BLOCK,
    )
    alert_percents = PercentsField(
        label=gettext_lazy("Alert at (%)"),
        initial=", ".join(map(str, ALERT_PERCENTS)),
        help_text=gettext_lazy(
            "Sent to owners, admins, billing members and the person it "
            "applies to. Leave empty for no alerts."
        ),
    )
    alert_forecast = forms.BooleanField(
        label=gettext_lazy("Alert when on pace to exceed the limit"), required=False
    )

    def __init__(self, *args: Any, **over: Any) -> None:
        super().__init__(*args, **over)
        self.fields["action"].required = not self.is_bound or "action" in self.data

    def terms(self) -> dict[str, Any]:
        """Return the terms of a budget from the form. A list or choice that was not sent is left
        unchanged."""
        sent: dict[str, Any] = {
            name: self.cleaned_data[name] for name in TERMS if name in self.cleaned_data
        }
        if not sent["action"]:
            del sent["action"]
        if "alert_percents" not in self.data:
            del sent["alert_percents"]
        return sent


class BudgetChangeForm(TermsForm):
    """The changeable fields of a budget."""

    amount = MoneyField(label=gettext_lazy("Amount (USD)"))
    enabled = forms.BooleanField(
        label=gettext_lazy("Enabled"),
        required=False,
        help_text=gettext_lazy("A disabled budget rejects nothing."),
    )

    @classmethod
    def of(cls, budget: Budget, data: Any) -> "BudgetChangeForm":
        """Return the form with a budget's current values."""
        initial = {
            "amount": format_usd(budget.amount_nano),
            "alert_percents": ", ".join(map(str, sorted(budget.alert_percents))),
            **{name: getattr(budget, name) for name in TERMS if name != "alert_percents"},
        }
        return cls(data, initial=initial)


class RaiseForm(forms.Form):
    """How much more of a budget a person requests, until when and for what."""

    budget = forms.ChoiceField(label=gettext_lazy("Budget"))
    amount = MoneyField(label=gettext_lazy("Additional amount (USD)"))
    until = forms.DateField(
        label=gettext_lazy("Until (end of day)"),
        widget=DateInput(),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=INCREASE_REASON_MAX,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, data: Any, *, budgets: dict[str, str], chosen: str) -> None:
        super().__init__(data, initial={"budget": chosen})
        field = cast(forms.ChoiceField, self.fields["budget"])
        # Preselect none: the first budget in a list is rarely the one that refused.
        field.choices = [("", gettext("Choose a budget")), *budgets.items()]
