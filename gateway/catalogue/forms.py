"""Forms of the catalogue update: a list of models, and what lists may not propose."""

from typing import Any, Final

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway.catalogue.words import IGNORE_WORDS
from gateway.channels import bounds as bounds
from gateway.model_entries.facts import LIST_BYTES_MAX
from lib.forms.date_and_file_fields import FileInput

_CODE: Final = {"class": "input mono", "autocomplete": "off", "spellcheck": "false"}


class ListForm(forms.Form):
    """A list of models, as a file or a URL."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        widget=FileInput({"accept": "application/json, .json"}),
    )
    address = forms.CharField(
        label=_("Address"),
        help_text=_("Fetched once, now. A secret in its query is not kept."),
        max_length=2000,
        required=False,
        widget=forms.TextInput(attrs={**_CODE, "type": "url", "placeholder": "https://"}),
    )
    only = forms.CharField(
        label=_("Only these models"),
        help_text=_("Names or patterns, separated by spaces."),
        max_length=2000,
        required=False,
        widget=forms.TextInput(attrs=_CODE),
    )
    served = forms.BooleanField(
        label=_("Only models that clients can call here"), required=False, initial=True
    )

    def clean_file(self) -> Any:
        sent = self.cleaned_data["file"]
        if sent and sent.size > LIST_BYTES_MAX:
            text = gettext("The file is larger than %(n)s MiB.")
            raise forms.ValidationError(text % {"n": LIST_BYTES_MAX >> 20})
        return sent

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and bool(cleaned.get("file")) == bool(cleaned.get("address")):
            self.add_error("address", gettext("Choose a file or enter an address."))
        return cleaned


class IgnoreForm(forms.Form):
    """A rule about what lists may not propose."""

    model = forms.CharField(
        label=_("Model"),
        help_text=_("A name, or a pattern such as gpt-*."),
        max_length=bounds.MODEL_MAX,
        widget=forms.TextInput(attrs=_CODE),
    )
    field = forms.ChoiceField(
        label=_("Field"),
        choices=list(IGNORE_WORDS.items()),
        required=False,
        widget=forms.Select(attrs={"class": "input"}),
    )
