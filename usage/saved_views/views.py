"""Saved views: the menu of the pages that have some, the dialogs, and the list. Reports by email:
the dialog of a saved view, and the page of an email's unsubscribe link."""

import datetime as dt
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page, public
from accounts.preferences.table_preferences import read_table
from billing.invoices.billing_details import zone_of
from lib.forms.country_and_zone_fields import ZoneField
from lib.htmx import is_htmx, page_address, redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, Table
from usage.models import ReportSchedule, SavedView, ViewPage
from usage.saved_views import saved_views, scheduled_reports
from usage.saved_views.report_times import HOUR
from usage.saved_views.saved_views import (
    NAME_MAX,
    access_schedule,
    due_times,
    find_schedule,
    own_view,
    visible_views,
)

_SHARED, _OWN = Badge(gettext_lazy("Shared"), "info"), Badge(gettext_lazy("Only you"))
VIEWS = Table(
    "saved_views",
    gettext_lazy("Saved views"),
    (
        Column("name", gettext_lazy("Name"), sort=True, card="title"),
        Column("page", gettext_lazy("Page"), sort=True, card="second"),
        Column("who", gettext_lazy("Visible to"), "badge", sort="who.text", card="first"),
        Column("report", gettext_lazy("Next report"), "time", sort=True, priority=2),
        Column("by", gettext_lazy("Created by"), sort=True, priority=3),
        Column("created", gettext_lazy("Created"), "ago", sort=True, priority=2, card="last"),
    ),
    default_sort="name",
    href="href",
    filters=(Filter("q", gettext_lazy("Name"), "search"),),
)


class ViewForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=NAME_MAX)
    shared = forms.BooleanField(label=gettext_lazy("Share with the organisation"), required=False)


class NewViewForm(ViewForm):
    page = forms.CharField(widget=forms.HiddenInput, max_length=20)
    query = forms.CharField(widget=forms.HiddenInput, required=False)


def menu_of(actor: Actor, page: str, query: str) -> dict[str, Any]:
    """Return the content of a page's menu; `query` is the current one."""
    rows = visible_views(actor).filter(page=page)
    return {
        "views": [{"name": row.name, "href": href_of(actor, row)} for row in rows],
        "save_href": f"{reverse('view_new', args=[slug_of(actor)])}?page={page}&{query}",
        "list_href": reverse("views", args=[slug_of(actor)]),
    }


def href_of(actor: Actor, view: SavedView) -> str:
    """Return the address of the page with the saved filters."""
    path = reverse(view.page, args=[slug_of(actor)])
    return f"{path}?{view.query}" if view.query else path


@organisation_page("usage.read")
@require_safe
def view_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(VIEWS, request, actor)
    query = state.value("q").casefold()
    views = [view for view in visible_views(actor) if query in view.name.casefold()]
    due = due_times(views)
    rows = [_view_row(actor, view, due.get(view.id)) for view in views]
    templates = ("usage/saved_views/views.html", "usage/saved_views/_views.html")
    return answer_table(request, state, ListSource(rows), templates, {})


def _view_row(actor: Actor, view: SavedView, due_at: dt.datetime | None) -> dict[str, Any]:
    id, slug = id_text(view.id), slug_of(actor)
    own = actor.user is not None and view.user_id == actor.user.id
    sendable = view.page != ViewPage.REQUESTS
    return {
        "id": id,
        "name": view.name,
        "href": href_of(actor, view),
        "page": str(ViewPage(view.page).label),
        "who": _SHARED if view.shared else _OWN,
        "by": view.user.email,
        "created": view.created_at,
        # Only the owner of a view may know to whom it is sent.
        "report": due_at if own else None,
        "report_url": reverse("report", args=[slug, id]) if own and sendable else "",
        "end_url": reverse("report_end", args=[slug, id]) if own and due_at else "",
        "change_url": reverse("view_change", args=[slug, id]) if own else "",
        "delete_url": reverse("view_delete", args=[slug, id]) if own else "",
    }


