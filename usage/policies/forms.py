"""The form of a policy: whose requests it applies to, and one row for each guard."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from django import forms
from django.db.models import Q
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.access import access
from accounts.access.actors import Actor
from accounts.models import KeyKind
from accounts.names.names import label_of_choice
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.limits.budget_rules import PERIODS, Period
from billing.limits.policy_budgets import PolicyBudget
from content.detectors.call import DEADLINE_MS_MAX, DEADLINE_MS_MIN
from content.guards.rules import GuardRule
from content.models import Policy
from content.policies.guards import KNOWN
from content.policies.limits import RETENTION_HOURS_MAX
from content.policies.policies import (
    NAME_MAX,
    TEXT_MAX,
    budgets_of,
    named_targets,
    rules_of,
)
from content.policies.tool_lines import read_tool_line, write_tool_line
from content.policies.words import ACTIONS, FAILURES, PLACES, Setting, guard_words
from lib.forms.picker import PickSelectMultiple, split_words
from lib.ids import id_text, parse_id
from lib.numbers.whole_numbers import WholeNumberField
from usage.limits.budget_forms import PERIOD_NAMES, TermsForm

_SETTING_MAX: Final = 65_000
_IN_LINES: Final = frozenset({"lines", "tools", "topics"})


class PolicyForm(forms.Form):
    """A policy, with each guard and each period of its budgets at most once. Who may set no budgets
    sees none, and leaves them as they are."""

    name = forms.CharField(label=_("Name"), max_length=NAME_MAX)
    organisation = forms.BooleanField(label=_("All requests of the organisation"), required=False)
    teams = forms.MultipleChoiceField(label=_("Teams"), required=False, widget=PickSelectMultiple())
    keys = forms.MultipleChoiceField(
        label=_("API keys"), required=False, widget=PickSelectMultiple()
    )

    models = forms.CharField(
        label=_("Models"),
        required=False,
        max_length=10_000,
        help_text=_("Names or patterns such as gpt-*, separated by spaces. Empty: all models."),
    )
    networks = forms.CharField(
        label=_("IP addresses"),
        required=False,
        max_length=10_000,
        help_text=_("Networks such as 10.0.0.0/8, separated by spaces. Empty: all addresses."),
    )
    retention_hours = WholeNumberField(
        label=_("Longest time of the content log, in hours"),
        required=False,
        min_value=0,
        max_value=RETENTION_HOURS_MAX,
        help_text=_("0: nothing is kept. Empty: as the rules of the content log say."),
    )

    def __init__(self, data: Any, *, actor: Actor, policy: Policy | None = None) -> None:
        self._known = {rule.guard: rule for rule in rules_of(policy)} if policy else {}
        self._budgets = {one.period: one for one in budgets_of(policy)} if policy else {}
        self._assigned = named_targets(policy) if policy else []
        self.may_budget = access.scope_of(actor, "budgets.write") is not None
        super().__init__(data, initial=self._values(policy) if policy else {})
        self._field("teams").choices = list(self._teams(actor))
        self._field("keys").choices = list(self._keys(actor))
        for period in PERIODS if self.may_budget else ():
            self.fields |= _budget_fields(period)
        for guard, known in KNOWN.items():
            words = guard_words(guard)
            actions = [one for one in ACTIONS if not one or (one == "decide") == known.decides]
            self.fields[f"action_{guard}"] = forms.ChoiceField(
                label=words.name, required=False, choices=[(one, ACTIONS[one]) for one in actions]
            )
            self.fields[f"places_{guard}"] = forms.MultipleChoiceField(
                label=_("Where"),
                required=False,
                choices=list(PLACES.items()),
                initial=list(PLACES),
                widget=forms.CheckboxSelectMultiple,
            )
            for setting in words.settings:
                self.fields[_name(guard, setting)] = _setting_field(setting)

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def _assigned_to(self, scope: str) -> list[str]:
        return [subject for one, subject in self._assigned if one == scope]

    def _teams(self, actor: Actor) -> Iterator[tuple[str, str]]:
        """Yield the active teams as choices, and the archived ones that the policy applies to."""
        offered = Q(archived_at=None) | Q(slug__in=self._assigned_to("team"))
        for team in access.visible_teams(actor).filter(offered):
            yield team.slug, label_of_choice(team.name, archived=team.archived_at is not None)

    def _keys(self, actor: Actor) -> Iterator[tuple[str, str]]:
        """Yield the model keys as choices. Revoked ones only if the policy applies to them."""
        offered = Q(revoked_at=None) | Q(id__in=map(parse_id, self._assigned_to("key")))
        for key in access.visible_keys(actor).filter(offered, kind=KeyKind.RELAY):
            revoked = gettext("%(name)s (revoked)") % {"name": key.name}
            yield id_text(key.id), revoked if key.revoked_at else key.name

    def _values(self, policy: Policy) -> dict[str, Any]:
        values: dict[str, Any] = {
            "name": policy.name,
            "organisation": bool(self._assigned_to("organisation")),
            "teams": self._assigned_to("team"),
            "keys": self._assigned_to("key"),
            "models": " ".join(policy.model_patterns),
            "networks": " ".join(policy.networks),
            "retention_hours": policy.retention_hours,
        }
        for period, budget in self._budgets.items():
            values |= {
                f"amount_{period}": format_usd(budget.amount_nano),
                f"action_at_{period}": budget.action,
                f"alerts_{period}": ", ".join(map(str, budget.alert_percents)),
                f"forecast_{period}": budget.alert_forecast,
            }
        for guard, rule in self._known.items():
            values[f"action_{guard}"], values[f"places_{guard}"] = rule.action, rule.places
            for setting in guard_words(guard).settings:
                values[_name(guard, setting)] = _value_of(setting, rule.settings)
        return values

    @property
    def budget_rows(self) -> Iterator[dict[str, Any]]:
        """The fields of each period's budget. One per session only rejects."""
        for period in PERIODS if self.may_budget else ():
            row = {"amount": self[f"amount_{period}"]}
            if period != "session":
                row |= {
                    "action": self[f"action_at_{period}"],
                    "alerts": self[f"alerts_{period}"],
                    "forecast": self[f"forecast_{period}"],
                }
            yield row

    @property
    def gives_budgets(self) -> bool:
        """Whether the policy has budgets, or one was typed."""
        return any(row["amount"].value() for row in self.budget_rows)

    def budgets(self) -> list[PolicyBudget] | None:
        """Return the budgets that have an amount; None if the form has no such fields. The start of
        a period and its time zone stay."""
        if not self.may_budget:
            return None
        data, listed = self.cleaned_data, []
        for period in PERIODS:
            if (amount_nano := data[f"amount_{period}"]) is None:
                continue
            known = self._budgets.get(period, PolicyBudget(amount_nano=0, period=period))
            terms: dict[str, Any] = {"amount_nano": amount_nano}
            if period != "session":
                terms["action"] = data[f"action_at_{period}"] or "block"
                terms["alert_percents"] = tuple(data[f"alerts_{period}"])
                terms["alert_forecast"] = data[f"forecast_{period}"]
            listed.append(msgspec.structs.replace(known, **terms))
        return listed

    @property
    def guards(self) -> Iterator[dict[str, Any]]:
        """The fields of each guard."""
        for guard in KNOWN:
            yield {
                "name": guard,
                "action": self[f"action_{guard}"],
                "places": self[f"places_{guard}"],
                "settings": [self[_name(guard, one)] for one in guard_words(guard).settings],
            }

    def rules(self) -> list[GuardRule]:
        """Return the rules of the guards that are not off."""
        return [self._rule(guard) for guard in KNOWN if self.cleaned_data[f"action_{guard}"]]

    def _rule(self, guard: str) -> GuardRule:
        data, known = self.cleaned_data, self._known.get(guard)
        settings = dict(known.settings) if known else {}
        for setting in guard_words(guard).settings:
            value = _read(setting, data[_name(guard, setting)])
            if not setting.name:
                settings = value
            elif value is not None:
                settings[setting.name] = value
            else:
                settings.pop(setting.name, None)
        return GuardRule(
            guard,
            settings,
            data[f"places_{guard}"],
            data[f"action_{guard}"],
            known.code if known else guard,
        )

    def limits(self) -> dict[str, Any]:
        """Return what the policy permits, by the names of LIMITS."""
        data = self.cleaned_data
        return {
            "model_patterns": split_words(data["models"]),
            "networks": split_words(data["networks"]),
            "retention_hours": data["retention_hours"],
        }

    def assigned(self) -> list[tuple[str, str]]:
        """Return whose requests the policy applies to, as `find_assigned` takes it."""
        data = self.cleaned_data
        return [
            *([("organisation", "")] if data["organisation"] else []),
            *(("team", slug) for slug in data["teams"]),
            *(("key", id) for id in data["keys"]),
        ]


