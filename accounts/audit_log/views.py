"""The pages of the audit trail: of one organisation (W56), and of the installation (W80)."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.audit_log import log as audit_log
from accounts.audit_log.log import AuditFilter
from accounts.audit_log.words import ACTS, INSTALLATION_OBJECTS, OBJECTS, object_word
from accounts.guards.guards import operator_page, organisation_page
from accounts.models import AuditEvent
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.files.csv_file import stream
from lib.htmx import render_dialog
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Choices, Column, Filter, State, Table

_COLUMNS = (
    Column("event", _("Event"), value="sentence", card="title"),
    Column("change", _("Change"), value="summary", chosen=False, in_files=True),
    Column("address", _("IP address"), "code", value="event.address", priority=3, card="second"),
    Column("via", _("Key or session"), "code", priority=4),
    Column("time", _("Time"), "ago", value="event.at", sort="id", card="last"),
    Column("who", _("Actor"), chosen=False, in_files=True),
    Column("action", _("Action"), "code", value="event.action", chosen=False, in_files=True),
    Column("object", _("Object"), chosen=False, in_files=True),
    Column("client", _("Client"), value="event.client", chosen=False),
    Column("reason", _("Reason"), value="event.reason", chosen=False, in_files=True),
    Column("request", _("Request ID"), "code", value="event.request_id", chosen=False),
    Column("id", _("ID"), "code", value="id", chosen=False),
)
_FILTERS = (
    Filter("actor", _("Person or key")),
    Filter("object", _("Object")),
    Filter("request", _("Request ID")),
    Filter("action", _("Action"), choices=(("", _("Any action")), *ACTS.items())),
    Filter("since", _("From"), "date"),
    Filter("until", _("To"), "date"),
)
_ORGANISATIONS_MAX: Final = 500
AUDIT = Table("audit", _("Audit log"), _COLUMNS, default_sort="-time", filters=_FILTERS, big=True)
ALL_AUDIT = Table(
    "all-audit",
    _("Audit log"),
    (
        _COLUMNS[0],
        Column("organisation", _("Organisation"), value="event.organisation.name", priority=2),
        *_COLUMNS[1:],
    ),
    default_sort="-time",
    filters=(*_FILTERS, Filter("organisation", _("Organisation"))),
    big=True,
)


@organisation_page("audit.read")
@require_safe
def event_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    visible = audit_log.visible_events(actor)
    choices = {
        "actor": _actors(request, visible, _members(actor)),
        "object": _objects(request, INSTALLATION_OBJECTS),
        "request": _requests(request),
    }
    state = read_table(AUDIT, request, actor, choices=choices)
    events = audit_log.filter_events(visible, _read_filter(state))
    if request.GET.get("export") == "jsonl":
        return _json_lines(request, events)

    def make(page: Sequence[AuditEvent]) -> list[dict[str, Any]]:
        return [
            _event_row(one, reverse("audit_event", args=[slug_of(actor), id_text(one.event.id)]))
            for one in audit_log.describe_events(page)
        ]

    templates = ("accounts/audit_log/audit.html", "accounts/audit_log/_audit.html")
    return answer_table(request, state, QuerySource(events), templates, _context(state), make)


@operator_page("audit.read")
@require_safe
def all_event_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    every = audit_log.all_events(actor)
    choices = {
        "actor": _actors(request, every, Q(operator=True)),
        "object": _objects(request, frozenset()),
        "request": _requests(request),
        "organisation": _organisations(request, actor),
    }
    state = read_table(ALL_AUDIT, request, actor, choices=choices)
    events = audit_log.filter_events(every, _read_filter(state, state.value("organisation")))
    if request.GET.get("export") == "jsonl":
        return _json_lines(request, events)

    def make(page: Sequence[AuditEvent]) -> list[dict[str, Any]]:
        return [
            _event_row(one, reverse("all_audit_event", args=[id_text(one.event.id)]))
            for one in audit_log.describe_events(page)
        ]

    templates = ("accounts/audit_log/audit.html", "accounts/audit_log/_audit.html")
    return answer_table(request, state, QuerySource(events), templates, _context(state), make)


@organisation_page("audit.read")
@require_safe
def event_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    slug = slug_of(actor)
    sees_requests = access.scope_of(actor, "requests.read") is not None
    events = audit_log.visible_events(actor)
    return _event(request, events, id, reverse("audit", args=[slug]), slug if sees_requests else "")


@operator_page("audit.read")
@require_safe
def all_event_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _event(request, audit_log.all_events(actor), id, reverse("all_audit"))


def _event(
    request: HttpRequest, events: QuerySet[AuditEvent], id: str, back: str, slug: str = ""
) -> HttpResponseBase:
    """`slug` is that of the organisation whose requests may be opened, "" for none."""
    (one,) = audit_log.describe_events([audit_log.access_event(events, id)])
    about = one.about_request if slug else ""
    context = {
        "one": one,
        "id": id_text(one.event.id),
        "back": back,
        "request_url": about and reverse("request", args=[slug, about]),
    }
    return render_dialog(request, "accounts/audit_log/audit_event.html", context)


def _context(state: State) -> dict[str, Any]:
    # Links ask who read contents, or one request's: the answer may be nobody.
    asked = {one.filter.name for one in state.filters if one.active}
    return {
        "blank_anyway": state.value("action") == "read" and asked <= {"action", "request"},
        "read_request": state.value("request"),
        "check": audit_log.last_check(),
        "json_href": f"?{state.query(export='jsonl')}",
        "for_all": state.table is ALL_AUDIT,
    }


def _members(actor: Actor) -> Q:
    """Return the condition for users whom the actor may see in the log."""
    if access.scope_of(actor, "members.read") == "all":
        return Q(memberships__organisation=actor.organisation)
    return Q(id__in=())


def _actors(request: HttpRequest, events: QuerySet[AuditEvent], belong: Q) -> Choices:
    people, keys = audit_log.possible_actors(events, belong)
    known = {
        user.email: f"{user.name} ({user.email})" if user.name else user.email for user in people
    }
    known |= {id_text(key.id): f"{key.name} …{key.last4}" for key in keys}
    return [("", _("Anyone")), *_with_requested_value(request, "actor", known)]


def _objects(request: HttpRequest, hidden: Collection[str]) -> Choices:
    """Return the choices of object types, one for each label, plus the value in the query string if
    it is not among them."""
    known: dict[str, str] = {}
    for kind in OBJECTS:
        if kind not in hidden and object_word(kind) not in known.values():
            known[kind] = object_word(kind)
    return [("", _("Any object")), *_with_requested_value(request, "object", known)]


def _requests(request: HttpRequest) -> Choices:
    """Return the address's request to choose, if it has one: the pages of requests link here."""
    asked = _requested_value(request, "request")
    known = {asked: f"{asked[:4]}…{asked[-6:]}"} if asked else {}
    return [("", _("Any request")), *known.items()]


