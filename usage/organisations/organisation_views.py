"""The list of organisations, for operators (W75)."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.guards import operator_page
from accounts.models import Organisation
from accounts.preferences.table_preferences import read_table
from accounts.single_sign_on.single_sign_on import (
    organisations_with_confirmed_domains,
    organisations_with_unconfirmed_domains,
)
from billing.models import OrganisationPlan
from billing.wallets.wallets import balance
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table
from usage.organisations.recent_use import month_spending_of

_STATES = {
    "active": Badge(_("Active"), "ok"),
    "suspended": Badge(_("Suspended"), "bad", "pause"),
    "archived": Badge(_("Archived"), icon="archive"),
}
_IN_STATE = {
    "active": Q(archived_at=None, suspended_at=None),
    "suspended": Q(archived_at=None, suspended_at__isnull=False),
    "archived": Q(archived_at__isnull=False),
    "all": Q(),
}
ORGANISATIONS = Table(
    "organisations",
    _("Organisations"),
    (
        Column("name", _("Name"), card="title"),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("plan", _("Price plan"), priority=3),
        Column("members", _("Members"), "number", priority=2, card="second"),
        Column("balance", _("Balance"), "total", card="money"),
        Column("spent", _("Spend this month"), "total", priority=2),
        Column("created", _("Created"), "ago", value="created_at", sort="id", card="last"),
    ),
    default_sort="-created",
    filters=(
        Filter("q", _("Name"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(
                *((name, badge.text) for name, badge in _STATES.items()),
                ("all", _("All")),
            ),
            default="all",
        ),
    ),
    href="href",
    big=True,
)


@operator_page("organisations.read")
@require_safe
def organisation_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(ORGANISATIONS, request, actor)
    rows = access.all_organisations(actor).filter(_IN_STATE[state.value("state") or "all"])
    if state.value("q"):
        text = state.value("q")
        rows = rows.filter(Q(name__icontains=text) | Q(slug__icontains=text))
    templates = (
        "usage/organisations/organisations.html",
        "usage/organisations/_organisations.html",
    )
    context = {
        "may_write": access.scope_of(actor, "organisations.write") is not None,
        "may_charge": access.scope_of(actor, "credits.write") is not None,
    }
    return answer_table(request, state, QuerySource(rows), templates, context, _organisation_rows)


def _organisation_rows(page: list[Organisation]) -> list[dict[str, Any]]:
    ids = [organisation.id for organisation in page]
    spent = month_spending_of(ids)
    plans = dict(
        OrganisationPlan.objects.filter(organisation__in=ids).values_list(
            "organisation", "plan__name"
        )
    )
    counted = Organisation.objects.filter(id__in=ids).annotate(n=Count("memberships"))
    members = dict(counted.values_list("id", "n"))
    unconfirmed = organisations_with_unconfirmed_domains(ids)
    confirmed = organisations_with_confirmed_domains(ids)
    return [
        {
            "id": organisation.id,
            "organisation": organisation,
            "href": reverse("home", args=[organisation.slug])
            if organisation.archived_at is None
            else "",
            "name": organisation.name,
            "badge": _STATES[state_of(organisation)],
            "state": state_of(organisation),
            "unconfirmed": organisation.id in unconfirmed,
            "confirmed": organisation.id in confirmed,
            "plan": plans.get(organisation.id, _("Standard")),
            "members": members.get(organisation.id, 0),
            "balance": balance(organisation).free_nano,
            "spent": spent.get(organisation.id, 0),
            "created_at": organisation.created_at,
        }
        for organisation in page
    ]


def state_of(organisation: Organisation) -> str:
    """Return `active`, `suspended` or `archived`."""
    if organisation.archived_at is not None:
        return "archived"
    return "active" if organisation.suspended_at is None else "suspended"
