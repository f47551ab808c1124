"""The page of safeguards, for operators."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.models import Organisation
from billing.access import all_organisations
from billing.approvals.approvals import all_waiting, waiting
from billing.currency.forms import MoneyField
from billing.models import Approval, Safeguard, SafeguardName
from billing.safeguards import safeguards
from billing.safeguards.rules import DAYS_MAX
from billing.safeguards.words import SAFEGUARDS, show_safeguard, value_text
from lib.forms.fields import lock_fields
from lib.htmx import see_other
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused

_CREDIT_LIMIT = SafeguardName.CREDIT_LIMIT
_recent_sign_in_required = recent_sign_in_required(
    gettext_lazy("change safeguards"), gettext_lazy("System"), gettext_lazy("Safeguards")
)


class CreditLimitForm(forms.Form):
    """The amount that one operator may credit alone."""

    organisation = forms.ModelChoiceField(
        queryset=Organisation.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("Organisation"),
        empty_label=gettext_lazy("All organisations"),
    )
    value = MoneyField(label=gettext_lazy("Credit limit (USD)"))

    def __init__(self, data: Any, actor: Actor) -> None:
        super().__init__(data)
        self.fields["organisation"].queryset = all_organisations(actor)  # type: ignore[attr-defined]


class AuditRetentionForm(forms.Form):
    """How long audit events are kept."""

    value = WholeNumberField(
        label=gettext_lazy("Keep audit events for (days)"),
        help_text=gettext_lazy("0 keeps them forever."),
        min_value=0,
        max_value=DAYS_MAX,
    )

    def __init__(self, data: Any) -> None:
        days = safeguards.audit_retention_days()
        super().__init__(data, initial={"value": days}, auto_id="audit_%s")
        if safeguards.set_by_environment(SafeguardName.AUDIT_RETENTION):
            lock_fields(self, {"value": safeguards.VARIABLES[SafeguardName.AUDIT_RETENTION]})


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
@_recent_sign_in_required
def safeguard_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    name = request.POST.get("name")
    limit = CreditLimitForm(request.POST if name == _CREDIT_LIMIT else None, actor)
    audit = AuditRetentionForm(request.POST if name == SafeguardName.AUDIT_RETENTION else None)
    form = limit if name == _CREDIT_LIMIT else audit
    if form.is_bound and form.is_valid() and name and _save(request, actor, name, form):
        return see_other("safeguards")
    asked = all_waiting(safeguards.SAFEGUARD)
    context = {
        "credit_form": limit,
        "audit_form": audit,
        "rows": [_row(row, asked.get(str(row.pk))) for row in safeguards.all_safeguards(actor)],
        "limit_nano": safeguards.credit_limit_nano(),
        "days": safeguards.audit_retention_days(),
        "limit_locked": safeguards.set_by_environment(_CREDIT_LIMIT),
    }
    status = 422 if form.errors else 200
    return render(request, "billing/safeguards/safeguards.html", context, status=status)


def _save(request: HttpRequest, actor: Actor, name: str, form: forms.Form) -> bool:
    data = form.cleaned_data
    try:
        row = safeguards.set_safeguard(actor, name, data["value"], data.get("organisation"))
    except Refused as refused:
        refused.add_to(form)
        return False
    waits = waiting(safeguards.SAFEGUARD, str(row.pk)) is not None
    text = gettext("Another operator has to approve it.") if waits else gettext("Settings saved.")
    messages.success(request, text)
    return True


def _row(row: Safeguard, waits: Approval | None) -> dict[str, Any]:
    return {
        "name": SAFEGUARDS[row.name],
        "organisation": row.organisation,
        "value": "–" if row.value is None else value_text(row.name, row.value),
        "approval": waits,
        "proposed": show_safeguard(waits.changes[0]).after if waits else "",
    }
