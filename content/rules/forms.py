"""Forms of the content log's rules."""

from typing import Any, Final, cast

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.access.actors import Actor, slug_of
from accounts.keys.choices import key_names, team_names
from content.models import Keep, LogRule, LogScope
from content.policies.words import guard_words
from content.rules.log_rules import FIELDS, RETENTION_HOURS, SUBJECT_MAX
from content.rules.rules import REDACTED, REDACTED_BY_DEFAULT, RETENTION_HOURS_MAX
from content.rules.words import KEEPS, SCOPES, SUBJECT_HINTS, split_time
from lib import clock
from lib.forms.date_and_file_fields import MomentInput
from lib.forms.picker import Choice, PickText
from lib.numbers.whole_numbers import WholeNumberField

_HOURS_IN_DAY: Final = 24
_UNITS: Final = [("24", _("days")), ("1", _("hours"))]


class RuleForm(forms.Form):
    """What a rule says."""

    keep = forms.ChoiceField(
        label=_("Keep"),
        choices=list(KEEPS.items()),
        initial=Keep.EVERYTHING,
        help_text=_("“Nothing” always applies, whatever other rules say."),
    )
    retention = WholeNumberField(
        label=_("Keep each text for"),
        min_value=1,
        initial=RETENTION_HOURS // _HOURS_IN_DAY,
        help_text=_("Then the text is deleted."),
    )
    unit = forms.ChoiceField(label=_("Unit"), choices=_UNITS)
    share_percent = WholeNumberField(
        label=_("Share of requests (%)"), min_value=1, max_value=100, initial=100
    )
    callers_may_opt_out = forms.BooleanField(
        label=_("Requests can ask not to be kept"),
        required=False,
        initial=True,
        help_text=_("By the header x-weir-store: false, or by store: false of OpenAI's API."),
    )
    redact = forms.MultipleChoiceField(
        label=_("Masked before a text is kept"),
        required=False,
        choices=[(name, guard_words(name).name) for name in REDACTED],
        initial=list(REDACTED_BY_DEFAULT),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Always masked too: what the policies of the key mask or reject."),
    )
    ends_at = forms.DateTimeField(
        label=_("Rule ends (UTC)"),
        required=False,
        help_text=_("From then on, the rule keeps no more texts. Empty: until you delete it."),
        widget=MomentInput(),
    )

    @classmethod
    def of(cls, rule: LogRule, data: Any) -> "RuleForm":
        """Return the form with a rule's current values."""
        n, unit = split_time(rule.retention_hours)
        initial = {name: getattr(rule, name) for name in FIELDS}
        return cls(data, initial={**initial, "retention": n, "unit": str(unit)})

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("retention") and data.get("unit"):
            hours = data["retention"] * int(data["unit"])
            if hours > RETENTION_HOURS_MAX:
                days = RETENTION_HOURS_MAX // _HOURS_IN_DAY
                self.add_error("retention", _("The longest time is %(n)s days.") % {"n": days})
            data["retention_hours"] = hours
        ends_at, stored = data.get("ends_at"), self.initial.get("ends_at")
        if stored is not None and ends_at == stored.replace(second=0, microsecond=0):
            data["ends_at"] = stored  # the form shows no seconds
        elif ends_at is not None and ends_at <= clock.now():
            self.add_error("ends_at", _("This is in the past."))
        return data

    def terms(self) -> dict[str, Any]:
        """Return what the rule is to say, by the names of FIELDS."""
        return {name: self.cleaned_data[name] for name in FIELDS}


class NewRuleForm(RuleForm):
    """A new rule: what it applies to, and what it says."""

    scope = forms.ChoiceField(
        label=_("Applies to"),
        choices=list(SCOPES.items()),
        widget=forms.Select(attrs={"autofocus": True}),
    )
    subject = forms.CharField(
        label=_("Name"), required=False, max_length=SUBJECT_MAX, widget=PickText(beside="scope")
    )
    field_order = ("scope", "subject")

    def __init__(self, *args: Any, actor: Actor, **over: Any) -> None:
        super().__init__(*args, **over)
        picker = cast(PickText, self.fields["subject"].widget)
        picker.url = reverse("log_rule_subject_choices", args=[slug_of(actor)])
        names = {LogScope.TEAM: team_names, LogScope.KEY: key_names}.get(self["scope"].value())

        def describe(values: Any) -> list[Choice]:
            known = names(actor, values) if names else {}
            return [Choice(value, known.get(value, value)) for value in values]

        picker.describe = describe

    @property
    def subjects(self) -> list[tuple[str, Any, Any]]:
        """What the subject of each scope is called and how it is given."""
        return [(scope, SCOPES[scope], hint) for scope, hint in SUBJECT_HINTS.items()]
