"""The person's own sessions, and buttons that end them (W60)."""

from typing import cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.sessions import sessions
from accounts.sessions.devices import device_of
from accounts.sessions.security_changes import oneself
from accounts.sessions.store import session_digest
from accounts.throttle.throttle import network_of
from lib.htmx import see_other


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
