"""The page of rate and concurrency limits of an organisation, its teams and its people (W52)."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from accounts.forms import CountsForm
from accounts.keys import keys
from accounts.limits.limits import Subject, limited_subject, limited_subjects
from accounts.preferences.table_preferences import read_table
from lib.htmx import redirect_to, render_dialog
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table
from usage.limits.budget_views import count_waiting

_SCOPES = {"organisation": _("Organisation"), "team": _("Team"), "user": _("Person")}
LIMITS = Table(
    "limits",
    _("Limits"),
    (
        Column("name", _("Applies to"), sort=True, card="title"),
        Column("scope", _("Scope"), sort="n", card="second"),
        Column("rpm", _("Requests per minute"), "number", sort=True, card="last"),
        Column("tpm", _("Tokens per minute"), "number", sort=True, priority=2),
        Column("parallel", _("Concurrent requests"), "number", sort=True, priority=2),
    ),
    default_sort="scope",
    key="n",
    filters=(
        Filter("q", _("Name"), "search"),
        Filter("scope", _("Scope"), choices=(("", _("Any scope")), *_SCOPES.items())),
        Filter("state", _("Limited"), choices=(("", _("All")), ("limited", _("With a limit")))),
    ),
)


@organisation_page("budgets.write")
@require_safe
def limit_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(LIMITS, request, actor)
    rows = [
        row
        for row in _limit_rows(actor)
        if state.value("q").casefold() in f"{row['name']} {row['subject'].id}".casefold()
        and state.value("scope") in ("", row["subject"].scope)
        and (not state.value("state") or row["rpm"] or row["tpm"] or row["parallel"])
    ]
    templates = ("usage/limits/limits.html", "usage/limits/_limits.html")
    context = {"waiting": count_waiting(actor)}
    return answer_table(request, state, ListSource(rows), templates, context)


def _limit_rows(actor: Actor) -> list[dict[str, Any]]:
    return [
        {
            "n": n,
            "subject": subject,
            "name": subject.name,
            "scope": str(_SCOPES[subject.scope]),
            "href": _href(actor, subject),
            **_rate_limits(subject),
        }
        for n, subject in enumerate(limited_subjects(actor))
    ]


def _href(actor: Actor, subject: Subject) -> str:
    if not subject.id:
        return reverse("limit_organisation", args=[slug_of(actor)])
    return reverse("limit", args=[slug_of(actor), subject.scope, subject.id])


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def limit_change(request: HttpRequest, actor: Actor, scope: str, id: str) -> HttpResponseBase:
    subject = limited_subject(actor, scope, id)
    if subject is None:
        raise Http404
    form = CountsForm(request.POST or None, initial=_rate_limits(subject))
    if request.method == "POST" and form.is_valid():
        keys.change_limits(actor, subject.limited, **form.cleaned_data)
        messages.success(request, gettext("Limits saved."))
        return redirect_to(request, "limits", slug_of(actor))
    return render_dialog(
        request, "usage/limits/limit.html", {"form": form, "row": subject}, refused=form.is_bound
    )


def _rate_limits(subject: Subject) -> dict[str, Any]:
    return {name: getattr(subject.limited, name) for name in ("rpm", "tpm", "parallel")}
