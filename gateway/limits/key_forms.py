"""Forms of keys with their models and budgets."""

from typing import Any, Final, cast

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy

from accounts.access.actors import Actor, slug_of
from accounts.forms import KeyForm, KeyPlaceForm
from accounts.keys.keys import LIMITS
from accounts.models import Key
from accounts.organisations.labels import join_labels
from billing.currency.money import format_usd
from billing.forms import MoneyField
from billing.models import Budget
from gateway.public_models.model_choices import offered_names
from gateway.public_models.model_fields import ModelsField
from lib.forms.picker import split_words
from usage.limits.budget_forms import period_field

_AS_STORED: Final = (
    "rpm", "tpm", "parallel", "endpoints", "required_labels", "log_content", "zero_retention",
)  # fmt: skip


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
            "Spent and reserved together never exceed this. Leave empty for no budget."
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
            **{name: " ".join(getattr(key, name)) for name in ("networks", "data_regions")},
            "tags": join_labels(key.tags),
        }
        if budget is not None:
            initial |= {"budget": format_usd(budget.amount_nano), "period": budget.period}
        form = cls(data, initial=initial, may_budget=may_budget)
        form.offer_models(actor)
        return form
