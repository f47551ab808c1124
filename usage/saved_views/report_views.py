"""Reports by email: the dialog of a saved view, and the page of an email's unsubscribe link."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.access.guards import organisation_page, public
from billing.invoices.billing_details import zone_of
from lib.forms.places import ZoneField
from lib.htmx import redirect_to, render_dialog, see_other
from lib.refusal import Refused
from usage.models import ReportSchedule, SavedView
from usage.saved_views import scheduled_reports
from usage.saved_views.saved_views import access_schedule, find_schedule, own_view

_HOUR = 8


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
        return {"every": "week", "hour": _HOUR, "zone": zone, "people": own}
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
