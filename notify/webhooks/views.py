"""Pages of an organisation's webhooks: the list, a webhook with its deliveries, a new secret; and
of the operators' chats and webhooks, which get the same alerts as the operators' emails."""

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import operator_page, organisation_page
from accounts.preferences.table_preferences import read_table
from lib.htmx import back_to, redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, QuerySource
from lib.tables.table import Badge, Column, Filter, Table, status_filter
from notify.access import (
    access_delivery,
    access_endpoint,
    endpoints_with_last_delivery,
    operator_endpoint,
    visible_deliveries,
    visible_endpoints,
)
from notify.deliveries import deliveries
from notify.endpoints import endpoints, signing
from notify.endpoints.endpoints import WebhookRefused
from notify.events.kinds import FOR_ORGANISATIONS, KINDS
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from notify.webhooks.forms import WebhookEditForm, WebhookForm
from notify.webhooks.words import response_text, webhook_events, webhook_title

STATES = {
    DeliveryState.DELIVERED: Badge(_("Delivered"), "ok"),
    DeliveryState.PENDING: Badge(_("In progress"), "info", "clock"),
    DeliveryState.DEAD: Badge(_("Failed"), "bad"),
}
WEBHOOKS = Table(
    "webhooks",
    _("Webhooks"),
    (
        Column("title", _("Name"), sort=True, card="title"),
        Column("service", _("Sends to"), sort=True, priority=3),
        Column("url", _("URL"), sort=True, priority=3),
        Column("state", _("Status"), "badge", value="badge", sort="badge.text", card="first"),
        Column("events", _("Events"), sort=True, priority=2, card="second"),
        Column("by", _("Created by"), sort=True, chosen=False),
        Column("created", _("Created"), "ago", value="endpoint.created_at", sort="id", card="last"),
    ),
    default_sort="-created",
    href="href",
    filters=(Filter("q", _("Name, URL or event"), "search"),),
)
DELIVERIES = Table(
    "deliveries",
    _("Deliveries"),
    (
        Column("event", _("Event"), value="title", card="title"),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("response", _("Last response"), priority=2, card="second"),
        Column("duration", _("Duration"), "duration", chosen=False),
        Column("attempts", _("Attempts"), "number", priority=2),
        Column("time", _("Time"), "ago", sort="id", card="last"),
        Column("id", _("Event ID"), "code", value="event", chosen=False),
    ),
    default_sort="-time",
    filters=(
        status_filter(STATES),
        Filter(
            "kind",
            _("Event"),
            choices=(
                ("", _("All events")),
                *((kind.name, kind.title) for kind in FOR_ORGANISATIONS),
            ),
        ),
    ),
    big=True,
)


@organisation_page("webhooks.read")
@require_safe
def webhook_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(WEBHOOKS, request, actor)
    text = state.value("q").casefold()
    rows = [_webhook(actor, row) for row in visible_endpoints(actor)]
    rows = [row for row in rows if text in _search_text(row)]
    context = {"may_write": access.scope_of(actor, "webhooks.write") is not None}
    templates = ("notify/webhooks/webhooks.html", "notify/webhooks/_webhooks.html")
    return answer_table(request, state, ListSource(rows), templates, context)


@organisation_page("webhooks.write")
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = WebhookForm(request.POST or None, initial={"language": get_language()})
    if form.is_valid():
        try:
            endpoint, secret = endpoints.create_endpoint(
                actor, actor.organisation, **form.cleaned_data
            )
        except WebhookRefused as refused:
            refused.add_to(form)
        else:
            if not secret:
                messages.success(request, gettext("Chat added. Send a test to see it there."))
                return see_other("webhook", slug_of(actor), id_text(endpoint.id))
            context = {"endpoint": endpoint, "secret": secret}
            return render(request, "notify/webhooks/secret.html", context)
    return _form_page(request, actor, form)


@organisation_page("webhooks.write")
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    endpoint = access_endpoint(actor, id)
    form = WebhookEditForm(endpoint, request.POST or None)
    if form.is_valid() and save_endpoint(actor, endpoint, form):
        messages.success(request, gettext("Webhook saved."))
        return see_other("webhook", slug_of(actor), id)
    return _form_page(request, actor, form)


def save_endpoint(actor: Actor, endpoint: WebhookEndpoint, form: WebhookEditForm) -> bool:
    """Save what the form changes, or add the refusal to it and return False."""
    try:
        endpoints.change_endpoint(actor, endpoint, **form.cleaned_data)
    except WebhookRefused as refused:
        refused.add_to(form)
        return False
    return True


def webhook_form_page(
    request: HttpRequest, form: WebhookForm, back: str, back_text: str
) -> HttpResponseBase:
    """Render the form of a webhook of an organisation or of the operators."""
    changes = isinstance(form, WebhookEditForm)
    context = {
        "form": form,
        "title": gettext("Edit webhook") if changes else gettext("Create webhook"),
        "verb": gettext("Save") if changes else gettext("Create webhook"),
        "back": back,
        "back_text": back_text,
    }
    status = 422 if form.is_bound else 200
    return render(request, "notify/webhooks/webhook_form.html", context, status=status)