def _budget_fields(period: Period) -> dict[str, forms.Field]:
    label = format_lazy("{}: {}", _("Budget (USD)"), PERIOD_NAMES[period])
    fields: dict[str, forms.Field] = {f"amount_{period}": MoneyField(label=label, required=False)}
    if period != "session":
        terms = TermsForm().fields
        terms["action"].required = False
        terms["alert_percents"].help_text = ""
        fields |= {
            f"action_at_{period}": terms["action"],
            f"alerts_{period}": terms["alert_percents"],
            f"forecast_{period}": terms["alert_forecast"],
        }
    return fields


def _name(guard: str, setting: Setting) -> str:
    return f"setting_{guard}_{setting.name}".rstrip("_")


def _setting_field(setting: Setting) -> forms.Field:
    kind = setting.kind
    words = {"label": setting.label, "help_text": setting.hint, "required": False}
    if kind == "milliseconds":
        return forms.IntegerField(min_value=DEADLINE_MS_MIN, max_value=DEADLINE_MS_MAX, **words)
    if kind == "share":
        return forms.FloatField(min_value=0, max_value=1, **words)
    if kind == "failures":
        widget = forms.CheckboxSelectMultiple
        return forms.MultipleChoiceField(choices=list(FAILURES.items()), widget=widget, **words)
    if kind == "json":
        return forms.JSONField(widget=forms.Textarea(attrs={"rows": 5}), **words)
    if kind == "secret":
        password = forms.PasswordInput(attrs={"autocomplete": "off"})
        return forms.CharField(max_length=_SETTING_MAX, widget=password, **words)
    lines = forms.Textarea(attrs={"rows": 3}) if kind in _IN_LINES else forms.TextInput()
    return forms.CharField(max_length=_SETTING_MAX, widget=lines, **words)


