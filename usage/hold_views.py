"""What is held of an organisation's money, request by request (W40)."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.access import Actor, organisation_page
from billing.access import access_wallet
from lib.htmx import render_part
from lib.ids import id_text

_ROWS = 100


@dataclass(frozen=True, slots=True)
class _Held:
    """One hold: `late` says that its time is over and nobody has resolved it, `kept` that it
    stays until somebody has looked at what the request used."""

    request: str
    model: str
    key: str
    amount_nano: int
    opened_at: dt.datetime
    late: bool
    kept: bool


@organisation_page("balance.read")
@require_safe
def hold_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    organisation = access_wallet(actor, "balance.read")
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, {"organisation": organisation.id, "rows": _ROWS})
        rows = [_Held(id_text(request_id), *rest) for request_id, *rest in cursor.fetchall()]
    context = {"rows": rows, "most": _ROWS}
    return render_part(request, "usage/holds.html", "usage/_holds.html", context)


_OPEN = """
    SELECT r.request_id, r.model, coalesce(key.name, ''), hold.amount_nano, hold.opened_at,
           hold.state = 'open' AND hold.expires_at < now(), hold.state = 'kept'
    FROM billing_hold hold
    JOIN usage_attempt r ON r.organisation_id = hold.organisation_id AND r.id = hold.id
    LEFT JOIN accounts_key key ON key.id = r.key_id
    WHERE hold.organisation_id = %(organisation)s AND hold.state IN ('open', 'kept')
    ORDER BY hold.opened_at LIMIT %(rows)s"""
