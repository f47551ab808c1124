"""The form of a webhook."""

from django import forms
from django.utils.translation import gettext_lazy

from notify.kinds import FOR_ORGANISATIONS


class WebhookForm(forms.Form):
    """Where to send events, and which."""

    url = forms.CharField(
        label=gettext_lazy("URL"),
        max_length=500,
        help_text=gettext_lazy("Your https URL. It must respond with a 2xx status."),
        widget=forms.URLInput(
            attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}
        ),
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
