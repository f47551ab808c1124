"""The form that changes several channels together."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway.channel_setup.edit_forms import (
    LabelsField,
    SettingsForm,
    settings_of,
    settings_values,
    text_of,
)
from gateway.channel_setup.route_table import Change
from gateway.channels.fields import ChannelFields, relabel
from gateway.models import Channel

# The fields that make sense for channels of different providers, in the order of the page.
SHARED: Final = (
    *("enabled", "priority", "weight", "retries", "on_leave", "names_client", "uncapped"),
    *("zero_retention", "region", "rpm", "tpm", "parallel", "spend_cap_day", "spend_cap_month"),
    *("connect", "first_content", "idle", "total", "check_models_every_h"),
)
# Labels for fields that have a heading instead on the page of one channel.
_LABELS: Final = {
    "spend_cap_day": _("Spend cap per day (USD)"),
    "spend_cap_month": _("Spend cap per month (USD)"),
    "connect": _("Connect timeout"),
    "first_content": _("First content timeout"),
    "idle": _("Timeout between chunks"),
    "total": _("Total timeout"),
}


class SeveralForm(forms.Form):
    """Settings for several channels. Only fields ticked in `change` are set, also to an empty
    value. Labels are added and removed individually."""

    change = forms.MultipleChoiceField(required=False, choices=[(name, name) for name in SHARED])
    add_labels = LabelsField(_("Add labels"), _("Separated by commas."))
    remove_labels = LabelsField(_("Remove labels"), _("Separated by commas."))

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.fields |= {name: _field_of(name) for name in SHARED}

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each setting: its field, and whether it is ticked."""
        ticked = self.data.getlist("change") if isinstance(self.data, QueryDict) else []
        return [{"field": self[name], "ticked": name in ticked} for name in SHARED]

    def clean(self) -> dict[str, Any]:
        for name in SHARED:
            ticked, empty = name in self.cleaned_data.get("change", ()), self._is_empty(name)
            if name in self.errors:
                continue
            if ticked and empty and _needs_value(name):
                self.add_error(name, gettext("Enter a value."))
            if not ticked and not empty:
                self.add_error(name, gettext("Tick this setting to change it."))
        asked = ("change", "add_labels", "remove_labels")
        if not self.errors and not any(self.cleaned_data[name] for name in asked):
            self.add_error(None, gettext("Tick a setting or enter labels."))
        return dict(self.cleaned_data)

    def channel_fields(self, channel: Channel) -> ChannelFields:
        """Return the changes of this channel as fields for a write; empty for none."""
        return settings_of(self._values(channel))

    def changes(self, channel: Channel) -> list[Change]:
        """Return what would change in this channel, as text."""
        now, fields = settings_values(channel), SettingsForm.base_fields
        return [
            Change(
                str(_label_of(name)),
                text_of(fields[name], now[name]),
                text_of(fields[name], value),
            )
            for name, value in self._values(channel).items()
        ]

    def _is_empty(self, name: str) -> bool:
        return self.cleaned_data.get(name) in (None, "")

    def _values(self, channel: Channel) -> Mapping[str, Any]:
        """Return the values of the settings that differ from the channel's."""
        now, chosen = settings_values(channel), self.cleaned_data
        wanted = {name: chosen[name] for name in chosen["change"]}
        wanted["labels"] = relabel(channel.labels, chosen["add_labels"], chosen["remove_labels"])
        return {name: value for name, value in wanted.items() if value != now[name]}


def _label_of(name: str) -> Any:
    return _LABELS.get(name, SettingsForm.base_fields[name].label)


def _field_of(name: str) -> forms.Field:
    """Return the field of one channel's form, initially empty."""
    field, label = SettingsForm.base_fields[name], _label_of(name)
    named = {"aria-label": str(label)}
    words: dict[str, Any] = {
        "label": label,
        "help_text": field.help_text,
        "required": False,
        "widget": forms.Select(attrs={"class": "input", **named}),
    }
    if isinstance(field, forms.BooleanField):
        choices = [("", "–"), ("1", _("Yes")), ("0", _("No"))]
        return forms.TypedChoiceField(
            choices=choices, coerce=lambda text: text == "1", empty_value=None, **words
        )
    if isinstance(field, forms.ChoiceField):
        return forms.ChoiceField(choices=[("", "–"), *field.choices], **words)  # type: ignore[misc]
    copied = deepcopy(field)
    copied.required, copied.label = False, label
    copied.widget.attrs.update(named)
    return copied


def _needs_value(name: str) -> bool:
    field = SettingsForm.base_fields[name]
    return field.required or isinstance(field, forms.BooleanField)