def _form_page(request: HttpRequest, actor: Actor, form: WebhookForm) -> HttpResponseBase:
    back = reverse("webhooks", args=[slug_of(actor)])
    return webhook_form_page(request, form, back, gettext("Webhooks"))


def _search_text(row: dict[str, Any]) -> str:
    """Return what a search covers, which includes the events' names in the API."""
    names = " ".join(row["endpoint"].kinds)
    return f"{row['title']} {row['url']} {row['service']} {row['events']} {names}".casefold()


def _webhook(actor: Actor, endpoint: WebhookEndpoint) -> dict[str, Any]:
    ended = endpoints.has_ended(endpoint)
    return {
        "endpoint": endpoint,
        "id": id_text(endpoint.id),
        "href": reverse("webhook", args=[slug_of(actor), id_text(endpoint.id)]),
        "title": webhook_title(endpoint),
        "service": endpoint.get_service_display(),
        "url": endpoint.url,
        "badge": Badge(_("Key no longer valid"), "warn") if ended else Badge(_("Active"), "ok"),
        "events": webhook_events(endpoint),
        "by": endpoint.created_by.email if endpoint.created_by else None,
    }


@organisation_page("webhooks.read")
@require_safe
def webhook(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    endpoint = access_endpoint(actor, id)
    state = read_table(DELIVERIES, request, actor)
    rows = visible_deliveries(actor, endpoint)
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    if state.value("kind"):
        rows = rows.filter(fact__kind=state.value("kind"))
    context = {
        "endpoint": endpoint,
        "title": webhook_title(endpoint),
        "events": webhook_events(endpoint),
        "ended": endpoints.has_ended(endpoint),
        "id": id_text(endpoint.id),
        "kept_days": deliveries.KEPT_DAYS,
        "waits": visible_deliveries(actor, endpoint).filter(state="pending").exists(),
        "may_write": access.scope_of(actor, "webhooks.write") is not None,
    }
    templates = ("notify/webhooks/webhook.html", "notify/webhooks/_deliveries.html")
    source, make = QuerySource(rows), lambda page: [_delivery(row) for row in page]
    return answer_table(request, state, source, templates, context, make)


def _delivery(delivery: Delivery) -> dict[str, Any]:
    tries = [attempt for attempt in delivery.tries if "ms" in attempt]
    last = tries[-1] if tries else {}
    return {
        "delivery": delivery,
        "id": id_text(delivery.id),
        "event": id_text(delivery.fact_id),
        "title": KINDS[delivery.fact.kind].title,
        "badge": STATES[DeliveryState(delivery.state)],
        "response": response_text(last),
        "duration": last.get("ms"),
        "attempts": len(tries),
        "time": delivery.fact.created_at,
    }


@organisation_page("webhooks.write")
@require_POST
def webhook_rotate(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    endpoint = access_endpoint(actor, id)
    try:
        secret = endpoints.rotate_secret(actor, endpoint)
    except WebhookRefused as refused:
        messages.error(request, refused.message)
        return see_other("webhook", slug_of(actor), id)
    hours = signing.PREVIOUS_SIGNS_FOR // dt.timedelta(hours=1)
    context = {"endpoint": endpoint, "secret": secret, "overlap_hours": hours}
    return render(request, "notify/webhooks/secret.html", context)


@organisation_page("webhooks.write")
@require_POST
def webhook_test(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    endpoints.send_test(actor, access_endpoint(actor, id))
    messages.success(request, gettext("Test sent."))
    return see_other("webhook", slug_of(actor), id)


@organisation_page("webhooks.write")
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    endpoint = access_endpoint(actor, id)
    host = urlsplit(endpoint.url).hostname or endpoint.url
    if request.method == "POST" and request.POST.get("confirm", "").strip() == host:
        endpoints.remove_endpoint(actor, endpoint)
        messages.success(request, gettext("Webhook deleted."))
        return redirect_to(request, "webhooks", slug_of(actor))
    wrong = request.method == "POST"
    context = {"endpoint": endpoint, "id": id, "host": host, "wrong": wrong}
    return render_dialog(request, "notify/webhooks/webhook_remove.html", context, refused=wrong)


@organisation_page("webhooks.write")
@require_POST
def delivery_repeat(request: HttpRequest, actor: Actor, id: str, delivery: str) -> HttpResponseBase:
    deliveries.send_again(actor, access_delivery(actor, access_endpoint(actor, id), delivery))
    messages.success(request, gettext("Resending the event."))
    return see_other(back_to(request, reverse("webhook", args=[slug_of(actor), id])))


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
    rows = [_endpoint_row(*row) for row in endpoints_with_last_delivery(actor)]
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


def _endpoint_row(endpoint: WebhookEndpoint, last: Delivery | None) -> dict[str, Any]:
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
