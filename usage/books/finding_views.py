"""The operators' page of ledger findings: rows that violate a rule of the ledger, and their
acknowledgement (P33)."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from lib.htmx import redirect_to, render_dialog
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, State, Table
from usage.books import findings, full_walk
from usage.models import Finding

_WRONG: Final = Badge(_("Still wrong"), "bad")
_RIGHT: Final = Badge(_("No longer wrong"), "warn")
_DONE: Final = Badge(_("Acknowledged"), "ok")

FINDINGS = Table(
    "findings",
    _("Ledger findings"),
    (
        Column("invariant", _("Rule"), value="finding.invariant", sort="invariant", card="title"),
        Column("object", _("Object"), "code", value="finding.object", card="second"),
        Column("state", _("Status"), "badge", card="first"),
        Column("expected", _("Expected"), value="finding.expected", priority=2),
        Column("found", _("Found"), value="finding.found", priority=2),
        Column("first", _("First seen"), "ago", value="finding.first_seen_at", sort="id",
               card="last"),
        Column("last", _("Last seen"), "ago", value="finding.last_seen_at", sort="last_seen_at",
               chosen=False),
        Column("acknowledged", _("Acknowledged"), "ago", value="finding.acknowledged_at",
               chosen=False),
        Column("by", _("Acknowledged by"), value="finding.acknowledged_as", chosen=False),
        Column("reason", _("Reason"), value="finding.reason", chosen=False),
    ),
    default_sort="-first",
    href="href",
    filters=(
        Filter("q", _("Rule, object or reason"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(
                ("", _("Any status")),
                ("open", _("Not acknowledged")),
                ("wrong", _WRONG.text),
                ("acknowledged", _DONE.text),
            ),
        ),
    ),
)  # fmt: skip


class AcknowledgeForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=findings.REASON_MAX,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What caused it, and what was done. It is kept in the audit log."),
    )


@operator_page("channels.read")
@require_safe
def finding_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(FINDINGS, request, actor)
    rows = QuerySource(_filter_findings(findings.all_findings(actor).order_by(), state))

    def make(rows_found: list[Finding]) -> list[dict[str, Any]]:
        return [_finding_row(finding) for finding in rows_found]

    templates = ("usage/books/findings.html", "usage/books/_findings.html")
    context = {"complete_at": full_walk.complete_at()}
    return answer_table(request, state, rows, templates, context, make)


@operator_page("channels.read")
@require_safe
def finding_page(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    finding = findings.access_finding(actor, id)
    return render(
        request, "usage/books/finding.html", {"finding": finding, "badge": _badge(finding)}
    )


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def finding_acknowledge(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    finding = findings.access_finding(actor, id)
    form = AcknowledgeForm(request.POST or None)
    if form.is_valid():
        try:
            findings.acknowledge(actor, finding, form.cleaned_data["reason"])
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Acknowledged."))
            return redirect_to(request, "findings")
    context = {"form": form, "finding": finding}
    return render_dialog(
        request, "usage/books/finding_acknowledge.html", context, refused=form.is_bound
    )


def _filter_findings(rows: QuerySet[Finding], state: State) -> QuerySet[Finding]:
    text = state.value("q")
    if text:
        rows = rows.filter(
            Q(invariant__icontains=text) | Q(object__icontains=text) | Q(reason__icontains=text)
        )
    chosen = {
        "open": Q(acknowledged_at=None),
        "wrong": Q(holds=True),
        "acknowledged": Q(acknowledged_at__isnull=False),
    }.get(state.value("state"))
    return rows if chosen is None else rows.filter(chosen)


def _badge(finding: Finding) -> Badge:
    if finding.holds:
        return _WRONG
    return _DONE if finding.acknowledged_at else _RIGHT


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "finding": finding,
        "id": finding.id,
        "open": finding.acknowledged_at is None,
        "href": reverse("finding", args=[finding.id]),
        "state": _badge(finding),
    }
