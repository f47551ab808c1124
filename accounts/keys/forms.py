"""Forms of keys and service accounts."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy

from accounts.access import access
from accounts.access.actors import Actor
from accounts.keys.choices import colleagues_of
from accounts.keys.keys import GRACE_HOURS, GRACE_HOURS_MAX
from accounts.limits.forms import LimitsForm
from accounts.models import (
    CustomRole,
    KeyKind,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.names.forms import NameForm
from lib import clock
from lib.ids import id_text


class KeyPlaceForm(forms.Form):
    """The holder, team and project of a new key. Fields with only one choice are left out. A
    project and a service account determine the team."""

    owner = forms.ChoiceField(label=gettext_lazy("Owner"), required=False)
    team = forms.ChoiceField(label=gettext_lazy("Team"), required=False)
    project = forms.ChoiceField(label=gettext_lazy("Project"), required=False)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accounts: dict[str, ServiceAccount] = {}
        self._people: dict[str, User] = {}
        if access.scope_of(actor, "keys.write") is not None:
            accounts = access.visible_service_accounts(actor).filter(disabled=False)
            self._accounts = {id_text(account.id): account for account in accounts}
            self._people = {str(member.pk): member.user for member in colleagues_of(actor)}
        self._teams = {
            team.slug: team for team in access.visible_teams(actor).filter(archived_at=None)
        }
        self._projects: dict[str, Project] = {}
        if access.scope_of(actor, "teams.read") is not None:
            active = access.visible_projects(actor).filter(archived_at=None)
            self._projects = {project.slug: project for project in active}
        holders = [(id, user.name or user.email) for id, user in self._people.items()]
        holders += [(id, account.name) for id, account in self._accounts.items()]
        projects = [(slug, project.name) for slug, project in self._projects.items()]
        self._offer("owner", [("", gettext("You")), *holders])
        self._offer("team", [(slug, team.name) for slug, team in self._teams.items()])
        self._offer("project", [("", gettext("None")), *projects])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = choices
        if len(choices) < 2:
            del self.fields[name]

    def person(self) -> User | None:
        """Return the colleague who will hold the key, or None if the actor or a service account
        will."""
        return self._people.get(self.cleaned_data.get("owner", ""))

    def place(self) -> tuple[Team | None, ServiceAccount | None, Project | None]:
        """Return the team (None means the actor's first one), the service account and the
        project."""
        account = self._accounts.get(self.cleaned_data.get("owner", ""))
        project = self._projects.get(self.cleaned_data.get("project", ""))
        team = self._teams.get(self.cleaned_data.get("team", ""))
        if project is not None:
            team = project.team
        return (account.team if account else team), account, project


class KeyForm(LimitsForm):
    """The form of a new key."""

    field_order = ("name", "kind", "lifetime", "models")

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=120,
        help_text=gettext_lazy("For example, web-prod."),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autofocus": True,
                "spellcheck": "false",
            }
        ),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Type"),
        choices=[
            (KeyKind.RELAY, gettext_lazy("Model calls")),
            (KeyKind.MANAGEMENT, gettext_lazy("Management API")),
        ],
        help_text=gettext_lazy(
            "Model keys call models and see only their own usage. Management keys can do what "
            "your role allows, but cannot call models."
        ),
    )
    lifetime = forms.ChoiceField(
        label=gettext_lazy("Expires"),
        choices=[
            ("", gettext_lazy("Never")),
            ("7", gettext_lazy("In 7 days")),
            ("30", gettext_lazy("In 30 days")),
            ("90", gettext_lazy("In 90 days")),
            ("365", gettext_lazy("In 1 year")),
        ],
        required=False,
    )

    def clean_lifetime(self) -> dt.datetime | None:
        days = self.cleaned_data["lifetime"]
        return clock.now() + dt.timedelta(days=int(days)) if days else None


class RotationForm(forms.Form):
    """How long the old secret works after a key gets a new one."""

    grace_hours = forms.TypedChoiceField(
        label=gettext_lazy("Keep the old key active for"),
        choices=[
            (str(GRACE_HOURS), gettext_lazy("24 hours")),
            ("1", gettext_lazy("1 hour")),
            ("72", gettext_lazy("3 days")),
            (str(GRACE_HOURS_MAX), gettext_lazy("7 days")),
            ("0", gettext_lazy("Not at all (it was leaked)")),
        ],
        coerce=int,
        widget=forms.Select(attrs={"autofocus": True}),
    )


class RoleChoiceForm(forms.Form):
    """A choice among the roles of an organisation, built in or custom."""

    role = forms.ChoiceField(label=gettext_lazy("Role"), initial=Role.DEVELOPER)

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._custom = {
            id_text(role.id): role for role in organisation.custom_roles.order_by("name")
        }
        built_in = [
            (role.value, str(access.ROLE_NAMES[role.value]).capitalize())
            for role in Role
            if role not in (Role.OWNER, Role.CUSTOM)
        ]
        custom = [(id, role.name) for id, role in self._custom.items()]
        cast(forms.ChoiceField, self.fields["role"]).choices = [*built_in, *custom]

    def chosen_role(self) -> tuple[Role, CustomRole | None]:
        """Return the chosen role as stored."""
        custom = self._custom.get(self.cleaned_data["role"])
        return (Role.CUSTOM, custom) if custom else (Role(self.cleaned_data["role"]), None)


class ServiceAccountForm(NameForm, RoleChoiceForm):
    """The form of a new service account. `teams` are the slugs of the teams that it can belong
    to."""

    field_order = ("name", "team", "role")

    team = forms.ChoiceField(label=gettext_lazy("Team"))

    def __init__(self, *args: Any, teams: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["team"]).choices = list(teams)


class ServiceAccountEditForm(RoleChoiceForm):
    """Changes what a service account may do."""

    disabled = forms.BooleanField(
        label=gettext_lazy("Disabled"),
        required=False,
        help_text=gettext_lazy("Its keys are rejected until it is enabled again."),
    )
