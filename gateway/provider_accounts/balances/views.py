"""Reads the balance of a channel's keys on request (W71)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from gateway.access import access_channel
from gateway.provider_accounts.balances.balances import check_balance
from gateway.provider_accounts.balances.rows import balance_rows
from lib.htmx import see_other


@operator_page("channels.test")
@require_POST
def channel_balance(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    check_balance(actor, access_channel(actor, id))
    rows = balance_rows(access_channel(actor, id))
    if not rows or any(row.cause or not row.text for row in rows):
        messages.error(request, gettext("The balance could not be read."))
    else:
        messages.success(request, gettext("The balance was read."))
    return see_other("channel", id)
