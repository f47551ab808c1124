"""The form of a webhook."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy

from notify.deliveries.kinds import FOR_OPERATORS, FOR_ORGANISATIONS
from notify.models import Service
from notify.webhooks.endpoints import CHAT_SECRET_MAX, NAME_MAX


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
        choices=[
            (kind.name, kind.title) for kind in FOR_ORGANISATIONS if kind.name != "webhook.tested"
        ],
        help_text=gettext_lazy("Select none to receive all events."),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, operators: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if operators:
            choices = [(kind.name, kind.title) for kind in FOR_OPERATORS]
            self.fields["kinds"].choices = choices  # type: ignore[attr-defined]

    def clean_service(self) -> str:
        return self.cleaned_data["service"] or Service.WEBHOOK
