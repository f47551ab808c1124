"""The person's own sessions, and buttons that end them (W60). An operator looks at an organisation
as one of its members (W75)."""

from typing import cast

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.actors import Actor
from accounts.audit.audit import REASON_MAX
from accounts.guards.guards import operator_page, viewing_page
from accounts.members.forms import role_label
from accounts.models import Organisation, Role, User
from accounts.organisations.choices import pick_organisation
from accounts.sessions import sessions
from accounts.sessions.devices import device_of
from accounts.sessions.security_changes import oneself
from accounts.sessions.store import session_digest
from accounts.sessions.view_as import begin_view, end_view
from accounts.throttle.throttle import network_of
from lib.htmx import redirect_to, render_dialog, see_other


@require_safe
def session_list(request: HttpRequest) -> HttpResponse:
    current = session_digest(str(request.session.session_key))
    rows = [
        {
            "id": row.pk,
            "device": device_of(row.user_agent),
            "network": network_of(row.ip),
            "seen_at": row.last_seen_at,
            "created_at": row.created_at,
            "current": row.session_key == current,
        }
        for row in sessions.living_sessions_of(_person(request))
    ]
    return render(request, "usersessions/usersession_list.html", {"sessions": rows})


@require_POST
def session_end(request: HttpRequest, id: int) -> HttpResponse:
    user = _person(request)
    if not sessions.end_one(user, id, oneself(user)):
        raise Http404
    messages.success(request, gettext("Session ended."))
    return see_other("usersessions_list")


@require_POST
def sessions_end(request: HttpRequest) -> HttpResponse:
    user = _person(request)
    count = sessions.end(
        user, "session.ended", but=request.session.session_key, actor=oneself(user)
    )
    text = ngettext("%(n)s session ended.", "%(n)s sessions ended.", count)
    messages.success(request, text % {"n": count})
    return see_other("usersessions_list")


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)


class ViewForm(forms.Form):
    organisation = forms.ModelChoiceField(
        Organisation.objects.order_by("name"),
        to_field_name="slug",
        label=_("Organisation"),
        widget=pick_organisation(),
        error_messages={"invalid_choice": _("No organisation has this name.")},
    )
    role = forms.ChoiceField(
        label=_("View as"),
        choices=lambda: [(role.value, role_label(role)) for role in Role if role != Role.CUSTOM],
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX,
        help_text=_("The owners of the organisation get an email with this reason."),
    )


@operator_page("view_as.begin")
@require_http_methods(["GET", "HEAD", "POST"])
def view_as(request: HttpRequest, actor: Actor) -> HttpResponse:
    initial = {"organisation": request.GET.get("organisation", "")}
    form = ViewForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        begin_view(actor, request.session, data["organisation"], Role(data["role"]), data["reason"])
        return redirect_to(request, "home", data["organisation"].slug)
    return render_dialog(
        request, "accounts/sessions/view_as.html", {"form": form}, refused=form.is_bound
    )


@viewing_page
@require_POST
def view_end(request: HttpRequest, actor: Actor) -> HttpResponse:
    end_view(actor, request.session)
    return see_other("all_audit")