def _value_of(setting: Setting, settings: dict[str, Any]) -> Any:
    """Return what the form shows of a rule's settings."""
    value: Any = settings.get(setting.name) if setting.name else settings
    if setting.kind == "lines":
        return "\n".join(value or ())
    if setting.kind == "tools":
        return "\n".join(map(write_tool_line, value or ()))
    if setting.kind == "topics":
        pairs = ((one["name"], one.get("description")) for one in value or ())
        return "\n".join(f"{name}: {text}" if text else name for name, text in pairs)
    return " ".join(value or ()) if setting.kind == "codes" else value


def _read(setting: Setting, value: Any) -> Any:
    """Return the setting that a field's value means; None for none."""
    if setting.kind == "lines":
        return [one for one in value.splitlines() if one.strip()]
    if setting.kind == "tools":
        return [read_tool_line(one) for one in value.splitlines() if one.strip()]
    if setting.kind == "topics":
        pairs = (one.partition(":") for one in value.splitlines() if one.strip())
        return [{"name": name.strip(), "description": text.strip()} for name, _, text in pairs]
    if setting.kind == "codes":
        return [one.upper() for one in split_words(value)]
    if setting.kind == "json":
        return value if isinstance(value, dict) else {}
    return None if value in ("", None) else value


class TryForm(forms.Form):
    """A text that a policy is tried on."""

    text = forms.CharField(
        label=_("Text"),
        max_length=TEXT_MAX,
        help_text=_('A call of a tool is its name with arguments: shell {"command": "ls"}.'),
        widget=forms.Textarea(attrs={"rows": 5}),
    )
