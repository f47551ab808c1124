"""Pages that create or change a key (W50): its models, limits and budget."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from accounts.keys import keys
from accounts.models import Key, KeyKind
from billing.limits import budgets
from billing.models import Budget
from gateway.limits.key_forms import KeyEditForm, NewKeyForm
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from usage.keys.bulk import set_key_budget
from usage.keys.views import show_secret_once


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_create(request: HttpRequest, actor: Actor) -> HttpResponse:
    may_budget = access.scope_of(actor, "budgets.write") is not None
    initial = {"team": request.GET.get("team")}
    form = NewKeyForm(request.POST or None, initial=initial, may_budget=may_budget, actor=actor)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        team, account, project = form.place()
        try:
            with transaction.atomic():
                key, text = keys.mint_key(
                    actor,
                    team or access.access_team(actor),
                    data["name"],
                    kind=KeyKind(data["kind"]),
                    user=None if account else form.person() or actor.user,
                    service_account=account,
                    project=project,
                    model_patterns=data["models"],
                    expires_at=data["lifetime"],
                    **form.limits(),
                )
                _set_budget(actor, key, None, form)
        except Refused as refused:
            refused.add_to(form)
        else:
            return show_secret_once(request, key, text)
    context = {"form": form, "team": access.access_team(actor)}
    return render_dialog(request, "accounts/keys/key_new.html", context, refused=form.is_bound)


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.writable_key(actor, id)
    budget = budgets.budgets_of_keys(actor, [key]).get(str(key.id))
    may_budget = access.reaches_team(actor, "budgets.write", key.team_id)
    form = KeyEditForm.of(actor, key, budget, request.POST or None, may_budget=may_budget)
    if may_budget and request.GET.get("focus") == "budget":
        form.focus_budget()
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            with transaction.atomic():
                keys.change_key(
                    actor,
                    key,
                    name=data["name"],
                    model_patterns=data["models"],
                    disabled=data["disabled"],
                    **form.limits(),
                )
                _set_budget(actor, key, budget, form)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Key %(name)s saved.") % {"name": data["name"]})
            return redirect_to(request, "keys", slug_of(actor))
    return render_dialog(
        request,
        "accounts/keys/key_edit.html",
        {"form": form, "key": key, "id": id_text(key.id), "team": key.team},
        refused=form.is_bound,
    )


def _set_budget(
    actor: Actor, key: Key, budget: Budget | None, form: NewKeyForm | KeyEditForm
) -> None:
    """Set the key's budget from the form. The form of a person who may not set one has no
    budget."""
    if form.may_budget:
        data = form.cleaned_data
        set_key_budget(actor, key, budget, data["budget"], data["period"])
