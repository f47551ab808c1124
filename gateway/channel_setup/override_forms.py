"""The form of a channel's overrides."""

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dialects.chat.chat import Dialect
from gateway.channel_setup.route_table import Change
from gateway.channels.fields import provider_of
from gateway.channels.overrides import rules
from gateway.channels.overrides.conditions import check_teams
from gateway.channels.overrides.overrides import (
    check_overrides,
    check_rule_teams,
    headers_text,
    parameters_text,
    plain_parameters,
    read_headers,
    read_parameters,
    read_rules,
    rules_text,
)
from gateway.channels.overrides.rules import NO_OVERRIDES, Parameters, read_overrides
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel

_CODE: Final = {"class": "input mono", "rows": 4, "spellcheck": "false", "autocomplete": "off"}
_TEXT_MAX: Final = 60_000
_APIS: Final[dict[Dialect, Any]] = {
    "openai": _("Parameters of OpenAI chat completions"),
    "responses": _("Parameters of OpenAI responses"),
    "anthropic": _("Parameters of Anthropic messages"),
    "gemini": _("Parameters of Google generateContent"),
    "interactions": _("Parameters of Google Interactions"),
    "converse": _("Parameters of Amazon Converse"),
}
_MODES: Final = [
    ("prepend", _("Before the client's system prompt")),
    ("append", _("After the client's system prompt")),
    ("replace", _("Instead of the client's system prompt")),
]
_RULES: Final = [
    ("pass", _("Forward")),
    ("drop", _("Remove")),
    ("refuse", _("Reject the request")),
]


def _lines_field(label: Any, hint: Any) -> forms.CharField:
    widget = forms.Textarea(attrs=_CODE)
    return forms.CharField(
        label=label, help_text=hint, max_length=_TEXT_MAX, required=False, widget=widget
    )


