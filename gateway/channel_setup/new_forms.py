"""The form of a new channel: its address and its key."""

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from gateway.channel_setup.edit_forms import CODE, INPUT, OFFERED, provider_note
from gateway.channels import bounds as bounds
from gateway.channels.refusals import ChannelRefused
from gateway.providers import PROVIDERS
from gateway.providers.cloud_places import BadPlace
from lib.sentences import join_sentences

_PLACE_WORDS: Final = {
    "place_region": gettext_noop("Enter a region such as eu or us-east-1."),
    "place_project": gettext_noop("The key names no project. Enter its id."),
}


class ConnectionForm(forms.Form):
    """The address of a new channel. Its key is never rendered. A provider with places has a region
    and a project instead of a base URL, which only a private endpoint needs."""

    provider = forms.ChoiceField(
        label=_("Provider"),
        choices=[(name, _(PROVIDERS[name].label)) for name in OFFERED],
        widget=forms.Select(attrs={"class": "input"}),
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=bounds.NAME_MAX,
        widget=forms.TextInput(attrs=INPUT),
    )
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=bounds.URL_MAX,
        error_messages={"required": _("Enter the base URL.")},
        widget=forms.TextInput(attrs={**CODE, "inputmode": "url"}),
    )
    place_region = forms.CharField(
        label=_("Region"),
        max_length=40,
        required=False,
        help_text=_("Where requests go."),
        widget=forms.TextInput(attrs=CODE),
    )
    place_project = forms.CharField(
        label=_("Project"),
        max_length=63,
        required=False,
        help_text=_("Leave empty for the project in the key."),
        widget=forms.TextInput(attrs=CODE),
    )
    secret = forms.CharField(
        label=_("API key"),
        max_length=bounds.SECRET_MAX,
        required=False,
        help_text=_(
            "Stored encrypted, never shown again. Leave it empty if the server needs none."
        ),
        widget=forms.PasswordInput(attrs={**CODE, "autocomplete": "new-password"}),
    )
    key_access = forms.CharField(
        label=_("Access key ID"),
        max_length=128,
        required=False,
        help_text=_("Or leave these empty, and enter another kind of key below."),
        widget=forms.TextInput(attrs=CODE),
    )
    key_secret = forms.CharField(
        label=_("Secret access key"),
        max_length=256,
        required=False,
        widget=forms.PasswordInput(attrs={**CODE, "autocomplete": "new-password"}),
    )
    key_session = forms.CharField(
        label=_("Session token"),
        max_length=bounds.SECRET_MAX,
        required=False,
        help_text=_("Only for temporary credentials."),
        widget=forms.PasswordInput(attrs={**CODE, "autocomplete": "new-password"}),
    )

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        provider = PROVIDERS.get(str(self["provider"].value() or ""))
        self.place = None if provider is None else provider.place
        # The maximum number of parts of its key.
        self.key_parts = (
            0 if provider is None or provider.signer is None else provider.key_parts_max
        )
        self.fields["base_url"].required = self.place is None
        note = "" if provider is None else provider_note(provider.name)
        if self.place is not None:
            note = join_sentences(gettext("Only for a private endpoint."), note)
        self.fields["base_url"].help_text = note

    def clean(self) -> dict[str, Any]:
        sent = self.cleaned_data
        sent["secret"] = key_of(sent)
        try:
            sent["base_url"] = base_url_of(sent, sent["secret"])
        except ChannelRefused as refused:
            refused.add_to(self)
        return dict(sent)


def key_of(sent: Mapping[str, Any]) -> str:
    """Return the key of a new channel: its parts joined, or the single text."""
    parts = [str(sent.get(f"key_{part}") or "").strip() for part in ("access", "secret", "session")]
    return "|".join(filter(None, parts)) or str(sent.get("secret") or "").strip()


def base_url_of(sent: Mapping[str, Any], secret: str) -> str:
    """Return the base URL of a new channel, which may be given by a region and a project. Raises
    ChannelRefused."""
    base_url = str(sent.get("base_url") or "").strip()
    provider = PROVIDERS.get(str(sent.get("provider") or ""))
    if base_url:
        return base_url
    if provider is None or provider.place is None:
        raise ChannelRefused("base_url", gettext("Enter the base URL."))
    region, project = (
        str(sent.get(f"place_{name}") or "").strip() for name in ("region", "project")
    )
    try:
        return provider.place.base_url(region, project, secret)
    except BadPlace as error:
        raise ChannelRefused(error.field, gettext(_PLACE_WORDS[error.field])) from error
