"""The holds on an organisation's money, by request (W40)."""

import datetime as dt
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.access.guards import organisation_page
from accounts.models import Organisation
from accounts.preferences.table_preferences import read_table
from billing.access import access_wallet
from lib.ids import id_text, parse_id
from lib.tables.pages import answer_table
from lib.tables.sources import StatementSource
from lib.tables.table import Badge, Column, Filter, State, Table, status_filter
from usage.requests import words

_BADGES: Final = {
    "running": Badge(_("Running"), "info", "circle-dashed"),
    "late": Badge(_("Overdue"), "warn", "clock"),
    "kept": Badge(_("Under review"), "info", "search"),
}


@dataclass(frozen=True)
class _Held:
    """One hold. `state` is `late` if it has expired unresolved, and `kept` if an operator must
    review the request's usage. `id` is the attempt's id."""

    id: UUID
    request_id: UUID
    model: str
    key: str
    amount_nano: int
    opened_at: dt.datetime
    state: str
    slug: str

    @property
    def request(self) -> str:
        return id_text(self.request_id)

    @property
    def href(self) -> str:
        return reverse("request", args=[self.slug, self.request])

    @property
    def badge(self) -> Badge:
        return _BADGES[self.state]


HOLDS = Table(
    "holds",
    _("Reserved now"),
    (
        Column("since", _("Since"), "ago", value="opened_at", sort=True, card="last"),
        Column("state", _("Status"), "badge", value="badge", sort="state", card="first"),
        Column("model", _("Model"), sort=True, card="title"),
        Column(
            "key", _("Key"), value=lambda held: words.key_name(held.key), sort="key", card="second"
        ),
        Column("held", _("Reserved"), "money", value="amount_nano", sort=True, card="money"),
        Column("request", _("Request"), "code", priority=3),
    ),
    default_sort="since",
    href="href",
    filters=(
        Filter("q", _("Request, model or key"), "search"),
        status_filter(_BADGES),
    ),
)


@organisation_page("balance.read")
@require_safe
def hold_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "balance.read")
    state = read_table(HOLDS, request, actor)
    templates = ("usage/requests/holds.html", "usage/requests/_holds.html")
    return answer_table(request, state, _hold_source(organisation, state), templates, {})


def _hold_source(organisation: Organisation, state: State) -> StatementSource[_Held]:
    """Return the current holds that match the filters."""
    text = state.value("q")
    parameters = {
        "organisation": organisation.id,
        "slug": organisation.slug,
        "state": state.value("state"),
        "text": text,
        "request": parse_id(text),
    }
    return StatementSource(_OPEN, parameters, _Held)


_OPEN: Final = """
    SELECT * FROM (
        SELECT hold.id, r.request_id, r.model, coalesce(key.name, '') AS key, hold.amount_nano,
               hold.opened_at,
               CASE WHEN hold.state = 'kept' THEN 'kept'
                    WHEN hold.expires_at < now() THEN 'late' ELSE 'running' END AS state,
               %(slug)s::text AS slug
        FROM billing_hold hold
        JOIN usage_attempt r ON r.organisation_id = hold.organisation_id AND r.id = hold.id
        LEFT JOIN accounts_key key ON key.id = r.key_id
        WHERE hold.organisation_id = %(organisation)s
        -- Each by its own index, in which only the few are that are not resolved.
        AND (hold.state = 'open' OR hold.state = 'kept')
    ) held
    WHERE %(state)s IN ('', state)
    AND (request_id = %(request)s OR strpos(lower(model || ' ' || key), lower(%(text)s)) > 0)"""
