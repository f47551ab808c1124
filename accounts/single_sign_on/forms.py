"""The form of an organisation's single sign-on."""

import re
from typing import Any, cast

from django import forms
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from accounts.models import SingleSignOn
from accounts.single_sign_on.single_sign_on import rules_as_lines, rules_from_lines
from lib.forms.picker import PickText
from lib.forms.rows import Cell, RowsText
from lib.refusal import Refused


def _text_field(
    label: Any, hint: Any = "", *, length: int, required: bool = True
) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=hint,
        max_length=length,
        required=required,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def _lines_field(label: Any, hint: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=hint,
        max_length=4000,
        required=False,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false"}),
    )


class SingleSignOnForm(forms.Form):
    """The organisation's own identity provider."""

    issuer = _text_field(
        gettext_lazy("Issuer"),
        gettext_lazy("The provider's URL, for example https://login.example.org."),
        length=500,
    )
    client_id = _text_field(gettext_lazy("Client ID"), length=200)
    secret = forms.CharField(
        label=gettext_lazy("Client secret"),
        max_length=500,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    domains = _lines_field(
        gettext_lazy("Email domains"),
        gettext_lazy(
            "One per line. People with a verified address at these domains join automatically."
        ),
    )
    group_claim = _text_field(
        gettext_lazy("Group claim"),
        gettext_lazy("The claim that lists a person's groups."),
        length=100,
        required=False,
    )
    group_rules = forms.CharField(
        label=gettext_lazy("Groups"),
        help_text=gettext_lazy(
            "The role of the first group that matches applies. Without a team, it is for all teams."
        ),
        max_length=4000,
        required=False,
    )
    default_role = forms.ChoiceField(label=gettext_lazy("Role if no group matches"), required=False)
    required = forms.BooleanField(
        label=gettext_lazy("Require single sign-on"),
        required=False,
        help_text=gettext_lazy("Owners can still sign in another way, so no one is locked out."),
    )

    def __init__(
        self, data: Any, *, slug: str, row: SingleSignOn | None, roles: list[tuple[str, Any]]
    ) -> None:
        super().__init__(data, initial=_initial(row))
        self.fields["group_rules"].widget = _group_rows(slug, roles)
        default = cast(forms.ChoiceField, self.fields["default_role"])
        default.choices = [("", gettext("No access")), *roles]
        if row is not None:
            self.fields["secret"].help_text = gettext("Leave empty to keep the stored secret.")

    def clean_domains(self) -> list[str]:
        domains = re.split(r"[\s,]+", self.cleaned_data["domains"].strip().lower())
        return list(dict.fromkeys(domain for domain in domains if domain))

    def clean_group_rules(self) -> list[dict[str, Any]]:
        try:
            return rules_from_lines(self.cleaned_data["group_rules"])
        except Refused as refused:
            raise forms.ValidationError(refused.message) from refused


def _group_rows(slug: str, roles: list[tuple[str, Any]]) -> RowsText:
    """Return the field with rows of a group, its role and its teams, in the form of
    `rules_from_lines`."""

    def split(line: str) -> tuple[str, str, str]:
        group, _, rest = line.rpartition("=")
        role, _, teams = rest.partition(":")
        return group.strip(), role.strip(), teams.strip()

    def join(group: str, role: str, teams: str) -> str:
        return f"{group} = {role}" + (f": {teams}" if teams.strip() else "")

    url = reverse("team_choices", args=[slug])
    return RowsText(
        [
            Cell("group", gettext_lazy("Group"), lambda: forms.TextInput({"autocomplete": "off"})),
            Cell("role", gettext_lazy("Role"), lambda: forms.Select(choices=[("", "–"), *roles])),
            Cell("teams", gettext_lazy("Teams"), lambda: PickText(many=True, url=url)),
        ],
        split,
        join,
    )


def _initial(row: SingleSignOn | None) -> dict[str, Any]:
    if row is None:
        return {"group_claim": "groups"}
    return {
        "issuer": row.issuer,
        "client_id": row.client_id,
        "domains": "\n".join(row.domains),
        "group_claim": row.group_claim,
        "group_rules": rules_as_lines(row),
        "default_role": row.default_role,
        "required": row.required,
    }


class DomainsSeenForm(forms.Form):
    """The issuer, client and domains that an operator has seen, so that only these are
    confirmed."""

    seen = forms.JSONField(widget=forms.HiddenInput)

    def clean_seen(self) -> dict[str, Any]:
        seen = self.cleaned_data["seen"]
        if not isinstance(seen, dict):
            raise forms.ValidationError(gettext("Reload the page and try again."))
        return seen
