"""The page that previews a change of several keys."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.models import Key
from billing.limits import budgets
from lib.htmx import back_to, see_other
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from usage.keys.bulk import (
    KEYS_MAX,
    Change,
    Planned,
    apply_planned,
    budget_change,
    digest_of,
    expiry_change,
    limits_change,
    plan_change,
    revocation,
    state_change,
)
from usage.keys.last_use import use_of_keys
from usage.limits.budget_forms import BulkBudgetForm, BulkExpiryForm, BulkLimitsForm

_FORMS: Final[dict[str, type[forms.Form]]] = {
    "expiry": BulkExpiryForm,
    "limits": BulkLimitsForm,
    "budget": BulkBudgetForm,
}
_TITLES: Final = {
    "disable": _("Disable keys"),
    "enable": _("Enable keys"),
    "expiry": _("Set expiry of keys"),
    "limits": _("Set limits of keys"),
    "budget": _("Set budgets of keys"),
    "revoke": _("Revoke keys"),
}


@organisation_page("keys.write_own")
@require_POST
def key_bulk(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show what a change would do to the ticked keys. When confirmed, apply exactly that change to
    all of them, or to none if one is refused."""
    act = request.POST.get("act", "")
    act = act if act in _TITLES else "disable"
    if act == "budget":
        access.require(actor, "budgets.write")
    chosen = _chosen_keys(actor, request.POST)
    form = _form(act, request.POST)
    change = _change(actor, act, form, chosen)
    planned = plan_change(actor, chosen, change) if change else []
    step, error = request.POST.get("step", ""), ""
    if step == "apply" and change is not None:
        error = _refusal(request.POST, act, planned)
        if not error:
            try:
                return _finish(request, actor, apply_planned(planned, change))
            except Refused as refused:
                error = refused.message
    context = _context(actor, act, form, chosen, planned)
    context |= {"error": error, "next": back_to(request, reverse("keys", args=[slug_of(actor)]))}
    wrong = form is not None and form.is_bound and not form.is_valid()
    return render(
        request, "usage/keys/key_bulk.html", context, status=422 if error or wrong else 200
    )


def _chosen_keys(actor: Actor, data: QueryDict) -> list[Key]:
    """Return the ticked keys, in the order of the list. Raises Http404 for a key that the actor may
    not see."""
    texts = set(data.getlist("id")[:KEYS_MAX])
    ids = [id for id in map(parse_id, texts) if id is not None]
    keys = list(access.visible_keys(actor).filter(id__in=ids))
    if len(keys) != len(texts) or not keys:
        raise Http404
    return keys


def _form(act: str, data: QueryDict) -> forms.Form | None:
    form_class = _FORMS.get(act)
    if form_class is None:
        return None
    return form_class(data) if data.get("step") else form_class()


def _change(
    actor: Actor, act: str, form: forms.Form | None, chosen: Sequence[Key]
) -> Change | None:
    """Return the chosen change, or None while its form is incomplete."""
    if act in ("disable", "enable"):
        return state_change(actor, disabled=act == "disable")
    if act == "revoke":
        return revocation(actor)
    if form is None or not form.is_valid():
        return None
    data = form.cleaned_data
    if isinstance(form, BulkLimitsForm):
        return limits_change(actor, form.limits())
    if act == "expiry":
        return expiry_change(actor, data["on"])
    own = budgets.own_budgets_of_keys(actor, chosen)
    return budget_change(actor, own, data["budget"], data["period"])


def _refusal(data: QueryDict, act: str, planned: Sequence[Planned]) -> str:
    """Return why the confirmed change is refused, or ""."""
    if data.get("plan") != digest_of(planned):
        return gettext("Something changed since the preview. Check the changes again.")
    changing = sum(row.changes for row in planned)
    if act == "revoke" and data.get("confirm", "").strip() != str(changing):
        return gettext("The number does not match. Nothing was revoked.")
    return ""


def _finish(request: HttpRequest, actor: Actor, n: int) -> HttpResponseBase:
    text = ngettext("%(n)s key changed.", "%(n)s keys changed.", n) % {"n": n}
    messages.success(request, text)
    return see_other(back_to(request, reverse("keys", args=[slug_of(actor)])))


def _context(
    actor: Actor,
    act: str,
    form: forms.Form | None,
    chosen: Sequence[Key],
    planned: Sequence[Planned],
) -> dict[str, Any]:
    uses = use_of_keys(actor, chosen)
    changing = sum(row.changes for row in planned)
    return {
        "act": act,
        "title": _TITLES[act],
        "form": form,
        "ids": [id_text(key.id) for key in chosen],
        "keys": [(key, uses[key.id]) for key in chosen],
        "rows": [(row, uses[row.key.id]) for row in planned],
        "changing": changing,
        "left": len(planned) - changing,
        "plan": digest_of(planned),
        "verb": _verb(act, changing),
    }


def _verb(act: str, n: int) -> str:
    if act == "revoke":
        return ngettext("Revoke %(n)s key", "Revoke %(n)s keys", n) % {"n": n}
    return ngettext("Apply to %(n)s key", "Apply to %(n)s keys", n) % {"n": n}