def _organisations(request: HttpRequest, actor: Actor) -> Choices:
    rows = access.all_organisations(actor)[:_ORGANISATIONS_MAX]
    known = {row.slug: row.name for row in rows}
    return [("", _("Any organisation")), *_with_requested_value(request, "organisation", known)]


def _with_requested_value(request: HttpRequest, name: str, known: dict[str, str]) -> Choices:
    """Return the choices by their labels, plus the address's value if it is not among them."""
    asked = _requested_value(request, name)
    if asked and asked not in known:
        known[asked] = asked
    return sorted(known.items(), key=lambda one: one[1].casefold())


def _requested_value(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").strip()[:200]


def _event_row(one: audit_log.EventDisplay, href: str) -> dict[str, Any]:
    return {
        "event": one.event,
        "sentence": one.sentence,
        "sentence_html": one.sentence_html,
        "id": id_text(one.event.id),
        "href": href,
        "who": one.who,
        "object": one.object,
        "summary": one.summary,
        "via": one.via,
    }


def _read_filter(state: State, organisation: str = "") -> AuditFilter:
    since, until = state.period
    asked = state.value("object")
    kinds = [kind for kind in OBJECTS if asked in OBJECTS and OBJECTS[kind] == OBJECTS[asked]]
    return AuditFilter(
        actor=state.value("actor"),
        act=state.value("action"),
        object="" if kinds else asked,
        objects=kinds,
        since=since,
        until=until,
        organisation=organisation,
        request=state.value("request"),
    )


def _json_lines(request: HttpRequest, events: QuerySet[AuditEvent]) -> HttpResponseBase:
    name = f"audit-{clock.now():%Y-%m-%d}.jsonl"
    lines = (text.encode() for text in audit_log.json_lines(events))
    return stream(request, name, "application/x-ndjson", lines)
