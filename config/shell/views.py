"""Pages that belong to no room: the root, appearance, components, health, errors (W00 to W92)."""

import json
import sys
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import get_language, gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access import actors
from accounts.access.actors import Actor
from accounts.guards import guards
from accounts.guards.guards import operator_page, organisation_page, public
from accounts.models import User
from accounts.preferences.appearance import set_appearance
from accounts.sign_in.sign_in import is_own_path
from accounts.sign_up.first_run import has_organisations, is_set_up
from billing.trials.views import no_organisation
from config.api.errors import error_response
from config.jobs.runs import JobState, job_states
from config.server.request_limits import AWAY_CODE, AWAY_MESSAGE, AWAY_PAGE, RETRY_AFTER_S
from config.shell import command_palette
from config.shell.command_palette import Chosen
from config.shell.navigation import first_url
from config.system.folding import OPEN, fold
from config.system.rows import (
    month_rows,
    process_rows,
    queue_rows,
    system_rows,
    version_rows,
)
from config.system.state import system_state
from lib.database.outage import is_away
from lib.htmx import is_htmx, see_other
from usage.months.detached import RequestDetached

# The model API of pages, whose callers read OpenAI's form of an error.
_SESSION_API: Final = "/pg/"


@public
@require_safe
def root(request: HttpRequest) -> HttpResponseBase:
    if not isinstance(request.user, User):
        return redirect(settings.LOGIN_URL if is_set_up() else "set_up_first")
    membership = actors.last_membership(request, request.user)
    if membership is not None:
        member = actors.actor_of_member(request.user, membership.organisation, membership)
        return redirect(first_url(member))
    if request.user.operator:
        return redirect("installation" if has_organisations() else "set_up_steps")
    return no_organisation(request, request.user)


@organisation_page("models.read")
@require_safe
def palette_found(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _palette_results(request, actor)


@operator_page("models.read")
@require_safe
def operator_palette_found(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show results for an operator outside any organisation."""
    return _palette_results(request, actor)


def _palette_results(request: HttpRequest, actor: Actor) -> HttpResponse:
    words = request.GET.get("q", "").replace("\x00", "")
    recent = _read_recent(request.GET.get("recent", ""))
    context = {
        "groups": command_palette.search(actor, words, recent),
        "known": [] if words.strip() else command_palette.known_targets(actor),
    }
    return render(request, "config/shell/_palette_found.html", context)


def _read_recent(text: str) -> list[Chosen]:
    """Parse the choices stored by static/js/ui.js: [[url, name], …] as JSON, the latest first.
    Invalid entries are skipped."""
    try:
        rows = json.loads(text.replace("\x00", "")) if text else []
    except ValueError:
        return []
    return [
        Chosen(*row)
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list) and len(row) == 2 and all(isinstance(one, str) for one in row)
    ][: command_palette.RECENT_MAX]


@public
@require_POST
def appearance(request: HttpRequest) -> HttpResponseBase:
    back = request.POST.get("next", "")
    response = HttpResponse(status=204)
    if not is_htmx(request):
        response = see_other(back if is_own_path(back) else "/")
    set_appearance(
        response,
        request.user if isinstance(request.user, User) else None,
        theme=request.POST.get("theme", ""),
        language=request.POST.get("language", ""),
    )
    return response


@operator_page("channels.read")
@require_safe
def design(request: HttpRequest, actor: Actor) -> HttpResponse:
    return render(request, "design/page.html")


@operator_page("channels.read")
@require_safe
def design_chat(request: HttpRequest, actor: Actor) -> HttpResponse:
    return render(request, "design/chat.html")


@operator_page("channels.read")
@require_safe
def health(request: HttpRequest, actor: Actor) -> HttpResponse:
    state, opened = system_state(), request.GET.getlist(OPEN)
    context = {
        "jobs": fold("jobs", job_states(), _tone_of_job, opened),
        "months": fold("months", month_rows(), lambda row: row.tone, opened),
        "checks": fold("checks", system_rows(state), lambda row: row.tone, opened),
        "versions": version_rows(state),
        "queues": fold(
            "queues", queue_rows(state), lambda row: "" if row.is_empty else "warn", opened
        ),
        "processes": fold("processes", process_rows(state.processes), lambda row: row.tone, opened),
    }
    return render(request, "config/system/health.html", context)


def _tone_of_job(state: JobState) -> str:
    if state.late:
        return "bad"
    return "warn" if state.run.error else "ok"


# Errors -----------------------------------------------------------------------------------------


def answer_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 403, str(exception), "permission_error", "permission_denied")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    message = gettext("This form is out of date. Go back, reload the page and submit it again.")
    if request.path.startswith(_SESSION_API):
        message = (
            "This path takes the session of a page, with its CSRF token. With an API key, use "
            "/v1/chat/completions."
        )
    return _error(request, 403, message, "permission_error", "permission_denied")


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDetached):
        text = str(exception)
        return _error(request, 404, text, "invalid_request_error", "month_detached", detached=text)
    return _error(
        request, 404, "No such page or operation.", "invalid_request_error", "unknown_url"
    )


def answer_failed(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the exception.
    if is_away(sys.exc_info()[1]):
        return database_away(request)
    return _error(
        request, 500, "The server encountered an error.", "server_error", "internal_error"
    )


def database_away(request: HttpRequest) -> HttpResponse:
    """Return the response to a request that needs the database while it cannot be reached."""
    response: HttpResponse
    if request.path.startswith("/api/"):
        response = error_response(request, 503, AWAY_MESSAGE, type="server_error", code=AWAY_CODE)
    else:
        # Render the page without the shell, which would query the database.
        context = {"lang": get_language(), "request": request}
        response = HttpResponse(render_to_string(AWAY_PAGE, context), status=503)
    response["Retry-After"] = str(RETRY_AFTER_S)
    response["Cache-Control"] = "private, no-store"
    return response


def _error(
    request: HttpRequest, status: int, message: str, type: str, code: str, **extra: str
) -> HttpResponse:
    response: HttpResponse
    if request.path.startswith("/api/"):
        response = error_response(request, status, message, type=type, code=code)
    elif request.path.startswith(_SESSION_API):
        error = {"message": message, "type": type, "param": None, "code": code}
        response = JsonResponse({"error": error}, status=status)
    else:
        # A signed-in person keeps the navigation, so that a missing page is not a dead end. A
        # failed server does not query its database again.
        inside = status < 500 and guards.visitor(request) is not None
        context: dict[str, Any] = {"message": message, **extra}
        context["frame"] = "base.html" if inside else "base_plain.html"
        response = render(request, f"{status}.html", context, status=status)
        if status < 500 and not connection.in_atomic_block:
            # For an async view the page is rendered in a thread that would keep its connection, so
            # it is closed here.
            connection.close()
    # Intermediaries must not cache an error page of a tenant (a 404 is cacheable by default).
    response["Cache-Control"] = "private, no-store"
    return response
