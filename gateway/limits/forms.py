"""The form of a new budget, and those of keys with their models and budgets."""

from collections.abc import Callable
from typing import Any, Final, cast

from django import forms
from django.urls import reverse
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.keys.forms import KeyForm, KeyPlaceForm
from accounts.keys.keys import END_USERS, LIMITS
from accounts.models import Key
from accounts.names.labels import join_labels
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.limits.budget_rules import Period, anchors_of, default_anchor
from billing.models import Budget, BudgetScope
from gateway.limits.budget_subjects import describe_subject
from gateway.listed_models.model_choices import offered_names
from gateway.listed_models.model_fields import ModelsField
from lib.forms.country_and_zone_fields import ZoneField
from lib.forms.picker import PickText, split_words
from usage.limits.budget_forms import SCOPE_NAMES, TermsForm, period_field

SUBJECT_HINTS: Final[dict[str, Any]] = {
    BudgetScope.TEAM: gettext_lazy("Choose a team."),
    BudgetScope.USER: gettext_lazy("Choose a person."),
    BudgetScope.KEY: gettext_lazy("Choose an API key."),
    BudgetScope.MODEL: gettext_lazy("A model, or a pattern such as gpt-5*."),
    BudgetScope.PROJECT: gettext_lazy("A project, or the label that requests name."),
    BudgetScope.TAG: gettext_lazy("A tag of requests or of keys."),
    BudgetScope.CUSTOMER: gettext_lazy("The end customer that requests name."),
}


def _anchor(period: Period, label: Any, name: Callable[[int], Any]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        required=False,
        choices=[(str(anchor), name(anchor)) for anchor in anchors_of(period)],
        initial=str(default_anchor(period)),
    )


class BudgetForm(TermsForm):
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
        widget=PickText(beside="scope"),
    )
    amount = MoneyField(label=gettext_lazy("Amount (USD)"))
    period = period_field()
    # Validate only those of the chosen period. The page shows no others.
    anchor_hour = _anchor("hour", gettext_lazy("Resets at minute"), "{:02}".format)
    anchor_day = _anchor("day", gettext_lazy("Resets at"), "{:02}:00".format)
    anchor_week = _anchor("week", gettext_lazy("Resets on"), WEEKDAYS.__getitem__)
    anchor_month = _anchor("month", gettext_lazy("Resets on day"), str)
    timezone = ZoneField(label=gettext_lazy("Time zone"))

    def __init__(self, *args: Any, actor: Actor, **over: Any) -> None:
        super().__init__(*args, **over)
        self._actor = actor
        picker = cast(PickText, self.fields["subject"].widget)
        picker.url = reverse("budget_subject_choices", args=[slug_of(actor)])
        scope = str(self["scope"].value())
        picker.describe = lambda values: describe_subject(actor, scope, values)
        if self.initial.get("scope"):
            del self.fields["scope"].widget.attrs["autofocus"]
            self.fields["amount"].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if "period" in data:
            chosen = data.get(f"anchor_{data['period']}")
            data["anchor"] = int(chosen) if chosen else default_anchor(data["period"])
        if data.get("scope") == BudgetScope.MODEL:
            message = offered_names(self._actor).refusal(data.get("subject", "").split()[:1])
            if message:
                self.add_error("subject", message)
        return data

    @property
    def subjects(self) -> list[tuple[str, Any, Any]]:
        """What the subject of each scope is called and how it is given. The page shows those of the
        chosen scope."""
        return [(scope, SCOPE_NAMES[scope], hint) for scope, hint in SUBJECT_HINTS.items()]

    @property
    def anchors(self) -> list[tuple[str, forms.BoundField]]:
        """When each period resets, by the period."""
        return [(period, self[f"anchor_{period}"]) for period in ("hour", "day", "week", "month")]


_AS_STORED: Final = (
    "rpm", "tpm", "parallel", "endpoints", "required_labels", "log_content", "zero_retention",
    "cache_seconds", "cache_price_percent", "end_user_header", "end_users_signed",
)  # fmt: skip


_WORDS: Final = ("networks", "data_regions", "end_user_networks")


class _Budgeted(forms.Form):
    """The form of a key with its models, and with a budget for people who may set one."""

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
            "Hard limit, including requests in progress. Leave empty for no budget."
        ),
    )
    period = period_field(required=False)

    def __init__(self, *args: Any, may_budget: bool, **over: Any) -> None:
        super().__init__(*args, **over)
        self.may_budget = may_budget
        if not may_budget:
            del self.fields["budget"], self.fields["period"]

    def clean_period(self) -> str:
        return self.cleaned_data["period"] or "month"

    def offer_models(self, actor: Actor) -> None:
        """Offer the models that the actor may see. A key keeps the names of models that no longer
        exist."""
        models = cast(ModelsField, self.fields["models"])
        models.offer(offered_names(actor), reverse("model_choices", args=[slug_of(actor)]))
        models.kept = split_words(self.initial.get("models", ""))

    def withhold_end_users(self) -> None:
        """Leave out how end users are named, for people who may not decide that."""
        for name in END_USERS:
            del self.fields[name]

    def focus_budget(self) -> None:
        """Move the focus to the budget."""
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
        if access.scope_of(actor, "keys.write") is None:
            self.withhold_end_users()


class KeyEditForm(_Budgeted, KeyForm):
    """Changes what a key may do and spend."""

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
        """Return the form with a key's current values."""
        initial: dict[str, Any] = {
            "name": key.name,
            "models": ", ".join(key.model_patterns),
            "disabled": key.disabled,
            **{name: getattr(key, name) for name in _AS_STORED},
            **{name: " ".join(getattr(key, name)) for name in _WORDS},
            "tags": join_labels(key.tags),
        }
        if budget is not None:
            initial |= {"budget": format_usd(budget.amount_nano), "period": budget.period}
        form = cls(data, initial=initial, may_budget=may_budget)
        form.offer_models(actor)
        if not access.reaches_team(actor, "keys.write", key.team_id):
            form.withhold_end_users()
        return form
