"""Dialogs of the page of members (W51), which change the role or the teams of one member or of
several; and of a team's page (W52), which add and remove members."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, authority_of, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.members import access as member_access
from accounts.members import members, team_members
from accounts.members.forms import MemberForm, RoleAndTeamsForm, role_label
from accounts.models import Key, Membership, Team
from accounts.roles.authority import Authority
from accounts.roles.rules import HAS_KEYS
from accounts.roles.words import lost, permission_groups
from lib.htmx import back_to, redirect_to, render_dialog, see_other
from lib.refusal import Refused

_BULK_MAX = 200


@organisation_page("members.write")
@require_http_methods(["GET", "HEAD", "POST"])
def member_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    member = member_access.writable_member(actor, id)
    form = MemberForm(actor, member, request.POST or None)
    if request.method == "POST" and form.is_valid():
        role, custom_role = form.chosen_role
        try:
            members.set_member(
                member.organisation,
                member.user.email,
                role,
                actor=actor,
                custom_role=custom_role,
                teams=form.chosen_teams if "teams" in form.fields else ...,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("%(name)s saved.") % {"name": member.user})
            return redirect_to(request, "member", slug_of(actor), member.pk)
    context = {"form": form, "member": member, **_preview(actor, member, form)}
    return render_dialog(
        request, "accounts/members/member_edit.html", context, refused=form.is_bound
    )


@organisation_page("members.write")
@require_safe
def member_preview(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Preview what the member would be able to do, and what they would lose, with the form's
    values."""
    member = member_access.writable_member(actor, id)
    context = _preview(actor, member, MemberForm(actor, member, request.GET))
    return render(request, "accounts/members/_role_preview.html", context)


@organisation_page("members.write")
@require_POST
def member_bulk(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Give several members one role: all of them, or none if one is refused."""
    ids = request.POST.getlist("id")[:_BULK_MAX]
    chosen = [member_access.access_member(actor, id) for id in ids]
    form = RoleAndTeamsForm(actor, {"role": request.POST.get("role", "")})
    form.fields.pop("teams", None)
    if not form.is_valid():
        messages.error(request, gettext("Choose a role."))
        return _redirect_to_members(request, actor)
    role, custom_role = form.chosen_role
    for member in chosen:
        if not member_access.may_change_member(actor, member):
            text = gettext("You cannot change %(name)s. Nothing was changed.")
            messages.error(request, text % {"name": member.user})
            return _redirect_to_members(request, actor)
    try:
        with transaction.atomic():
            for member in chosen:
                members.set_member(
                    organisation_of(actor),
                    member.user.email,
                    role,
                    actor=actor,
                    custom_role=custom_role,
                )
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        n = len(chosen)
        text = ngettext("Changed %(n)s member.", "Changed %(n)s members.", n)
        messages.success(request, text % {"n": n})
    return _redirect_to_members(request, actor)


def _redirect_to_members(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    return see_other(back_to(request, reverse("members", args=[slug_of(actor)])))


def _preview(actor: Actor, member: Membership, form: MemberForm) -> dict[str, Any]:
    """Return the authority that the form would give the member. For an invalid form, return the
    current authority."""
    held = members.authority_of(member)
    wanted = held
    if form.is_bound and form.is_valid():
        role, custom_role = form.chosen_role
        permissions = custom_role.permissions if custom_role else ()
        teams = form.chosen_teams if "teams" in form.fields else None
        ids = None if teams is None or role == "owner" else [team.pk for team in teams]
        wanted = authority_of(role, permissions, ids)
    return {
        "groups": permission_groups(wanted),
        "lost": lost(held, wanted),
        "keys_lost": len(_keys_that_stop(actor, member, held, wanted)),
    }


def _keys_that_stop(
    actor: Actor, member: Membership, held: Authority, wanted: Authority
) -> list[Key]:
    """Return the keys of the member that work now and would stop working."""
    keys = member_access.working_keys_of(actor, member)
    return [key for key in keys if _is_usable(key, held) and not _is_usable(key, wanted)]


def _is_usable(key: Key, authority: Authority) -> bool:
    in_team = authority.teams is None or key.team_id in authority.teams
    return in_team and (key.kind == "management" or authority.scope_of(HAS_KEYS) is not None)


_DIALOG = "accounts/organisations/form_dialog.html"


class AddressForm(forms.Form):
    """The address of the member who is added to a team."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        help_text=gettext_lazy("The address of a member of the organisation."),
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )


class TeamMemberForm(forms.Form):
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
    form = AddressForm(data) if by_address else TeamMemberForm(data, people)
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
    refusal = team_members.removal_refusal(actor, row, member)
    effect = gettext("Their keys of this team stop working. They stay in the organisation.")
    context = {
        "form": form,
        "title": gettext("Remove %(name)s from %(team)s") % names,
        "line": refusal or effect,
        "verb": "" if refusal else gettext("Remove"),
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
