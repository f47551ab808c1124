"""The page of everything that waits for a second person, for operators."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.preferences.table_preferences import read_table
from billing.approvals import approvals
from billing.approvals.approvals import KINDS, REASON_MAX
from billing.approvals.words import APPROVAL_BADGES, change_text, lines_of
from billing.models import Approval, ApprovalState
from lib.htmx import see_other
from lib.refusal import Refused
from lib.sentences import named_text
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Column, Filter, Table

APPROVALS = Table(
    "approvals",
    _("Waiting for you"),
    (
        Column("time", _("Requested"), "ago", value="asked_at", sort="asked_at", card="last"),
        Column("about", _("Change"), value=lambda row: KINDS[row.kind].name_of(row), sort="about",
               href="href", card="title"),
        Column("kind", _("Type"), value=lambda row: KINDS[row.kind].title, sort="kind"),
        Column("changes", pgettext_lazy("approval", "Before → after"), value=change_text,
               card="second"),
        Column("state", _("Status"), "badge", sort="state", card="first",
               value=lambda row: APPROVAL_BADGES[ApprovalState(row.state)]),
        Column("reason", _("Reason"), sort=True, priority=3),
        Column("by", _("Requested by"), value="asked_by.email", sort="asked_by__email",
               priority=2),
        Column("decided_by", _("Decided by"), value="decided_by.email", chosen=False),
        Column("decided", _("Decided"), "time", value="decided_at", sort=True, chosen=False),
        Column("answer", _("Reply"), sort=True, chosen=False),
        Column("id", _("ID"), "code", value="outer_id", chosen=False),
    ),
    default_sort="-time",
    filters=(
        Filter("q", _("Change, reason or person"), "search"),
        Filter("kind", _("Type")),
        Filter(
            "state", _("Status"), default="waiting",
            choices=(*((str(name), badge.text) for name, badge in APPROVAL_BADGES.items()),
                     ("any", _("Any status"))),
        ),
    ),
)  # fmt: skip


class DecisionForm(forms.Form):
    """Whether a change is approved or rejected, and why; `confirmed` if it needs a confirmation."""

    act = forms.ChoiceField(choices=[(name, name) for name in ("approve", "reject")])
    reason = forms.CharField(
        label=_("Your reply"),
        max_length=REASON_MAX,
        required=False,
        help_text=_("Required to reject."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    confirmed = forms.BooleanField(required=False)


@operator_page("credits.read")
@require_safe
def approval_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    by_title = sorted(KINDS.values(), key=lambda kind: str(kind.title))
    kinds = [("", gettext("Any type")), *((kind.name, kind.title) for kind in by_title)]
    state = read_table(APPROVALS, request, actor, choices={"kind": kinds})
    rows = approvals.visible_approvals(actor)
    if state.value("state") != "any":
        rows = rows.filter(state=state.value("state"))
    if state.value("kind"):
        rows = rows.filter(kind=state.value("kind"))
    if text := state.value("q"):
        people = Q(asked_by__email__icontains=text) | Q(decided_by__email__icontains=text)
        rows = rows.filter(people | Q(about__icontains=text) | Q(reason__icontains=text))

    def make(page: list[Approval]) -> list[Approval]:
        for row in page:
            row.href = reverse("approval", args=[row.outer_id])  # type: ignore[attr-defined]
        return page

    templates = ("billing/approvals/approvals.html", "billing/approvals/_approvals.html")
    return answer_table(request, state, QuerySource(rows), templates, {}, make)


@operator_page("credits.read")
@require_safe
def approval(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _page(request, actor, approvals.access_approval(actor, id), DecisionForm())


@operator_page("credits.read")
@require_POST
@recent_sign_in_required(_("decide on a change"), _("Waiting for you"))
def approval_decide(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    row = approvals.access_approval(actor, id)
    form = DecisionForm(request.POST)
    if form.is_valid():
        approve = form.cleaned_data["act"] == "approve"
        if approve and KINDS[row.kind].warn(row) and not form.cleaned_data["confirmed"]:
            form.add_error("confirmed", gettext("Confirm that this is intended."))
        else:
            try:
                decided = approvals.decide(
                    actor, row, approve=approve, reason=form.cleaned_data["reason"]
                )
            except Refused as refused:
                refused.add_to(form)
            else:
                badge = APPROVAL_BADGES[ApprovalState(decided.state)]
                messages.success(request, named_text(KINDS[row.kind].name_of(row), badge.text))
                return see_other("approvals")
    return _page(request, actor, row, form)


def _subject_page(row: Approval) -> str:
    """Return the page of what changes; "" where its rejection may have deleted it."""
    if row.state not in (ApprovalState.WAITING, ApprovalState.APPROVED):
        return ""
    subject = KINDS[row.kind].subject_of(row)
    return reverse(KINDS[row.kind].page, args=[subject] if subject else [])


def _page(
    request: HttpRequest, actor: Actor, row: Approval, form: DecisionForm
) -> HttpResponseBase:
    kind, waits = KINDS[row.kind], row.state == ApprovalState.WAITING
    context: dict[str, Any] = {
        "approval": row,
        "id": row.outer_id,
        "title": kind.title,
        "name": kind.name_of(row),
        "lines": lines_of(row) + (kind.effects(row) if waits else []),
        "href": _subject_page(row),
        "badge": APPROVAL_BADGES[ApprovalState(row.state)],
        "waits": waits,
        "own": row.asked_by == actor.user,
        "may_decide": access.scope_of(actor, kind.action) is not None,
        "warning": kind.warn(row) if waits else "",
        "form": form,
    }
    status = 422 if form.is_bound else 200
    return render(request, "billing/approvals/approval.html", context, status=status)
