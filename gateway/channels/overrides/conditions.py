"""The conditions of a channel: validation, form fields and display."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, Team
from accounts.names.labels import is_label, join_labels, split_labels
from billing.models import Plan
from gateway.channels.overrides.condition_rules import (
    COUNTS,
    FEATURES,
    LISTS,
    PROMPT_MAX,
    VALUES_MAX,
    normal,
)
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from lib.numbers.formatting import group_digits
from lib.numbers.whole_numbers import WholeNumberField
from lib.sentences import join_words

FEATURE_WORDS: Final[Mapping[str, Promise]] = {
    "image": _("Images"),
    "audio": _("Audio"),
    "file": _("Files"),
    "tools": _("Tools"),
    "stream": _("Streaming"),
}
_LABELS: Final = ("projects", "tags", "customers")
_CODE: Final = {"class": "input mono", "autocomplete": "off", "spellcheck": "false"}


def check_conditions(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions in their stored form. Raises ChannelRefused for conditions that no
    request could meet."""
    unknown = fields.keys() - {*LISTS, *COUNTS}
    if unknown:
        text = gettext("There is no condition named %(name)s.")
        raise ChannelRefused("conditions", text % {"name": min(unknown)})
    conditions = normal(fields)
    for name in LISTS:
        if len(conditions.get(name, ())) > VALUES_MAX:
            text = gettext("Enter at most %(n)s values.")
            raise ChannelRefused(_field_path(name), text % {"n": VALUES_MAX})
    _check_known("plans", conditions, gettext("There is no plan named %(name)s."), _price_plans)
    check_teams(_field_path("teams"), conditions.get("teams", ()))
    for name in _LABELS:
        bad = [label for label in conditions.get(name, ()) if not is_label(label)]
        if bad:
            text = gettext("%(label)s cannot be a label.")
            raise ChannelRefused(_field_path(name), text % {"label": bad[0][:60]})
    _check_features(conditions)
    _check_lengths(conditions)
    return conditions


def check_teams(field: str, names: Collection[str]) -> None:
    """Raise ChannelRefused for a slug that no organisation has, nor any team of it."""
    missing = set(names) - _holders(names) if names else ()
    if missing:
        raise ChannelRefused(field, gettext("There is no team %(name)s.") % {"name": min(missing)})


def _field_path(name: str) -> str:
    return f"conditions.{name}"


def _check_known(name: str, conditions: Mapping[str, Any], text: str, find: Any) -> None:
    values: Sequence[str] = conditions.get(name, ())
    missing = set(values) - find(values) if values else ()
    if missing:
        raise ChannelRefused(_field_path(name), text % {"name": min(missing)})


def _price_plans(names: Iterable[str]) -> set[str]:
    return set(Plan.objects.filter(name__in=names).values_list("name", flat=True))


def _holders(names: Iterable[str]) -> set[str]:
    organisations = {name.partition("/")[0] for name in names}
    known_slugs = set(
        Organisation.objects.filter(slug__in=organisations).values_list("slug", flat=True)
    )
    teams = Team.objects.filter(organisation__slug__in=known_slugs)
    return known_slugs | {f"{o}/{t}" for o, t in teams.values_list("organisation__slug", "slug")}


def _check_features(conditions: Mapping[str, Any]) -> None:
    requires, excludes = (set(conditions.get(name, ())) for name in ("requires", "excludes"))
    unknown = (requires | excludes) - FEATURES
    if unknown:
        text = gettext("There is no kind of content named %(name)s.")
        raise ChannelRefused("conditions", text % {"name": min(unknown)})
    both = requires & excludes
    if both:
        text = gettext("%(name)s cannot be both required and excluded.")
        name = gettext(str(FEATURE_WORDS[min(both)]))
        raise ChannelRefused(_field_path("excludes"), text % {"name": name})


def _check_lengths(conditions: Mapping[str, Any]) -> None:
    for name in COUNTS:
        if not 0 <= conditions.get(name, 0) <= PROMPT_MAX:
            text = gettext("Enter a number from %(least)s to %(most)s.")
            raise ChannelRefused(_field_path(name), text % {"least": 0, "most": PROMPT_MAX})
    if conditions.get("prompt_min", 0) > conditions.get("prompt_max", PROMPT_MAX):
        text = gettext("The shortest prompt cannot be longer than the longest.")
        raise ChannelRefused(_field_path("prompt_max"), text)


# Form -------------------------------------------------------------------------------------------


def _words_field(label: Any, hint: Any = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=hint,
        max_length=10_000,
        required=False,
        widget=forms.TextInput(attrs=_CODE),
    )


def _tokens(label: Any, hint: Any) -> WholeNumberField:
    return WholeNumberField(
        label=label,
        help_text=hint,
        required=False,
        min_value=0,
        max_value=PROMPT_MAX,
        widget=forms.TextInput(attrs={"class": "input", "inputmode": "numeric"}),
    )


def _features(label: Any) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label,
        choices=list(FEATURE_WORDS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


class ConditionFields(forms.Form):
    """The conditions of a channel among its settings, one field each."""

    plans = _words_field(_("Price plans"), _("Separate several with commas. Leave empty for any."))
    teams = _words_field(_("Teams"), _("Slugs such as acme, or acme/core for one team."))
    projects = _words_field(_("Projects"))
    tags = _words_field(_("Tags"))
    customers = _words_field(_("End customers"))
    prompt_min = _tokens(_("Shortest prompt"), _("Estimated tokens. Leave empty for any length."))
    prompt_max = _tokens(_("Longest prompt"), _("Estimated tokens. Leave empty for any length."))
    requires = _features(_("Only requests with"))
    excludes = _features(_("Only requests without"))

    def take_conditions(self, changed: dict[str, Any]) -> None:
        """Combine changed conditions into one entry, as a write takes it."""
        if {*LISTS, *COUNTS}.isdisjoint(changed):
            return
        sent = self.cleaned_data
        condition: dict[str, Any] = {name: sent[name] for name in (*COUNTS, "requires", "excludes")}
        condition |= {name: split_labels(sent[name]) for name in ("plans", "teams", *_LABELS)}
        for name in (*LISTS, *COUNTS):
            changed.pop(name, None)
        changed["conditions"] = condition


def form_values(channel: Channel) -> dict[str, Any]:
    """Return the conditions of a channel as initial values of `ConditionFields`."""
    conditions = channel.conditions
    words = {name: join_labels(conditions.get(name, ())) for name in ("plans", "teams", *_LABELS)}
    features = {name: conditions.get(name, []) for name in ("requires", "excludes")}
    return {**words, **features, **{name: conditions.get(name) for name in COUNTS}}


def display_conditions(channel: Channel) -> list[tuple[Any, str]]:
    """Return the conditions of a channel as pairs of label and text."""
    return [
        (ConditionFields.base_fields[name].label, _display_value(name, value))
        for name, value in form_values(channel).items()
        if value not in (None, "", [])
    ]


def _display_value(name: str, value: Any) -> str:
    if name in ("requires", "excludes"):
        return join_words(FEATURE_WORDS[one] for one in value)
    return gettext("%(n)s tokens") % {"n": group_digits(value)} if name in COUNTS else str(value)
