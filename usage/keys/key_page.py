"""The page of one key: its usage, its permissions, and its last requests."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from accounts.keys import lookup as key_lookup
from accounts.models import Key, KeyKind
from accounts.preferences.table_preferences import read_table
from billing.limits import budgets
from lib import clock
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, Source
from lib.tables.table import Table
from usage.keys.last_use import use_of_keys
from usage.keys.views import badge_of, owner_of
from usage.limits.budget_views import meter_of
from usage.limits.effective_limits import effective_settings
from usage.reports import filters
from usage.reports.recent import describe_last_days, last_days
from usage.reports.visibility import sees_requests
from usage.requests.columns import REQUESTS
from usage.requests.log import RequestRow, RequestSource
from usage.requests.log_views import cells_of

KEY_REQUESTS = Table(
    "key-requests",
    _("Requests"),
    tuple(
        REQUESTS.column(name)
        for name in (
            "time", "status", "model", "channel", "ttft", "total", "tokens_in", "cached",
            "tokens_out", "cost", "id",
        )
    ),
    default_sort="-time",
    big=True,
    href="href",
)  # fmt: skip


@organisation_page("keys.read")
@require_safe
def key_page(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.access_key(actor, id)
    scope = filters.scope_of_keys(filters.EVERYTHING, (key.id,))
    month = last_days(actor, scope)
    state = read_table(KEY_REQUESTS, request, actor, hidden=[] if actor.operator else ["channel"])
    listed = sees_requests(actor)
    source: Source[RequestRow] = ListSource(())
    if listed:
        source = RequestSource(actor, month.span, scope)

    log = reverse("requests", args=[slug_of(actor)])

    def make(rows: list[RequestRow]) -> list[dict[str, Any]]:
        return [cells_of(log, month, row) for row in rows]

    context = {
        **_about(actor, key),
        **describe_last_days(actor, month),
        "use": use_of_keys(actor, [key])[key.id],
        "listed": listed,
    }
    templates = ("usage/keys/key.html", "usage/keys/_key_requests.html")
    return answer_table(request, state, source, templates, context, make)


def _about(actor: Actor, key: Key) -> dict[str, Any]:
    """Return what the key may do, and what the actor may do with the key."""
    own = list(budgets.budgets_of_keys(actor, [key]).values())
    budget_usage = next(iter(budgets.current_usage(own)), None)
    living = key.revoked_at is None
    return {
        "settings": effective_settings(actor, key=key),
        "key": key,
        "id": id_text(key.id),
        "badge": badge_of(key),
        "owner": owner_of(key),
        "former": key_lookup.former_uses(key, clock.now()),
        "relay": key.kind == KeyKind.RELAY,
        "may_write": living and access.may_write_key(actor, key),
        "may_rotate": key_lookup.key_state(key, clock.now()) != "expired",
        "budget": budget_usage.budget if budget_usage else None,
        "meter": meter_of(budget_usage) if budget_usage else None,
    }
