"""The form of a new budget."""

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.urls import reverse
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy

from accounts.access.actors import Actor, slug_of
from billing.forms import MoneyField
from billing.limits.budget_rules import Period, anchors_of, default_anchor
from billing.models import BudgetScope
from gateway.limits.budget_subjects import describe_subject
from gateway.public_models.model_choices import offered_names
from lib.forms.picker import PickText
from lib.forms.places import ZoneField
from usage.limits.budget_forms import SCOPE_NAMES, TermsForm, period_field


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
        help_text=gettext_lazy(
            "A team or key by its name, a person by email address, a model by its name or a "
            "pattern such as gpt-5*, or a label."
        ),
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
    def anchors(self) -> list[tuple[str, forms.BoundField]]:
        """When each period resets, by the period."""
        return [(period, self[f"anchor_{period}"]) for period in ("hour", "day", "week", "month")]
