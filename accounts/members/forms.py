"""The forms of members, invitations and roles."""

import re
from collections.abc import Sequence
from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.utils.translation import gettext, gettext_lazy

from accounts.access.access import ROLE_NAMES
from accounts.access.actors import Actor
from accounts.members.access import assignable_roles, assignable_teams
from accounts.members.invitations import INVITATION_DAYS, MESSAGE_MAX, Offer
from accounts.models import CustomRole, HasRole, Membership, Role, Team
from accounts.names.names import label_of_choice
from accounts.roles.words import GROUPS
from lib.ids import id_text

_EMAILS_MAX = 6000


def role_label(row: HasRole | CustomRole | Role) -> str:
    """Return a role's label for pages; built-in ones are translated."""
    if isinstance(row, CustomRole):
        return row.name
    if isinstance(row, HasRole) and row.custom_role:
        return row.custom_role.name
    value = row.role if isinstance(row, HasRole) else row
    name = str(ROLE_NAMES[str(value)])
    return name[:1].upper() + name[1:]


class RoleAndTeamsForm(forms.Form):
    """A role and the teams in which it applies. Choices that the actor may not grant are left
    out. A member's archived teams are choices too, so that the member keeps them."""

    role = forms.ChoiceField(label=gettext_lazy("Role"))
    teams = forms.MultipleChoiceField(
        label=gettext_lazy("Teams"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self, actor: Actor, data: Any = None, *, member: Membership | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data, **kwargs)
        self._limited = actor.teams is not None
        self._roles = {_value(*pair): pair for pair in assignable_roles(actor)}
        self._teams = {team.slug: team for team in assignable_teams(actor, member)}
        self._choice("role").choices = [
            (value, role_label(custom or role)) for value, (role, custom) in self._roles.items()
        ]
        teams = self._choice("teams")
        teams.choices = [
            (slug, label_of_choice(team.name, archived=team.archived_at is not None))
            for slug, team in self._teams.items()
        ]
        if self._limited:
            teams.help_text = gettext("Choose at least one.")
            self.initial.setdefault("teams", list(self._teams))
        else:
            teams.help_text = gettext("Leave all unchecked for every team, including new ones.")
            if len(self._teams) < 2:
                del self.fields["teams"]

    def clean_teams(self) -> list[str]:
        slugs: list[str] = self.cleaned_data["teams"]
        if self._limited and not slugs:
            raise forms.ValidationError(gettext("Choose at least one team."))
        return slugs

    @property
    def chosen_role(self) -> tuple[Role, CustomRole | None]:
        return self._roles[self.cleaned_data["role"]]

    @property
    def chosen_teams(self) -> list[Team] | None:
        """Return the chosen teams; None means all of them."""
        slugs = self.cleaned_data.get("teams", ())
        if not self._limited and not slugs:
            return None
        return [self._teams[slug] for slug in slugs]

    def _choice(self, name: str) -> Any:
        return self.fields[name]


class MemberForm(RoleAndTeamsForm):
    """A member's role and teams."""

    def __init__(self, actor: Actor, member: Membership, data: Any = None) -> None:
        role = Role(member.role)
        initial: dict[str, Any] = {"role": _value(role, member.custom_role)}
        if not member.all_teams:
            initial["teams"] = [team.slug for team in member.teams.all()]
        super().__init__(actor, data, member=member, initial=initial)


class InviteForm(RoleAndTeamsForm):
    """The addresses to invite, the role and teams offered, and the expiry."""

    field_order = ("emails", "role", "days", "teams", "message")

    emails = forms.CharField(
        label=gettext_lazy("Email addresses"),
        required=False,
        max_length=_EMAILS_MAX,
        help_text=gettext_lazy(
            "Separate several with commas or line breaks. Leave empty for a link that one "
            "person can use."
        ),
        widget=forms.Textarea(
            attrs={"rows": 2, "spellcheck": "false", "autocomplete": "off", "autofocus": True}
        ),
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Expires"),
        choices=[
            ("1", gettext_lazy("In 1 day")),
            ("3", gettext_lazy("In 3 days")),
            ("7", gettext_lazy("In 7 days")),
            ("14", gettext_lazy("In 14 days")),
            ("30", gettext_lazy("In 30 days")),
        ],
        coerce=int,
        initial=INVITATION_DAYS,
    )
    message = forms.CharField(
        label=gettext_lazy("Message"),
        required=False,
        max_length=MESSAGE_MAX,
        help_text=gettext_lazy("Included in the invitation."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, actor: Actor, data: Any = None, **kwargs: Any) -> None:
        super().__init__(actor, data, **kwargs)
        if str(Role.DEVELOPER) in self._roles:
            self.initial.setdefault("role", str(Role.DEVELOPER))

    def clean_emails(self) -> list[str]:
        words = re.split(r"[\s,;]+", self.cleaned_data["emails"])
        return [word.strip("<>") for word in words if word]

    @property
    def offer(self) -> Offer:
        role, custom_role = self.chosen_role
        data = self.cleaned_data
        return Offer(role, custom_role, self.chosen_teams, data["days"], data["message"])


class NewPersonForm(forms.Form):
    """The account of a new person who accepts an invitation."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=200,
        strip=False,
        help_text=gettext_lazy("At least 10 characters."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_password(self) -> str:
        return str(get_adapter().clean_password(self.cleaned_data["password"]))


class CustomRoleForm(forms.Form):
    """A custom role: its name and what it may do."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    permissions = forms.MultipleChoiceField(
        label=gettext_lazy("Permissions"),
        required=False,
        choices=[(permission, words.title) for _, group in GROUPS
                 for permission, words in group.items()],
    )  # fmt: skip

    def groups(self) -> Sequence[tuple[Any, list[dict[str, Any]]]]:
        """Return the permissions, grouped as on the page."""
        chosen = self["permissions"].value() or ()
        return [
            (
                name,
                [
                    {
                        "value": permission,
                        "title": words.title,
                        "line": words.line,
                        "id": f"permission-{permission.replace(':', '-').replace('.', '-')}",
                        "checked": permission in chosen,
                    }
                    for permission, words in group.items()
                ],
            )
            for name, group in GROUPS
        ]


def _value(role: Role, custom_role: CustomRole | None) -> str:
    return id_text(custom_role.id) if custom_role else str(role)