@organisation_page("usage.read")
@require_http_methods(["GET", "HEAD", "POST"])
def view_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    form = NewViewForm(request.POST or None, initial=_now(request))
    if form.is_valid():
        try:
            view = saved_views.save_view(actor, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("View saved."))
            return redirect_to(request, href_of(actor, view))
    return render_dialog(
        request, "usage/saved_views/view_new.html", {"form": form}, refused=form.is_bound
    )


def _now(request: HttpRequest) -> dict[str, str]:
    """Return the page and its current query, which may have changed since the form was rendered."""
    query = request.GET.copy()
    page = "".join(query.pop("page", [])[:1])
    query_text = urlsplit(page_address(request)).query if is_htmx(request) else query.urlencode()
    return {"page": page, "query": query_text}


@organisation_page("usage.read")
@require_http_methods(["GET", "HEAD", "POST"])
def view_change(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    view = own_view(actor, id)
    form = ViewForm(request.POST or None, initial={"name": view.name, "shared": view.shared})
    if form.is_valid():
        try:
            saved_views.change_view(actor, view, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("View saved."))
            return redirect_to(request, "views", slug_of(actor))
    context = {"form": form, "name": view.name}
    return render_dialog(
        request, "usage/saved_views/view_change.html", context, refused=form.is_bound
    )


@organisation_page("usage.read")
@require_POST
def view_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    saved_views.delete_view(actor, own_view(actor, id))
    messages.success(request, gettext("View deleted."))
    return see_other("views", slug_of(actor))


class ScheduleForm(forms.Form):
    every = forms.ChoiceField(
        label=gettext_lazy("Send"),
        choices=(
            ("week", gettext_lazy("Every Monday, the week before")),
            ("month", gettext_lazy("On the 1st, the month before")),
        ),
    )
    hour = forms.TypedChoiceField(
        label=gettext_lazy("At"), coerce=int, choices=[(n, f"{n:02}:00") for n in range(24)]
    )
    zone = ZoneField(label=gettext_lazy("Time zone"))
    people = forms.TypedMultipleChoiceField(
        label=gettext_lazy("To"),
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, actor: Actor, view: SavedView, *arguments: Any, **over: Any) -> None:
        super().__init__(*arguments, **over)
        members = scheduled_reports.receivers_of(actor, view)
        self.fields["people"].choices = [(m.user_id, m.user.email) for m in members]  # type: ignore[attr-defined]


@organisation_page("usage.read")
@require_http_methods(["GET", "HEAD", "POST"])
def report_schedule(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    view = own_view(actor, id)
    schedule = find_schedule(view)
    form = ScheduleForm(actor, view, request.POST or None, initial=_initial(actor, schedule))
    if form.is_valid():
        terms = form.cleaned_data | {"zone": ZoneInfo(form.cleaned_data["zone"])}
        try:
            scheduled_reports.set_schedule(actor, view, **terms)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Report scheduled."))
            return redirect_to(request, "views", slug_of(actor))
    context = {"form": form, "name": view.name}
    return render_dialog(request, "usage/saved_views/report.html", context, refused=form.is_bound)


def _initial(actor: Actor, schedule: ReportSchedule | None) -> dict[str, Any]:
    if schedule is None:
        own = [actor.user.id] if actor.user else []
        zone = zone_of(organisation_of(actor)).key
        return {"every": "week", "hour": HOUR, "zone": zone, "people": own}
    people = list(schedule.receivers.values_list("user", flat=True))
    return {
        "every": schedule.every,
        "hour": schedule.hour,
        "zone": schedule.zone,
        "people": people,
    }


@organisation_page("usage.read")
@require_POST
def report_end(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    scheduled_reports.end_schedule(actor, access_schedule(actor, id))
    messages.success(request, gettext("Report ended."))
    return see_other("views", slug_of(actor))


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def report_leave(request: HttpRequest, token: str) -> HttpResponse:
    """Unsubscribe by POST. Opening the page changes nothing, because mail programs open links by
    themselves."""
    receiver = scheduled_reports.receiver_of(token)
    if receiver is None:
        return render(request, "usage/saved_views/report_leave.html", {"over": True})
    if request.method == "POST":
        scheduled_reports.leave(receiver)
    context = {
        "over": request.method == "POST",
        "name": receiver.schedule.view.name,
        "email": receiver.user.email,
    }
    return render(request, "usage/saved_views/report_leave.html", context)
