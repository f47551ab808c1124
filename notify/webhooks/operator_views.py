"""The operators' chats and webhooks, which get the same alerts as the operators' emails."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.guards import operator_page
from accounts.preferences.table_preferences import read_table
from lib.htmx import back_to, see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, Table
from notify.access import operator_endpoint, operator_endpoints
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from notify.webhooks import endpoints
from notify.webhooks.forms import WebhookEditForm, WebhookForm
from notify.webhooks.views import save_endpoint, webhook_form_page
from notify.webhooks.words import response_text, webhook_events, webhook_title

_BADGES = {
    DeliveryState.DELIVERED: Badge(_("Delivered"), "ok"),
    DeliveryState.PENDING: Badge(_("In progress"), "info", "clock"),
    DeliveryState.DEAD: Badge(_("Failed"), "bad"),
}
ALERTS = Table(
    "operator-alerts",
    _("Operator alerts"),
    (
        Column("title", _("Name"), sort=True, card="title"),
        Column("service", _("Sends to"), sort=True, priority=2),
        Column("url", _("URL"), sort=True, priority=3),
        Column("state", _("Last alert"), "badge", value="badge", card="first"),
        Column("response", _("Last response"), priority=3),
        Column("events", _("Events"), sort=True, priority=2, card="second"),
        Column("by", _("Created by"), sort=True, chosen=False),
        Column("created", _("Created"), "ago", value="endpoint.created_at", sort="id", card="last"),
    ),
    default_sort="-created",
    filters=(Filter("q", _("Name, URL or event"), "search"),),
)


@operator_page("channels.read")
@require_safe
def operator_alerts(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(ALERTS, request, actor)
    text = state.value("q").casefold()
    rows = [_endpoint_row(endpoint) for endpoint in operator_endpoints(actor)]
    rows = [
        row for row in rows if text in f"{row['title']} {row['url']} {row['events']}".casefold()
    ]
    templates = ("notify/webhooks/operator_alerts.html", "notify/webhooks/_operator_alerts.html")
    context = {"may_write": access.scope_of(actor, "channels.write") is not None}
    return answer_table(request, state, ListSource(rows), templates, context)


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def operator_alert_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    initial = {"language": get_language()}
    form = WebhookForm(request.POST or None, initial=initial, operators=True)
    if form.is_valid():
        try:
            endpoint, secret = endpoints.create_endpoint(actor, None, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            if secret:
                context = {"endpoint": endpoint, "secret": secret}
                return render(request, "notify/webhooks/secret.html", context)
            messages.success(request, gettext("Chat added. Send a test to see it there."))
            return see_other("operator_alerts")
    return webhook_form_page(request, form, reverse("operator_alerts"), gettext("Operator alerts"))


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def operator_alert_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    endpoint = operator_endpoint(actor, id)
    form = WebhookEditForm(endpoint, request.POST or None)
    if form.is_valid() and save_endpoint(actor, endpoint, form):
        messages.success(request, gettext("Webhook saved."))
        return see_other("operator_alerts")
    return webhook_form_page(request, form, reverse("operator_alerts"), gettext("Operator alerts"))


def _endpoint_row(endpoint: WebhookEndpoint) -> dict[str, Any]:
    last = Delivery.objects.filter(endpoint=endpoint).order_by("-id").first()
    tried = [attempt for attempt in last.tries if "ms" in attempt] if last else []
    return {
        "endpoint": endpoint,
        "id": id_text(endpoint.id),
        "title": webhook_title(endpoint),
        "service": endpoint.get_service_display(),
        "url": endpoint.url,
        "badge": _BADGES[DeliveryState(last.state)] if last else None,
        "response": response_text(tried[-1]) if tried else None,
        "events": webhook_events(endpoint),
        "by": endpoint.created_by.email if endpoint.created_by else None,
    }


@operator_page("channels.write")
@require_POST
def operator_alert_test(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    endpoints.send_test(actor, operator_endpoint(actor, id))
    messages.success(request, gettext("Test sent."))
    return see_other(back_to(request, reverse("operator_alerts")))


@operator_page("channels.write")
@require_POST
def operator_alert_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    endpoints.remove_endpoint(actor, operator_endpoint(actor, id))
    messages.success(request, gettext("Deleted. Nothing more is sent there."))
    return see_other(back_to(request, reverse("operator_alerts")))
