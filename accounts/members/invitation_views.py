"""The pages on which members invite others (W51)."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.mail_server.current_server import mail_is_set_up
from accounts.members import access as member_access
from accounts.members import invitations
from accounts.members.forms import InviteForm, role_label
from accounts.members.invitation_letters import send_letters
from accounts.members.invitations import (
    INVITATION_DAYS,
    InvitationState,
    Sendable,
    state_of,
)
from accounts.models import Invitation
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.htmx import back_to, render_dialog, see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, Table

_BADGES: dict[InvitationState, Badge] = {
    "pending": Badge(pgettext_lazy("invitation", "Pending"), "info", icon="clock"),
    "expired": Badge(_("Expired"), "warn"),
    "accepted": Badge(_("Accepted"), "ok"),
    "withdrawn": Badge(_("Withdrawn"), icon="ban"),
}
_STATES = (("open", _("Open")), *((state, badge.text) for state, badge in _BADGES.items()),
           ("all", _("All")))  # fmt: skip
INVITATIONS = Table(
    "invitations",
    _("Invitations"),
    (
        Column("email", _("Email"), sort=True, card="title"),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("role", _("Role"), sort=True, card="second"),
        Column("teams", _("Teams"), priority=3),
        Column("inviter", _("Invited by"), sort=True, priority=3),
        Column("sent", _("Email sent"), "ago", value="invitation.sent_at", sort=True, priority=4),
        Column("expires", _("Expires"), "ago", value="invitation.expires_at", sort=True,
               card="last"),
        Column("created", _("Created"), "time", value="invitation.created_at",
               sort="invitation.id", chosen=False),
    ),
    default_sort="-created",
    key="invitation.id",
    filters=(
        Filter("q", _("Email or inviter"), "search"),
        Filter("state", _("Status"), choices=_STATES, default="open"),
    ),
    refresh="invitations-changed",
)  # fmt: skip


@organisation_page("members.read")
@require_safe
def invitation_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(INVITATIONS, request, actor)
    words = state.value("q").casefold()
    rows = [
        row
        for row in map(_invitation_row, member_access.visible_invitations(actor))
        if state.value("state") in (row["state"], "all")
        or (state.value("state") == "open" and row["state"] in ("pending", "expired"))
        if words in f"{row['email']} {row['inviter']}".casefold()
    ]
    for row in rows:
        row["may_write"] = member_access.may_write_invitation(actor, row["invitation"])
    templates = ("accounts/members/invitations.html", "accounts/members/_invitations.html")
    context = {"may_invite": _may_invite(actor)}
    return answer_table(request, state, ListSource(rows), templates, context)


def _invitation_row(invitation: Invitation) -> dict[str, Any]:
    state = state_of(invitation, clock.now())
    inviter = invitation.invited_by
    return {
        "invitation": invitation,
        "id": id_text(invitation.id),
        "email": invitation.email or gettext("Link"),
        "state": state,
        "open": state in ("pending", "expired"),
        "badge": _BADGES[state],
        "role": role_label(invitation),
        "teams": teams_text(invitation),
        "inviter": (inviter.name or inviter.email) if inviter else "",
    }


def teams_text(row: Any) -> str:
    """Return the teams of a member or an offer, as text."""
    if row.all_teams:
        return gettext("All teams")
    return ", ".join(sorted(team.name for team in row.teams.all()))


def _may_invite(actor: Actor) -> bool:
    return access.scope_of(actor, "members.write") is not None


@organisation_page("members.write")
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = InviteForm(actor, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            results = invitations.invite(
                organisation_of(actor), form.cleaned_data["emails"], form.offer, actor=actor
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            return _invited_response(request, results)
    context = {"form": form, "mail_is_set_up": mail_is_set_up()}
    return render_dialog(request, "accounts/members/invite.html", context, refused=form.is_bound)


@organisation_page("members.write")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_resend(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    invitation = member_access.writable_invitation(actor, id)
    wrong = ""
    if request.method == "POST":
        try:
            return _invited_response(request, [invitations.resend(invitation, actor=actor)])
        except Refused as refused:
            wrong = refused.message
    context = {"invitation": invitation, "id": id, "wrong": wrong, "days": INVITATION_DAYS}
    return render_dialog(
        request, "accounts/members/invitation_resend.html", context, refused=bool(wrong)
    )


@organisation_page("members.write")
@require_POST
def invitation_withdraw(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    try:
        invitations.withdraw(member_access.writable_invitation(actor, id), actor=actor)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, gettext("Invitation withdrawn. Its link no longer works."))
    return see_other(back_to(request, reverse("invitations", args=[slug_of(actor)])))


def _invited_response(request: HttpRequest, results: list[Sendable]) -> HttpResponse:
    """Return the only response that contains the links. It is not cached (`private, no-store`)."""
    errors = send_letters(results)
    rows = [
        {
            "email": sendable.invitation.email,
            "link": f"{settings.PUBLIC_URL}{sendable.path}",
            "error": errors.get(sendable.invitation.email, ""),
            "n": str(n),
        }
        for n, sendable in enumerate(results)
    ]
    context = {"rows": rows, "expires_at": results[0].invitation.expires_at}
    response = render_dialog(request, "accounts/members/invite_made.html", context)
    response["HX-Trigger"] = "invitations-changed"
    return response
