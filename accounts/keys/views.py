"""Pages of keys that need no usage: the dialog that revokes a key, and service accounts (W50)."""

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import access
from accounts.access.access import ROLE_NAMES
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys import keys, service_accounts
from accounts.keys.forms import ServiceAccountEditForm, ServiceAccountForm
from accounts.models import ServiceAccount
from accounts.preferences.table_preferences import read_table
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, Table


@organisation_page("keys.read")
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.writable_key(actor, id)
    wrong = False
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() == key.name:
            keys.revoke_key(actor, key)
            messages.success(request, gettext("Key %(name)s was revoked.") % {"name": key.name})
            return redirect_to(request, "keys", key.organisation.slug)
        wrong = True
    return render_dialog(
        request,
        "accounts/keys/key_revoke.html",
        {"key": key, "id": id_text(key.id), "wrong": wrong},
        refused=wrong,
    )


_ACTIVE, _DISABLED = Badge(_("Active"), "ok"), Badge(_("Disabled"), icon="pause")
SERVICE_ACCOUNTS = Table(
    "service-accounts",
    _("Service accounts"),
    (
        Column("name", _("Name"), value="account.name", sort=True, card="title"),
        Column("state", _("Status"), "badge", value="badge", sort="badge.text", card="first"),
        Column("team", _("Team"), value="account.team.name", sort=True, card="second"),
        Column("role", _("Role"), sort=True, priority=2),
        Column("keys", _("Active keys"), "number", sort=True, card="last"),
        Column("created", _("Created"), "ago", value="account.created_at", sort=True, chosen=False),
    ),
    default_sort="name",
    key="account.id",
    filters=(Filter("q", _("Name or team"), "search"),),
)


@organisation_page("keys.write")
@require_safe
def service_account_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(SERVICE_ACCOUNTS, request, actor)
    text = state.value("q").casefold()
    living = access.works_now("keys__")
    rows = [
        _account_row(actor, account)
        for account in access.visible_service_accounts(actor).annotate(
            key_count=Count("keys", filter=living)
        )
        if text in f"{account.name} {account.team.name}".casefold()
    ]
    templates = ("accounts/keys/service_accounts.html", "accounts/keys/_service_accounts.html")
    return answer_table(request, state, ListSource(rows), templates, {})


def _account_row(actor: Actor, account: Any) -> dict[str, Any]:
    return {
        "account": account,
        "href": reverse("service_account_edit", args=[slug_of(actor), id_text(account.id)]),
        "badge": _DISABLED if account.disabled else _ACTIVE,
        "role": _role_name(account),
        "keys": account.key_count,
    }


def _role_name(account: ServiceAccount) -> str:
    if account.custom_role:
        return account.custom_role.name
    return str(ROLE_NAMES[account.role]).capitalize()


@organisation_page("keys.write")
@require_http_methods(["GET", "HEAD", "POST"])
def service_account_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    teams = access.keyed_teams(actor)
    form = ServiceAccountForm(
        request.POST or None,
        organisation=organisation_of(actor),
        teams=[(team.slug, team.name) for team in teams],
    )
    if request.method == "POST" and form.is_valid():
        role, custom_role = form.chosen_role()
        try:
            service_accounts.create_service_account(
                access.keyed_team(actor, form.cleaned_data["team"]),
                form.cleaned_data["name"],
                role,
                custom_role=custom_role,
                actor=actor,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Service account created."))
            return redirect_to(request, "service_accounts", slug_of(actor))
    verb = gettext("Create service account")
    return _dialog(request, actor, form, verb, verb)


@organisation_page("keys.write")
@require_http_methods(["GET", "HEAD", "POST"])
def service_account_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    account = access.writable_service_account(actor, id)
    chosen = account.role
    if account.custom_role is not None:
        chosen = id_text(account.custom_role.id)
    form = ServiceAccountEditForm(
        request.POST or None,
        organisation=organisation_of(actor),
        initial={"role": chosen, "disabled": account.disabled},
    )
    if request.method == "POST" and form.is_valid():
        role, custom_role = form.chosen_role()
        try:
            service_accounts.change_service_account(
                account,
                role=role,
                custom_role=custom_role,
                disabled=form.cleaned_data["disabled"],
                actor=actor,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Service account saved."))
            return redirect_to(request, "service_accounts", slug_of(actor))
    return _dialog(request, actor, form, account.name, gettext("Save"))


def _dialog(
    request: HttpRequest, actor: Actor, form: Any, title: str, verb: str
) -> HttpResponseBase:
    context = {
        "form": form,
        "title": title,
        "verb": verb,
        "back": reverse("service_accounts", args=[slug_of(actor)]),
        "back_text": gettext("Service accounts"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )
