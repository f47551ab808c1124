"""Forms of budgets, and of keys with their budgets."""

import datetime as dt
from typing import Any, Final, cast
from zoneinfo import available_timezones

from django import forms
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor, slug_of
from accounts.forms import CountsForm, KeyForm, KeyPlaceForm
from accounts.keys.keys import LIMITS
from accounts.models import Key
from accounts.organisations.labels import join_labels
from billing.currency.money import format_usd
from billing.forms import MoneyField
from billing.limits.budget_rules import ALERT_PERCENTS, INCREASE_REASON_MAX, PERIODS, default_anchor
from billing.limits.budgets import TERMS
from billing.models import Budget, BudgetAction, BudgetScope
from gateway.public_models.model_choices import offered_names
from gateway.public_models.model_fields import ModelsField
from lib import clock
from lib.numbers.date_input import DateInput
from lib.numbers.whole_numbers import WholeNumberField
from lib.picker import split_words
from usage.reports.time_zones import ZONES

_AS_STORED: Final = (
    "rpm", "tpm", "parallel", "endpoints", "required_labels", "log_content", "zero_retention",
)  # fmt: skip

PERIOD_NAMES = {
    "hour": gettext_lazy("Hour"),
    "day": gettext_lazy("Day"),
    "week": gettext_lazy("Week"),
    "month": gettext_lazy("Month"),
    "total": gettext_lazy("Total (never resets)"),
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
}


ACTION_NAMES: dict[str, Any] = {
    BudgetAction.BLOCK: gettext_lazy("Reject"),
    BudgetAction.WARN: gettext_lazy("Alert only"),
    BudgetAction.SLOW: gettext_lazy("One request at a time"),
}


class PercentsField(forms.CharField):
    """Whole percentages as people list them; a sorted list inside."""

    def __init__(self, **over: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})
        super().__init__(**{"max_length": 60, "required": False, "widget": widget, **over})

    def clean(self, value: Any) -> list[int]:
        words = super().clean(value).replace("%", " ").replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() for word in words):
            raise forms.ValidationError(gettext("Enter whole percentages such as 50, 80, 100."))
        return sorted({int(word) for word in words})


class ZoneField(forms.ChoiceField):
    """A time zone: some are offered, any is taken, for a browser adds the one of its reader."""

    def __init__(self, **over: Any) -> None:
        choices = [(zone, zone.replace("_", " ")) for zone in ZONES]
        super().__init__(**{"choices": choices, "initial": "UTC", **over})

    def valid_value(self, value: Any) -> bool:
        return value in available_timezones()


def _period(**over: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=gettext_lazy("Period"),
        choices=[(period, PERIOD_NAMES[period]) for period in PERIODS],
        initial="month",
        **over,
    )


class _Budgeted(forms.Form):
    """A key's form with its models, and with a budget for who may set one."""

    models = ModelsField(
        label=gettext_lazy("Models"),
        required=False,
        help_text=gettext_lazy(
            "Names, or patterns such as gpt-*. Leave empty to allow all models."
        ),
    )
    budget = MoneyField(
        label=gettext_lazy("Budget (USD)"),
        required=False,
        help_text=gettext_lazy(
            "Spent and reserved together never exceed this. Leave empty for no budget."
        ),
    )
    period = _period(required=False)

    def __init__(self, *args: Any, may_budget: bool, **over: Any) -> None:
        super().__init__(*args, **over)
        self.may_budget = may_budget
        if not may_budget:
            del self.fields["budget"], self.fields["period"]

    def clean_period(self) -> str:
        return self.cleaned_data["period"] or "month"

    def offer_models(self, actor: Actor) -> None:
        """Offer the models that the actor sees. A key keeps the name of a model that is gone."""
        models = cast(ModelsField, self.fields["models"])
        models.offer(offered_names(actor), reverse("model_choices", args=[slug_of(actor)]))
        models.kept = split_words(self.initial.get("models", ""))

    def focus_budget(self) -> None:
        """Begin with the budget."""
        for field in self.fields.values():
            field.widget.attrs.pop("autofocus", None)
        self.fields["budget"].widget.attrs["autofocus"] = True

    def limits(self) -> dict[str, Any]:
        """Return the limits of a key from the form."""
        return {name: self.cleaned_data[name] for name in LIMITS if name in self.cleaned_data}


class NewKeyForm(_Budgeted, KeyPlaceForm, KeyForm):
    """The form of a new key with its limits and budget."""

    def __init__(self, *args: Any, actor: Actor, **over: Any) -> None:
        super().__init__(*args, actor=actor, **over)
        self.offer_models(actor)


