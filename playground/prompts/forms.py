"""Forms of a prompt's labels."""

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from content.models import PromptVersion
from content.prompts.label_rules import LABEL_LENGTH
from lib.numbers.whole_numbers import WholeNumberField


class LabelForm(forms.Form):
    """A label, and the version that it is put on."""

    label = forms.CharField(
        label=_("Label"),
        max_length=LABEL_LENGTH,
        help_text=_("Such as production or staging. A new label is added."),
    )
    version = forms.ChoiceField(label=_("Version"))

    def __init__(self, versions: list[PromptVersion], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(str(version.number), _text_of(version)) for version in versions]
        self.fields["version"].choices = choices  # type: ignore[attr-defined]


class RollBackForm(forms.Form):
    """The version that the label is on, as the person saw it."""

    version = WholeNumberField(min_value=1, widget=forms.HiddenInput)


def _text_of(version: PromptVersion) -> str:
    text = gettext("Version %(n)s") % {"n": version.number}
    return f"{text} · {version.note}" if version.note else text
