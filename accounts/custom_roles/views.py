"""Pages of an organisation's custom roles (W51)."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import access
from accounts.access.actors import Actor, authority_of, organisation_of, slug_of
from accounts.custom_roles import custom_roles
from accounts.guards.guards import organisation_page
from accounts.members import access as member_access
from accounts.members.forms import CustomRoleForm, role_label
from accounts.models import CustomRole, Role
from accounts.preferences.table_preferences import read_table
from accounts.roles.authority import Authority, outranks
from accounts.roles.words import WORDS, has_permission, permission_groups
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, Table

_KINDS = {
    "built_in": Badge(_("Built-in")),
    "custom": Badge(pgettext_lazy("role", "Custom"), "info", icon="pencil"),
}
ROLES = Table(
    "roles",
    _("Roles"),
    (
        Column("name", _("Role"), sort=True, card="title"),
        Column("kind", _("Type"), "badge", value="badge", sort="n", card="first"),
        Column("can", _("Permissions"), "number", sort=True, card="second"),
        Column("members", _("Members"), "number", sort=True, card="last"),
    ),
    default_sort="kind",
    key="n",
    filters=(Filter("q", _("Role"), "search"),),
    href="href",
)


@organisation_page("members.read")
@require_safe
def role_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(ROLES, request, actor)
    words = state.value("q").casefold()
    rows = [row for row in _role_rows(actor) if words in row["name"].casefold()]
    templates = ("accounts/roles/roles.html", "accounts/roles/_roles.html")
    context = {"may_write": _may_write(actor)}
    return answer_table(request, state, ListSource(rows), templates, context)


def _role_rows(actor: Actor) -> list[dict[str, Any]]:
    """Return the rows of the built-in roles, the one with most permissions first, then of the
    custom roles."""
    counts: dict[tuple[str, UUID | None], int] = {
        (row["role"], row["custom_role"]): row["n"]
        for row in member_access.visible_members(actor)
        .order_by()
        .values("role", "custom_role")
        .annotate(n=Count("id", distinct=True))
    }
    roles: list[tuple[Role, CustomRole | None]] = [
        *((role, None) for role in Role if role != Role.CUSTOM),
        *((Role.CUSTOM, role) for role in member_access.visible_roles(actor)),
    ]
    return [
        {
            "n": n,
            "role": custom,
            "id": id_text(custom.id) if custom else str(role),
            "name": role_label(custom or role),
            "badge": _KINDS["custom" if custom else "built_in"],
            "can": _count(role, custom),
            "may_change": custom is not None and _may_change(actor, custom),
            "members": counts.get((str(role), custom.id if custom else None), 0),
            "href": reverse(
                "role", args=[slug_of(actor), id_text(custom.id) if custom else str(role)]
            ),
        }
        for n, (role, custom) in enumerate(roles)
    ]


def _count(role: Role, custom: CustomRole | None) -> int:
    """Count the role's permissions. The permission for all objects and the one for own objects
    count as one."""
    lines = [line for _, group in permission_groups(_authority(role, custom)) for line in group]
    return sum(line.has for line in lines)


def _may_write(actor: Actor) -> bool:
    return access.scope_of(actor, "roles.write") is not None


@organisation_page("roles.write")
@require_http_methods(["GET", "HEAD", "POST"])
def role_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = CustomRoleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            role = custom_roles.create_role(
                organisation_of(actor),
                form.cleaned_data["name"],
                form.cleaned_data["permissions"],
                actor=actor,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Role %(name)s created.") % {"name": role.name})
            return redirect_to(request, "roles", slug_of(actor))
    context = {"form": form, "groups": form.groups(), "missing": _missing(actor)}
    return render(
        request, "accounts/roles/role.html", context, status=422 if form.is_bound else 200
    )


@organisation_page("members.read")
@require_http_methods(["GET", "HEAD", "POST"])
def role(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Show a role's permissions and members, and an editor to those who may change it."""
    if id == Role.CUSTOM:
        raise Http404
    custom = None if id in Role.values else member_access.access_role(actor, id)
    may_change = custom is not None and _may_change(actor, custom)
    if request.method == "POST" and not may_change:
        access.require(actor, "roles.write")
        raise access.AccessDenied(
            gettext("This role can do as much as yours, so you cannot change it. Ask an owner.")
        )
    built_in = Role(id) if custom is None else Role.CUSTOM
    form = None
    if custom is not None and may_change:
        initial = {"name": custom.name, "permissions": custom.permissions}
        form = CustomRoleForm(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid() and _save_role(actor, custom, form):
            messages.success(request, gettext("Role %(name)s saved.") % form.cleaned_data)
            return redirect_to(request, "roles", slug_of(actor))
    members = member_access.visible_members(actor).filter(role=built_in, custom_role=custom)
    context = {
        "role": custom,
        "id": id,
        "name": role_label(custom or built_in),
        "form": form,
        "groups": form.groups() if form else permission_groups(_authority(built_in, custom)),
        "missing": _missing(actor),
        "members": members,
        "sees_members": access.scope_of(actor, "members.read") not in (None, "own"),
    }
    refused = form is not None and form.is_bound
    return render(request, "accounts/roles/role.html", context, status=422 if refused else 200)


def _save_role(actor: Actor, custom: CustomRole, form: CustomRoleForm) -> bool:
    """Save the form. If that is refused, add the error to the form."""
    data = form.cleaned_data
    try:
        custom_roles.change_role(
            custom, name=data["name"], permissions=data["permissions"], actor=actor
        )
    except Refused as refused:
        refused.add_to(form)
        return False
    return True


@organisation_page("roles.write")
@require_http_methods(["GET", "HEAD", "POST"])
def role_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    custom = member_access.access_role(actor, id)
    wrong = ""
    if request.method == "POST":
        try:
            custom_roles.remove_role(custom, actor=actor)
        except Refused as refused:
            wrong = refused.message
        else:
            messages.success(request, gettext("Role %(name)s deleted.") % {"name": custom.name})
            return redirect_to(request, "roles", slug_of(actor))
    context = {"role": custom, "wrong": wrong}
    return render_dialog(request, "accounts/roles/role_remove.html", context, refused=bool(wrong))


def _authority(role: Role, custom: CustomRole | None) -> Authority:
    return authority_of(role, custom.permissions if custom else ())


def _may_change(actor: Actor, custom: CustomRole) -> bool:
    return _may_write(actor) and outranks(actor.authority, _authority(Role.CUSTOM, custom))


def _missing(actor: Actor) -> list[str]:
    """Return the permissions that the actor lacks and so cannot grant (P23). An owner grants all,
    also those that no built-in role has."""
    if actor.authority.owns:
        return []
    return [name for name in WORDS if not has_permission(actor.authority, name)]