class OverridesForm(forms.Form):
    """A channel's changes to requests. `whole` is the parsed form, once valid."""

    mode = forms.ChoiceField(
        label=_("Position"), choices=_MODES, widget=forms.Select(attrs={"class": "input"})
    )
    system_prompt = forms.CharField(
        label=_("System prompt"),
        max_length=rules.PROMPT_CHARACTERS_MAX,
        required=False,
        strip=False,
        help_text=_("Sent with every chat. Its tokens are charged as input."),
        widget=forms.Textarea(attrs={"class": "input", "rows": 4}),
    )
    headers = _lines_field(
        _("Headers"),
        _(
            "One per line, as Name: value. Variables: {request_id}, {organisation}, {key}, {user}, "
            "{model}."
        ),
    )
    client_headers = _lines_field(
        _("Forwarded client headers"), _("Names of headers, one per line.")
    )
    when = _lines_field(
        _("Rules with conditions"),
        _(
            "Each begins with a line such as: when model gpt-5*,o3 endpoint responses team acme. "
            "Below it stand lines such as: openai set NAME VALUE, or header Name: value."
        ),
    )

    def __init__(self, channel: Channel, data: QueryDict | None = None) -> None:
        self._channel = channel
        provider = provider_of(channel)
        self._apis = [name for name in _APIS if name in provider.dialects]
        super().__init__(data, initial=self._stored())
        for api in self._apis:
            hint = _("One per line: set NAME VALUE, default NAME VALUE or remove NAME.")
            self.fields[f"parameters_{api}"] = _lines_field(_APIS[api], hint)
        for name in rules.FIELD_NAMES:
            widget = forms.Select(attrs={"class": "input"})
            self.fields[f"field_{name}"] = forms.ChoiceField(
                label=name, choices=_RULES, widget=widget
            )
        self.whole: dict[str, Any] = {}

    @property
    def parameters(self) -> Iterable[forms.BoundField]:
        """The fields of parameters, one for each API that the provider supports."""
        return [self[f"parameters_{api}"] for api in self._apis]

    @property
    def paid_fields(self) -> Iterable[forms.BoundField]:
        """Return the form fields for the client fields that are passed on."""
        return [self[f"field_{name}"] for name in rules.FIELD_NAMES]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        if self.errors:
            return cleaned
        at = None
        try:
            parameters = {}
            for api in self._apis:
                at = f"parameters_{api}"
                read = read_parameters(cleaned[at])
                check_overrides(
                    provider_of(self._channel), {"parameters": {api: plain_parameters(read)}}
                )
                parameters[api] = plain_parameters(read)
            at = "headers"
            overrides: dict[str, Any] = {
                "parameters": parameters,
                "headers": read_headers(cleaned["headers"]),
                "client_headers": cleaned["client_headers"].split(),
                "fields": {name: cleaned[f"field_{name}"] for name in rules.FIELD_NAMES},
            }
            if cleaned["system_prompt"].strip():
                text = cleaned["system_prompt"].replace("\r\n", "\n")
                overrides["system_prompt"] = {"text": text, "mode": cleaned["mode"]}
            at = "when"
            overrides["when"] = read_rules(cleaned["when"])
            self.whole = check_overrides(provider_of(self._channel), overrides)
            check_rule_teams(self.whole)
        except ChannelRefused as refused:
            name = refused.field.removeprefix("overrides.")
            self.add_error(name if name in self.fields else at, refused.message)
        return cleaned

    def add_refusal(self, refused: ChannelRefused) -> None:
        """Show the refusal of a write."""
        self.add_error(None, refused.message)

    def changes(self) -> list[Change]:
        """Return what would change, as text."""
        return [
            Change(
                str(self.fields[name].label),
                self._text(name, self.initial.get(name, "")),
                self._text(name, self.cleaned_data.get(name, "")),
            )
            for name in self.changed_data
            if self._is_changed(name)
        ]

    def _is_changed(self, name: str) -> bool:
        """Return whether a field differs. Line ends do not count, nor does a position without a
        prompt."""
        if name == "mode" and "system_prompt" not in self.whole:
            return False
        submitted: str = self.cleaned_data[name]
        known: str = self.initial.get(name, "")
        return submitted.splitlines() != known.splitlines()

    def _text(self, name: str, value: str) -> str:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            return str(dict(field.choices).get(value, value))  # type: ignore[arg-type]
        return value

    def _stored(self) -> dict[str, str]:
        stored = read_overrides(self._channel.overrides) or NO_OVERRIDES
        prompt = stored.system_prompt
        texts = {
            "mode": prompt.mode if prompt else "prepend",
            "system_prompt": prompt.text if prompt else "",
            "headers": headers_text(stored.headers),
            "client_headers": "\n".join(stored.client_headers),
            "when": rules_text(stored.when),
        }
        for api in self._apis:
            parameters = stored.parameters.get(api, Parameters())
            texts[f"parameters_{api}"] = parameters_text(parameters)
        for name in rules.FIELD_NAMES:
            texts[f"field_{name}"] = stored.fields.get(name, "pass")
        return texts


class PreviewForm(forms.Form):
    """A request to preview as the provider would receive it."""

    path = forms.CharField(
        label=_("Endpoint"),
        max_length=300,
        widget=forms.TextInput(
            attrs={"class": "input mono", "autocomplete": "off", "list": "paths"}
        ),
    )
    sent_headers = _lines_field(_("Client headers"), _("One per line, as Name: value."))
    team = forms.CharField(
        label=_("Team"),
        help_text=_("Slugs such as acme, or acme/core for one team. Leave empty for any other."),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"class": "input mono", "autocomplete": "off"}),
    )
    body = forms.CharField(
        label=_("Request body"),
        max_length=1_000_000,
        strip=False,
        widget=forms.Textarea(attrs={**_CODE, "rows": 10}),
    )

    def clean_team(self) -> str:
        team: str = self.cleaned_data["team"]
        try:
            check_teams("team", [team] if team else [])
        except ChannelRefused as refused:
            raise forms.ValidationError(refused.message) from refused
        return team

    def clean_sent_headers(self) -> list[tuple[str, str]]:
        try:
            headers = read_headers(self.cleaned_data["sent_headers"])
        except ChannelRefused as refused:
            raise forms.ValidationError(refused.message) from refused
        if not all((name + value).isascii() for name, value in headers.items()):
            raise forms.ValidationError(gettext("Headers can only contain ASCII characters."))
        return list(headers.items())
