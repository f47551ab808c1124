"""The pages of the trail: of one organisation (W56), and of the installation (W80)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import operator_page, organisation_page
from accounts.audit import log as audit_log
from accounts.audit.log import AuditFilter
from accounts.models import AuditEvent
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.files.csv_file import stream
from lib.htmx import render_dialog
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Column, Filter, State, Table

_COLUMNS = (
    Column("action", _("Action"), "code", value="event.action", card="title"),
    Column("who", _("Actor"), card="first"),
    Column("object", _("Object"), card="second"),
    Column("change", _("Change"), value="summary", priority=2),
    Column("address", _("IP address"), "code", value="event.address", priority=3),
    Column("via", _("Key or session"), "code", priority=4),
    Column("time", _("Time"), "ago", value="event.at", sort="id", card="last"),
    Column("client", _("Client"), value="event.client", chosen=False),
    Column("reason", _("Reason"), value="event.reason", chosen=False),
    Column("request", _("Request ID"), "code", value="event.request_id", chosen=False),
    Column("id", _("ID"), "code", value="id", chosen=False),
)
_FILTERS = (
    Filter("actor", _("Person or key"), "search"),
    Filter("action", _("Action"), "search"),
    Filter("object", _("Object type or ID"), "search"),
    Filter("since", _("From"), "date"),
    Filter("until", _("To"), "date"),
)
AUDIT = Table("audit", _("Audit log"), _COLUMNS, default_sort="-time", filters=_FILTERS, big=True)
ALL_AUDIT = Table(
    "all-audit",
    _("Audit log"),
    (
        *_COLUMNS[:3],
        Column("organisation", _("Organisation"), value="event.organisation.slug", priority=2),
        *_COLUMNS[3:],
    ),
    default_sort="-time",
    filters=(*_FILTERS, Filter("organisation", _("Organisation"), "search")),
    big=True,
)


@organisation_page("audit.read")
@require_safe
def event_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(AUDIT, request, actor)
    events = audit_log.filter_events(audit_log.visible_events(actor), _read_filter(state))
    if request.GET.get("export") == "jsonl":
        return _json_lines(request, events)

    def make(page: Sequence[AuditEvent]) -> list[dict[str, Any]]:
        return [
            _row(one, reverse("audit_event", args=[slug_of(actor), id_text(one.event.id)]))
            for one in audit_log.describe_events(page)
        ]

    templates = ("accounts/audit/audit.html", "accounts/audit/_audit.html")
    return answer_table(request, state, QuerySource(events), templates, _context(state), make)


@operator_page("audit.read")
@require_safe
def all_event_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(ALL_AUDIT, request, actor)
    wanted = _read_filter(state, state.value("organisation"))
    events = audit_log.filter_events(audit_log.all_events(actor), wanted)
    if request.GET.get("export") == "jsonl":
        return _json_lines(request, events)

    def make(page: Sequence[AuditEvent]) -> list[dict[str, Any]]:
        return [
            _row(one, reverse("all_audit_event", args=[id_text(one.event.id)]))
            for one in audit_log.describe_events(page)
        ]

    templates = ("accounts/audit/audit.html", "accounts/audit/_audit.html")
    return answer_table(request, state, QuerySource(events), templates, _context(state), make)


@organisation_page("audit.read")
@require_safe
def event_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    back = reverse("audit", args=[slug_of(actor)])
    return _event(request, audit_log.visible_events(actor), id, back)


@operator_page("audit.read")
@require_safe
def all_event_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _event(request, audit_log.all_events(actor), id, reverse("all_audit"))


def _event(
    request: HttpRequest, events: QuerySet[AuditEvent], id: str, back: str
) -> HttpResponseBase:
    (one,) = audit_log.describe_events([audit_log.access_event(events, id)])
    context = {"one": one, "id": id_text(one.event.id), "back": back}
    return render_dialog(request, "accounts/audit/audit_event.html", context)


def _context(state: State) -> dict[str, Any]:
    return {
        "check": audit_log.last_check(),
        "json_href": f"?{state.query(export='jsonl')}",
        "for_all": state.table is ALL_AUDIT,
    }


def _row(one: audit_log.EventDisplay, href: str) -> dict[str, Any]:
    return {
        "event": one.event,
        "id": id_text(one.event.id),
        "href": href,
        "who": one.who,
        "object": one.object,
        "summary": one.summary,
        "via": one.via,
    }


def _read_filter(state: State, organisation: str = "") -> AuditFilter:
    until = _midnight(state.value("until"))
    return AuditFilter(
        actor=state.value("actor"),
        action=state.value("action"),
        object=state.value("object"),
        since=_midnight(state.value("since")),
        # The day that is named is in it.
        until=until + dt.timedelta(days=1) if until else None,
        organisation=organisation,
    )


def _midnight(text: str) -> dt.datetime | None:
    """Return the start of a day, or None for an invalid date; filters ignore what they cannot
    parse."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return timezone.make_aware(dt.datetime.combine(day, dt.time())) if day else None


def _json_lines(request: HttpRequest, events: QuerySet[AuditEvent]) -> HttpResponseBase:
    name = f"audit-{clock.now():%Y-%m-%d}.jsonl"
    lines = (text.encode() for text in audit_log.json_lines(events))
    return stream(request, name, "application/x-ndjson", lines)
