"""Dialogs of the page of members (W51): change the role or the teams of one member or of
several."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.actors import Actor, authority_of, organisation_of, slug_of
from accounts.access.guards import organisation_page
from accounts.members import access as member_access
from accounts.members import members
from accounts.members.authority import Authority
from accounts.members.forms import MemberForm, RoleAndTeamsForm
from accounts.models import Key, Membership
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
    form = RoleAndTeamsForm(actor, {"role": request.POST.get("role", "")})
    form.fields.pop("teams", None)
    if not form.is_valid():
        messages.error(request, gettext("Choose a role."))
        return _redirect_to_members(request, actor)
    role, custom_role = form.chosen_role
    ids = request.POST.getlist("id")[:_BULK_MAX]
    chosen = [member_access.access_member(actor, id) for id in ids]
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
