"""The settings of an organisation (W57)."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.access.access import ROLE_NAMES, scope_of
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.access.guards import organisation_page
from accounts.forms import OrganisationForm
from accounts.models import Organisation, Role
from accounts.organisations import organisations
from lib.htmx import render_dialog, see_other
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
