"""The form of a webhook."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from notify.endpoints.endpoints import CHAT_SECRET_MAX, NAME_MAX
from notify.events.kinds import FOR_OPERATORS, FOR_ORGANISATIONS, GROUPS, Kind
from notify.models import Service, WebhookEndpoint


def _choices(kinds: Sequence[Kind]) -> list[tuple[str, Promise]]:
    return [(kind.name, kind.title) for kind in kinds if kind.name != "webhook.tested"]


class WebhookForm(forms.Form):
    """The receiver of events, and which events."""

    service = forms.ChoiceField(
        label=gettext_lazy("Send to"),
        choices=Service.choices,
        initial=Service.WEBHOOK,
        required=False,
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=NAME_MAX, required=False)
    url = forms.CharField(
        label=gettext_lazy("URL"),
        max_length=500,
        help_text=gettext_lazy(
            "Your https URL, which must respond with a 2xx status, or that of the chat's incoming "
            "webhook."
        ),
        widget=forms.URLInput(
            attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    secret = forms.CharField(
        label=gettext_lazy("Signing secret of the chat"),
        max_length=CHAT_SECRET_MAX,
        required=False,
        help_text=gettext_lazy("Feishu and DingTalk, if signatures are turned on there."),
        widget=forms.PasswordInput(attrs={"class": "mono", "autocomplete": "off"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language of the messages"),
        choices=settings.LANGUAGES,
        required=False,
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Events"),
        required=False,
        choices=_choices(FOR_ORGANISATIONS),
        help_text=gettext_lazy("Select none to receive all events."),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, operators: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if operators:
            self.fields["kinds"].choices = _choices(FOR_OPERATORS)  # type: ignore[attr-defined]

    def clean_service(self) -> str:
        return self.cleaned_data["service"] or Service.WEBHOOK

    def event_groups(self) -> list[tuple[str, list[Any]]]:
        """Return the checkboxes of the events, in groups by subject."""
        boxes = {box.data["value"]: box for box in self["kinds"]}
        groups = [
            (str(title), [box for name, box in boxes.items() if name.partition(".")[0] in nouns])
            for title, nouns in GROUPS
        ]
        return [(title, group) for title, group in groups if group]


class WebhookEditForm(WebhookForm):
    """The fields of a webhook that can change. A chat's address and secret cannot."""

    def __init__(self, endpoint: WebhookEndpoint, *args: Any, **kwargs: Any) -> None:
        initial = {
            "name": endpoint.name,
            "url": endpoint.url,
            "language": endpoint.language or settings.LANGUAGE_CODE,
            "kinds": endpoint.kinds,
        }
        operators = endpoint.organisation_id is None
        super().__init__(*args, initial=initial, operators=operators, **kwargs)
        fixed = "language" if endpoint.service == Service.WEBHOOK else "url"
        for name in ("service", "secret", fixed):
            del self.fields[name]