class KeyEditForm(_Budgeted, KeyForm):
    """What a key may do and spend from now on."""

    kind = lifetime = None  # type: ignore[assignment]
    disabled = forms.BooleanField(
        label=gettext_lazy("Disabled"),
        required=False,
        help_text=gettext_lazy("Requests with this key are rejected until it is enabled again."),
    )

    @classmethod
    def of(
        cls, actor: Actor, key: Key, budget: Budget | None, data: Any, *, may_budget: bool
    ) -> "KeyEditForm":
        """The form of a key as it is now."""
        initial: dict[str, Any] = {
            "name": key.name,
            "models": ", ".join(key.model_patterns),
            "disabled": key.disabled,
            **{name: getattr(key, name) for name in _AS_STORED},
            **{name: " ".join(getattr(key, name)) for name in ("networks", "data_regions")},
            "tags": join_labels(key.tags),
        }
        if budget is not None:
            initial |= {"budget": format_usd(budget.amount_nano), "period": budget.period}
        form = cls(data, initial=initial, may_budget=may_budget)
        form.offer_models(actor)
        return form


class BulkExpiryForm(forms.Form):
    """When several keys expire."""

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


class BulkLimitsForm(CountsForm):
    """The limits of several keys. Empty fields leave each key's value as it is."""

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
        """The limits to set; None = none."""
        data = self.cleaned_data
        limits = {name: data[name] for name in ("rpm", "tpm", "parallel") if data.get(name)}
        return {**limits, **dict.fromkeys(data.get("unlimited", ()))}


class BulkBudgetForm(forms.Form):
    """The budget of each of several keys."""

    budget = MoneyField(
        label=gettext_lazy("Budget of each key (USD)"),
        required=False,
        help_text=gettext_lazy("Leave empty to remove the budgets."),
    )
    period = _period()


class _Terms(forms.Form):
    """What happens at the limit of a budget, and on the way there."""

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
        """Return the terms of a budget from the form. A list or choice that was not sent stays as
        it is."""
        sent: dict[str, Any] = {
            name: self.cleaned_data[name] for name in TERMS if name in self.cleaned_data
        }
        if not sent["action"]:
            del sent["action"]
        if "alert_percents" not in self.data:
            del sent["alert_percents"]
        return sent


class BudgetForm(_Terms):
    """The form of a new budget."""

    scope = forms.ChoiceField(
        label=gettext_lazy("Applies to"),
        choices=list(SCOPE_NAMES.items()),
        widget=forms.Select(attrs={"autofocus": True}),
    )
    subject = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=200,
        help_text=gettext_lazy(
            "The team or key name, the person's email address, the model name or pattern, or "
            "the label. Leave empty for the organisation."
        ),
        widget=forms.TextInput(attrs={"spellcheck": "false", "list": "budget-subjects"}),
    )
    amount = MoneyField(label=gettext_lazy("Amount (USD)"))
    period = _period()
    anchor = WholeNumberField(
        label=gettext_lazy("Period starts at"),
        required=False,
        min_value=0,
        max_value=59,
        help_text=gettext_lazy(
            "Minute of the hour, hour of the day, weekday (0 = Monday) or day of the month. "
            "Leave empty to start on the hour, at midnight, on Monday or on the 1st."
        ),
    )
    timezone = ZoneField(label=gettext_lazy("Time zone"))

    def __init__(self, *args: Any, **over: Any) -> None:
        super().__init__(*args, **over)
        if self.initial.get("scope"):
            del self.fields["scope"].widget.attrs["autofocus"]
            self.fields["amount"].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("anchor") is None and "period" in data:
            data["anchor"] = default_anchor(data["period"])
        return data


class BudgetChangeForm(_Terms):
    """What of a budget can change."""

    amount = MoneyField(label=gettext_lazy("Amount (USD)"))
    enabled = forms.BooleanField(
        label=gettext_lazy("Enabled"),
        required=False,
        help_text=gettext_lazy("A disabled budget rejects nothing."),
    )

    @classmethod
    def of(cls, budget: Budget, data: Any) -> "BudgetChangeForm":
        """The form of a budget as it is now."""
        initial = {
            "amount": format_usd(budget.amount_nano),
            "alert_percents": ", ".join(map(str, sorted(budget.alert_percents))),
            **{name: getattr(budget, name) for name in TERMS if name != "alert_percents"},
        }
        return cls(data, initial=initial)


class RaiseForm(forms.Form):
    """How much more of a budget somebody wants, until when and what for."""

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
        # Which one is never guessed: the first in a list is seldom the one that refused.
        field.choices = [("", gettext("Choose a budget")), *budgets.items()]
