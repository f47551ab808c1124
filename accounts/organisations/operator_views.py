"""Operators' pages about people and organisations (W75, W76). The list of organisations is in
`usage`, because it shows their spending."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, actor_in_organisation, organisation_of
from accounts.access.entry_requirements import people_with_factor
from accounts.guards.guards import operator_page
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.members import members
from accounts.models import Role, User
from accounts.organisations import organisations
from accounts.organisations.forms import NewMemberForm, NewOrganisationForm, SuspensionForm
from accounts.preferences.table_preferences import read_table
from accounts.second_factor import second_factor
from accounts.sessions import sessions
from lib.htmx import redirect_to, render_dialog, see_other
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table

_ACTIVE = Badge(_("Active"), "ok")
_INACTIVE = Badge(_("Deactivated"), "bad", "ban")
_ERASED = Badge(_("Erased"), icon="trash-2")
_OPERATOR = Badge(pgettext_lazy("person", "Operator"), "info", "shield")
_FACTOR = Badge(_("On"), "ok", "shield")
_NO_FACTOR = Badge(_("Off"))


def factor_badge(secured: bool) -> Badge:
    """Return the badge that shows in lists whether a person signs in with a second factor."""
    return _FACTOR if secured else _NO_FACTOR


PEOPLE = Table(
    "people",
    _("People"),
    (
        Column("email", _("Email"), sort=True, card="title"),
        Column("name", _("Name"), priority=2),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("organisations", _("Organisations"), priority=2, card="second"),
        Column("second_factor", _("Two-factor"), "badge", priority=3),
        Column("last_login", _("Last sign-in"), "ago", card="last"),
        Column("created", _("Created"), "ago", value="created_at", sort="id", chosen=False),
    ),
    default_sort="email",
    filters=(
        Filter("q", _("Email or name"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(
                ("", _("Anyone")),
                ("active", _("Active")),
                ("inactive", _("Deactivated")),
                ("operator", _("Operators")),
            ),
        ),
    ),
    big=True,
)


@operator_page("organisations.read")
@require_safe
def people_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PEOPLE, request, actor)
    rows = access.all_people(actor)
    query = state.value("q")
    if query:
        rows = rows.filter(email__icontains=query) | rows.filter(name__icontains=query)
    states: dict[str, dict[str, bool]] = {
        "active": {"is_active": True},
        "inactive": {"is_active": False},
        "operator": {"operator": True},
    }
    rows = rows.filter(**states.get(state.value("state"), {}))
    rows = rows.prefetch_related("memberships__organisation")
    templates = ("accounts/organisations/people.html", "accounts/organisations/_people.html")
    return answer_table(request, state, QuerySource(rows), templates, {}, partial(_people, actor))


def _people(actor: Actor, page: Sequence[User]) -> list[dict[str, Any]]:
    secured = people_with_factor(user.pk for user in page)
    ids = [user.pk for user in page]
    erased = members.erased_people(ids)
    return [
        _person(actor, user, secured=user.pk in secured, erased=user.pk in erased) for user in page
    ]


def _person(actor: Actor, user: User, *, secured: bool, erased: bool) -> dict[str, Any]:
    badge = _OPERATOR if user.operator else _ACTIVE
    inactive = _ERASED if erased else _INACTIVE
    return {
        "id": user.pk,
        "email": user.email,
        "name": user.name,
        "badge": badge if user.is_active else inactive,
        "erased": erased,
        "oneself": user == actor.user,
        "active": user.is_active,
        "operator": user.operator,
        "second_factor": factor_badge(secured),
        "secured": secured,
        "organisations": ", ".join(
            sorted(membership.organisation.name for membership in user.memberships.all())
        ),
        "last_login": user.last_login,
        "created_at": user.created_at,
    }


@operator_page("organisations.write")
@require_POST
def person_activate(request: HttpRequest, actor: Actor, id: str, active: bool) -> HttpResponseBase:
    person = access.access_person(actor, id)
    if person == actor.user:
        messages.error(request, gettext("You cannot deactivate yourself."))
        return see_other("people")
    try:
        members.set_active(person, active, actor=actor)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        text = gettext("%(email)s can sign in again.")
        if not active:
            text = gettext("%(email)s was deactivated. Their sessions and keys no longer work.")
        messages.success(request, text % {"email": person.email})
    return see_other("people")


@operator_page("organisations.write")
@require_POST
def person_end_sessions(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    person = access.access_person(actor, id)
    count = sessions.end(person, "session.ended", actor=actor)
    text = ngettext(
        "%(n)s session of %(email)s was ended.", "%(n)s sessions of %(email)s were ended.", count
    )
    messages.success(request, text % {"n": count, "email": person.email})
    return see_other("people")


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_sign_in_required(
    _("reset a person's two-factor authentication"),
    _("People"),
    _("Reset two-factor authentication"),
)
def person_reset_factors(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    person = access.access_person(actor, id)
    form = forms.Form(request.POST or None)
    if request.method == "POST":
        try:
            second_factor.reset_factors(actor, person)
        except Refused as refused:
            messages.error(request, refused.message)
        else:
            text = gettext("Two-factor authentication of %(email)s was reset.")
            messages.success(request, text % {"email": person.email})
        return redirect_to(request, "people")
    context = {
        "form": form,
        "title": gettext("Reset two-factor authentication"),
        "line": gettext(
            "Removes the authenticator app, passkeys and recovery codes of %(email)s and "
            "signs them out everywhere. They get an email, and sign in with their password "
            "alone until they set it up again. Make sure that the request really comes from "
            "them."
        )
        % {"email": person.email},
        "verb": gettext("Reset"),
        "kind": "danger",
        "back": reverse("people"),
        "back_text": gettext("People"),
    }
    return render_dialog(request, "accounts/organisations/form_dialog.html", context)


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
def organisation_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = NewOrganisationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            organisation = organisations.create_for(**form.cleaned_data, actor=actor)
        except Refused as refused:
            refused.add_to(form)
        else:
            text = gettext("%(name)s was created.") % {"name": organisation.name}
            messages.success(request, text)
            if form.cleaned_data["owner"]:
                return redirect_to(request, "organisations")
            return redirect_to(request, "home", organisation.slug)
    context = {
        "form": form,
        "title": gettext("New organisation"),
        "verb": gettext("Create"),
        "back": reverse("organisations"),
        "back_text": gettext("Organisations"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
def organisation_add_member(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    there = actor_in_organisation(actor, slug)
    organisation = organisation_of(there)
    form = NewMemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email, role = form.cleaned_data["email"], Role(form.cleaned_data["role"])
        try:
            members.add_member(organisation, email, role, actor=there)
        except Refused as refused:
            refused.add_to(form)
        else:
            text = gettext("%(email)s was added to %(name)s.")
            messages.success(request, text % {"email": email, "name": organisation.name})
            return redirect_to(request, "organisations")
    context = {
        "form": form,
        "title": gettext("Add a member to %(name)s") % {"name": organisation.name},
        "line": gettext(
            "You can grant what your own role in this organisation includes. If it has no owner, "
            "you can add one."
        ),
        "verb": gettext("Add"),
        "back": reverse("organisations"),
        "back_text": gettext("Organisations"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
def organisation_suspend(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    organisation = access.access_organisation(actor, slug)
    form = SuspensionForm(request.POST or None, initial={"reason": organisation.suspended_reason})
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        organisations.suspend_organisation(organisation, reason, actor=actor)
        messages.success(request, gettext("%(name)s is suspended.") % {"name": organisation.name})
        return redirect_to(request, "organisations")
    context = {
        "form": form,
        "title": gettext("Suspend %(name)s") % {"name": organisation.name},
        "line": gettext("Its keys stop working now. Members can still read and top up."),
        "verb": gettext("Suspend"),
        "kind": "danger",
        "back": reverse("organisations"),
        "back_text": gettext("Organisations"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )


@operator_page("organisations.write")
@require_POST
def organisation_unsuspend(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    organisation = access.access_organisation(actor, slug)
    organisations.lift_suspension(organisation, actor=actor)
    text = gettext("%(name)s is no longer suspended.")
    messages.success(request, text % {"name": organisation.name})
    return see_other("organisations")


@operator_page("organisations.write")
@require_POST
def organisation_restore(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    organisation = access.access_organisation(actor, slug)
    organisations.restore_organisation(organisation, actor=actor)
    messages.success(request, gettext("%(name)s was restored.") % {"name": organisation.name})
    return see_other("organisations")
