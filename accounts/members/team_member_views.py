"""Dialogs of a team's page (W52) that add and remove members."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from accounts.members import team_members
from accounts.members.forms import role_label
from accounts.models import Membership, Team
from lib.htmx import redirect_to, render_dialog
from lib.refusal import Refused

_DIALOG = "accounts/organisations/form_dialog.html"


class AddressForm(forms.Form):
    """The address of the member who is added to a team."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        help_text=gettext_lazy("The address of a member of the organisation."),
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )


class MemberForm(forms.Form):
    """The member of the organisation who is added to a team, chosen from a list."""

    email = forms.ChoiceField(
        label=gettext_lazy("Member"), widget=forms.Select(attrs={"autofocus": True})
    )

    def __init__(self, data: object, people: list[Membership]) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["email"].choices = [  # type: ignore[attr-defined]
            (member.user.email, _label(member)) for member in people
        ]
        if not people:
            del self.fields["email"]


def _label(member: Membership) -> str:
    names = filter(None, (member.user.name, member.user.email, role_label(member)))
    return " · ".join(names)


@organisation_page("team_members.write")
@require_http_methods(["GET", "HEAD", "POST"])
def team_member_add(request: HttpRequest, actor: Actor, team: str) -> HttpResponseBase:
    row = access.team_to_staff(actor, team)
    people = team_members.addable_members(actor, row)
    by_address = not team_members.sees_every_member(actor)
    data = request.POST or None
    form = AddressForm(data) if by_address else MemberForm(data, people)
    if request.method == "POST" and "email" in form.fields and form.is_valid():
        try:
            member = team_members.add_to_team(actor, row, form.cleaned_data["email"])
        except Refused as refused:
            refused.add_to(form)
        else:
            text = gettext("%(name)s was added to %(team)s.")
            messages.success(request, text % {"name": member.user, "team": row.name})
            return _redirect_to_team(request, actor, row)
    line = "" if form.fields else gettext("Everyone you can add is already in this team.")
    context = {
        "form": form,
        "title": gettext("Add a member to %(team)s") % {"team": row.name},
        "line": line,
        "verb": gettext("Add member") if form.fields else "",
        **_back_link(actor, row),
    }
    return render_dialog(request, _DIALOG, context, refused=form.is_bound)


@organisation_page("team_members.write")
@require_http_methods(["GET", "HEAD", "POST"])
def team_member_remove(request: HttpRequest, actor: Actor, team: str, id: str) -> HttpResponseBase:
    row = access.team_to_staff(actor, team)
    member = team_members.access_team_member(actor, row, id)
    form = forms.Form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            team_members.remove_from_team(actor, row, member)
        except Refused as refused:
            form.add_error(None, refused.message)
        else:
            text = gettext("%(name)s was removed from %(team)s.")
            messages.success(request, text % {"name": member.user, "team": row.name})
            return _redirect_to_team(request, actor, row)
    names = {"name": member.user, "team": row.name}
    context = {
        "form": form,
        "title": gettext("Remove %(name)s from %(team)s") % names,
        "line": gettext("Their keys of this team stop working. They stay in the organisation."),
        "verb": gettext("Remove"),
        "kind": "danger",
        **_back_link(actor, row),
    }
    return render_dialog(request, _DIALOG, context, refused=form.is_bound)


@organisation_page("teams.write")
@require_POST
def team_lead(request: HttpRequest, actor: Actor, team: str, id: str) -> HttpResponseBase:
    """Make a member the lead of the team, or end the lead."""
    row = access.writable_team(actor, team)
    member = team_members.access_team_member(actor, row, id)
    lead = request.POST.get("lead") == "1"
    try:
        team_members.set_lead(actor, row, member, lead)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        text = gettext("%(name)s leads %(team)s.")
        if not lead:
            text = gettext("%(name)s no longer leads %(team)s.")
        messages.success(request, text % {"name": member.user, "team": row.name})
    return _redirect_to_team(request, actor, row)


def _redirect_to_team(request: HttpRequest, actor: Actor, team: Team) -> HttpResponse:
    # A person who removed themselves may no longer see the team.
    if access.visible_teams(actor).filter(pk=team.pk).exists():
        return redirect_to(request, "team", slug_of(actor), team.slug)
    return redirect_to(request, "teams", slug_of(actor))


def _back_link(actor: Actor, team: Team) -> dict[str, str]:
    return {"back": reverse("team", args=[slug_of(actor), team.slug]), "back_text": team.name}
