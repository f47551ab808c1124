"""The form of a policy: whose requests it applies to, and one row for each guard."""

from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.access import access
from accounts.access.actors import Actor
from accounts.models import KeyKind
from content.guards.guard import GuardRule
from content.guards.tool_calls import TOOL
from content.models import Policy
from content.policies.policies import NAME_MAX, TEXT_MAX, named_targets, rules_of
from content.policies.tool_lines import read_tool_line, write_tool_line
from content.policies.words import ACTIONS, GUARDS, PLACES
from lib.forms.picker import PickSelectMultiple, split_words
from lib.ids import id_text

_SETTING_MAX: Final = 65_000
# The setting that a guard's field gives, and whether a line is one value.
_SETTINGS: Final = {
    "national_number": ("countries", False),
    "words": ("words", True),
    "expressions": ("expressions", True),
    "tool": ("rules", True),
}


class PolicyForm(forms.Form):
    """A policy, with each guard at most once."""

    name = forms.CharField(label=_("Name"), max_length=NAME_MAX)
    organisation = forms.BooleanField(label=_("All requests of the organisation"), required=False)
    teams = forms.MultipleChoiceField(label=_("Teams"), required=False, widget=PickSelectMultiple())
    keys = forms.MultipleChoiceField(
        label=_("API keys"), required=False, widget=PickSelectMultiple()
    )

    def __init__(self, data: Any, *, actor: Actor, policy: Policy | None = None) -> None:
        self._known = {rule.guard: rule for rule in rules_of(policy)} if policy else {}
        super().__init__(data, initial=self._values(policy) if policy else {})
        teams = access.visible_teams(actor).filter(archived_at=None)
        self._field("teams").choices = [(team.slug, team.name) for team in teams]
        keys = access.visible_keys(actor).filter(revoked_at=None, kind=KeyKind.RELAY)
        self._field("keys").choices = [(id_text(key.id), key.name) for key in keys]
        for guard, words in GUARDS.items():
            self.fields[f"action_{guard}"] = forms.ChoiceField(
                label=words.name, required=False, choices=list(ACTIONS.items())
            )
            self.fields[f"places_{guard}"] = forms.MultipleChoiceField(
                label=_("Where"),
                required=False,
                choices=list(PLACES.items()),
                initial=list(PLACES),
                widget=forms.CheckboxSelectMultiple,
            )
            if words.setting:
                lines = _SETTINGS[guard][1]
                self.fields[f"setting_{guard}"] = forms.CharField(
                    label=words.setting,
                    required=False,
                    max_length=_SETTING_MAX,
                    help_text=words.hint,
                    widget=forms.Textarea(attrs={"rows": 3}) if lines else forms.TextInput(),
                )

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def _values(self, policy: Policy) -> dict[str, Any]:
        assigned = named_targets(policy)
        values: dict[str, Any] = {
            "name": policy.name,
            "organisation": ("organisation", "") in assigned,
            "teams": [subject for scope, subject in assigned if scope == "team"],
            "keys": [subject for scope, subject in assigned if scope == "key"],
        }
        for guard, rule in self._known.items():
            values[f"action_{guard}"], values[f"places_{guard}"] = rule.action, rule.places
            if guard in _SETTINGS:
                name, lines = _SETTINGS[guard]
                listed = rule.settings.get(name, [])
                values[f"setting_{guard}"] = ("\n" if lines else " ").join(
                    map(write_tool_line, listed) if guard == TOOL else listed
                )
        return values

    @property
    def guards(self) -> Iterator[dict[str, Any]]:
        """The fields of each guard."""
        for guard, words in GUARDS.items():
            yield {
                "action": self[f"action_{guard}"],
                "places": self[f"places_{guard}"],
                "setting": self[f"setting_{guard}"] if words.setting else None,
            }

    def rules(self) -> list[GuardRule]:
        """Return the rules of the guards that are not off."""
        return [self._rule(guard) for guard in GUARDS if self.cleaned_data[f"action_{guard}"]]

    def _rule(self, guard: str) -> GuardRule:
        data, known = self.cleaned_data, self._known.get(guard)
        settings = dict(known.settings) if known else {}
        if guard in _SETTINGS:
            name, lines = _SETTINGS[guard]
            text = data[f"setting_{guard}"]
            typed = text.splitlines() if lines else [one.upper() for one in split_words(text)]
            settings[name] = [one for one in typed if one.strip()]
            if guard == TOOL:
                settings[name] = list(map(read_tool_line, settings[name]))
        return GuardRule(
            guard,
            settings,
            data[f"places_{guard}"],
            data[f"action_{guard}"],
            known.code if known else guard,
        )

    def assigned(self) -> list[tuple[str, str]]:
        """Return whose requests the policy applies to, as `find_assigned` takes it."""
        data = self.cleaned_data
        return [
            *([("organisation", "")] if data["organisation"] else []),
            *(("team", slug) for slug in data["teams"]),
            *(("key", id) for id in data["keys"]),
        ]


class TryForm(forms.Form):
    """A text that a policy is tried on."""

    text = forms.CharField(
        label=_("Text"),
        max_length=TEXT_MAX,
        help_text=_('A call of a tool is its name with arguments: shell {"command": "ls"}.'),
        widget=forms.Textarea(attrs={"rows": 5}),
    )
