"""The review on its request's page, and the form that ends it."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from billing.currency.forms import MoneyField, OnceForm
from billing.currency.money import format_usd
from usage.models import SettleAs
from usage.reviews import reviews


class ReviewForm(OnceForm):
    """The charge for the request, and the reason."""

    settle_as = forms.ChoiceField(
        label=gettext_lazy("Settle as"),
        choices=SettleAs.choices,
        initial=SettleAs.AMOUNT,
    )
    amount = MoneyField(
        label=gettext_lazy("Amount (USD)"),
        required=False,
        help_text=gettext_lazy("No more than was reserved."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class KindForm(forms.Form):
    """All requests of a kind, and the decision on them."""

    provider = forms.CharField(max_length=60)
    unknown = forms.JSONField()
    settle_as = forms.ChoiceField(choices=SettleAs.choices)
    wire = forms.CharField(max_length=12, required=False)
    accept = forms.BooleanField(required=False)
    reason = forms.CharField(max_length=500, required=False)

    def clean_unknown(self) -> list[str]:
        unknown = self.cleaned_data["unknown"]
        if not isinstance(unknown, list) or not all(isinstance(one, str) for one in unknown):
            raise forms.ValidationError("unknown")
        return unknown


def review_context(
    actor: Actor, request_id: UUID, form: ReviewForm | None = None
) -> dict[str, Any]:
    """Return the context of a request that is or was under review, with the form for readers who
    may decide."""
    under_review, decided = reviews.review_of(request_id)
    if under_review is None:
        return {}
    may_decide = decided is None and scope_of(actor, "credits.write") is not None
    if may_decide and form is None:
        form = ReviewForm(initial={"amount": format_usd(under_review.charge_nano)})
    return {"review": under_review, "decided": decided, "review_form": form if may_decide else None}
