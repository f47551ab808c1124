"""The settings of an organisation (W57), and the dialogs of its teams and projects (W52). Their
lists are in `usage`, because they show spending."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import access, actors
from accounts.access.access import ROLE_NAMES, scope_of
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys import keys
from accounts.models import Organisation, Project, Role, Team
from accounts.names.names import label_of_choice
from accounts.organisations import organisations, projects, teams
from accounts.organisations.forms import OrganisationForm, ProjectForm, TeamForm
from lib.htmx import redirect_to, render_dialog, see_other
from lib.refusal import Refused

_FIELDS = (
    *("name", "include_cost", "retention_hours", "client_address_days", "zero_retention"),
    *("data_regions", "required_labels", "display_currency", "second_factor_roles"),
)


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = organisation_of(actor)
    initial = {name: getattr(organisation, name) for name in _FIELDS}
    signs_in = scope_of(actor, "sign_in.write") is not None
    roles = _roles(organisation) if signs_in else None
    form = OrganisationForm(request.POST or None, initial=initial, roles=roles)
    if request.method == "POST" and form.is_valid():
        try:
            _save(actor, organisation, form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Settings saved."))
            return see_other("settings", slug_of(actor))
    context = {"form": form}
    return render(
        request, "accounts/organisations/settings.html", context, status=422 if form.errors else 200
    )


def _save(actor: Actor, organisation: Organisation, data: dict[str, Any]) -> None:
    """Save all changes or none."""
    with transaction.atomic():
        organisations.rename_organisation(organisation, data["name"], actor=actor)
        organisations.set_include_cost(organisation, data["include_cost"], actor=actor)
        organisations.set_retention(organisation, data["retention_hours"], actor=actor)
        organisations.set_client_address_days(
            organisation, data["client_address_days"], actor=actor
        )
        organisations.set_data_policy(
            organisation,
            zero_retention=data["zero_retention"],
            regions=data["data_regions"],
            actor=actor,
        )
        organisations.require_labels(organisation, data["required_labels"], actor=actor)
        organisations.set_display_currency(organisation, data["display_currency"], actor=actor)
        if (names := data.get("second_factor_roles")) is not None:
            organisations.force_second_factor(organisation, names, actor=actor)


def _roles(organisation: Organisation) -> list[tuple[str, Any]]:
    """Return the built-in roles as choices, and all custom roles as one choice."""
    has_custom = organisation.custom_roles.exists()
    names = {**ROLE_NAMES, "custom": _("custom roles")}
    return [
        (role.value, names[role.value].capitalize())
        for role in Role
        if role != Role.CUSTOM or has_custom or "custom" in organisation.second_factor_roles
    ]


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def organisation_archive(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = organisation_of(actor)
    wrong = False
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() == organisation.name:
            organisations.archive_organisation(organisation, actor=actor)
            messages.success(
                request, gettext("%(name)s was archived.") % {"name": organisation.name}
            )
            return see_other("root")
        wrong = True
    return render_dialog(
        request, "accounts/organisations/organisation_archive.html", {"wrong": wrong}, refused=wrong
    )


_DIALOG = "accounts/organisations/form_dialog.html"


@organisation_page("teams.write")
@require_http_methods(["GET", "HEAD", "POST"])
def team_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    access.require_all_teams(actor)
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                team = teams.create_team(
                    actors.organisation_of(actor), form.cleaned_data["name"], actor=actor
                )
                _set_rules(actor, team, form)
        except Refused as refused:
            refused.add_to(form)
        else:
            return redirect_to(request, "team", slug_of(actor), team.slug)
    return _dialog(request, actor, form, gettext("Create team"), gettext("Create team"))


@organisation_page("teams.write")
@require_http_methods(["GET", "HEAD", "POST"])
def team_edit(request: HttpRequest, actor: Actor, team: str) -> HttpResponseBase:
    row = access.writable_team(actor, team)
    names = ("name", "required_labels", "cache_seconds", "cache_price_percent")
    initial = {name: getattr(row, name) for name in names}
    form = TeamForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                teams.rename_team(row, form.cleaned_data["name"], actor=actor)
                _set_rules(actor, row, form)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Team saved."))
            return redirect_to(request, "team", slug_of(actor), row.slug)
    return _dialog(request, actor, form, _edit_title(row), gettext("Save"))


def _set_rules(actor: Actor, team: Team, form: TeamForm) -> None:
    data = form.cleaned_data
    organisations.require_labels(team, data["required_labels"], actor=actor)
    cache = {name: data[name] for name in ("cache_seconds", "cache_price_percent")}
    keys.change_limits(actor, team, **cache)


@organisation_page("teams.write")
@require_POST
def team_archive(request: HttpRequest, actor: Actor, team: str) -> HttpResponseBase:
    row = access.writable_team(actor, team)
    try:
        teams.archive_team(row, actor=actor)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, gettext("Team archived. Its keys no longer work."))
    return see_other("teams", slug_of(actor))


@organisation_page("teams.write")
@require_POST
def team_restore(request: HttpRequest, actor: Actor, team: str) -> HttpResponseBase:
    teams.restore_team(access.writable_team(actor, team), actor=actor)
    messages.success(request, gettext("Team restored. Its keys work again."))
    return see_other("teams", slug_of(actor))


@organisation_page("teams.write")
@require_http_methods(["GET", "HEAD", "POST"])
def project_create(request: HttpRequest, actor: Actor, team: str) -> HttpResponseBase:
    row = access.writable_team(actor, team)
    form = ProjectForm(request.POST or None, teams=_choices(actor), initial={"team": row.slug})
    if request.method == "POST" and form.is_valid():
        try:
            chosen = access.access_team(actor, form.cleaned_data["team"])
            projects.create_project(chosen, form.cleaned_data["name"], actor=actor)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Project created."))
            return redirect_to(request, "team", slug_of(actor), chosen.slug)
    return _dialog(request, actor, form, gettext("Create project"), gettext("Create project"))


@organisation_page("teams.write")
@require_http_methods(["GET", "HEAD", "POST"])
def project_edit(request: HttpRequest, actor: Actor, project: str) -> HttpResponseBase:
    row = access.writable_project(actor, project)
    initial = {"name": row.name, "team": row.team.slug}
    form = ProjectForm(request.POST or None, teams=_choices(actor, row.team), initial=initial)
    if request.method == "POST" and form.is_valid():
        slug, name = form.cleaned_data["team"], form.cleaned_data["name"]
        chosen = row.team if slug == row.team.slug else access.access_team(actor, slug)
        try:
            projects.change_project(row, name=name, team=chosen, actor=actor)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Project saved."))
            return redirect_to(request, "team", slug_of(actor), chosen.slug)
    return _dialog(request, actor, form, _edit_title(row), gettext("Save"))


@organisation_page("teams.write")
@require_POST
def project_archive(request: HttpRequest, actor: Actor, project: str) -> HttpResponseBase:
    row = access.writable_project(actor, project)
    projects.archive_project(row, actor=actor)
    messages.success(request, gettext("Project archived."))
    return _redirect_to_team(actor, row)


@organisation_page("teams.write")
@require_POST
def project_restore(request: HttpRequest, actor: Actor, project: str) -> HttpResponseBase:
    row = access.writable_project(actor, project)
    projects.restore_project(row, actor=actor)
    messages.success(request, gettext("Project restored."))
    return _redirect_to_team(actor, row)


def _redirect_to_team(actor: Actor, project: Project) -> HttpResponse:
    return see_other("team", slug_of(actor), project.team.slug)


def _choices(actor: Actor, present: Team | None = None) -> list[tuple[str, str]]:
    """Return the active teams as choices, and the present one of a project."""
    kept = [present.pk] if present else []
    offered = Q(archived_at=None) | Q(id__in=kept)
    return [
        (team.slug, label_of_choice(team.name, archived=team.archived_at is not None))
        for team in access.visible_teams(actor).filter(offered)
    ]


def _edit_title(row: Team | Project) -> str:
    return gettext("Edit %(name)s") % {"name": row.name}


def _dialog(
    request: HttpRequest, actor: Actor, form: Any, title: str, verb: str
) -> HttpResponseBase:
    context = {
        "form": form,
        "title": title,
        "verb": verb,
        "back": reverse("teams", args=[slug_of(actor)]),
        "back_text": gettext("Teams"),
    }
    return render_dialog(request, _DIALOG, context, refused=form.is_bound)
