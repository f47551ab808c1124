"""Forms of the control plane."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy

from gateway.channels.channel_tests.words import VARIANT_NAMES
from gateway.listed_models.shown_models import CAPABILITY_WORDS
from gateway.providers.overrides import CAPABILITIES


class CheckForm(forms.Form):
    """The model and variant of a channel test."""

    model = forms.ChoiceField(
        label=gettext_lazy("Model"), widget=forms.Select(attrs={"class": "input"})
    )
    variant = forms.ChoiceField(
        label=gettext_lazy("Test"),
        choices=list(VARIANT_NAMES.items()),
        required=False,
        widget=forms.Select(attrs={"class": "input"}),
    )

    def __init__(self, names: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def clean_variant(self) -> str:
        return str(self.cleaned_data["variant"] or "streamed")


class SwitchForm(forms.Form):
    """An operator's override of the catalogue for one of a channel's models."""

    model = forms.ChoiceField(
        label=gettext_lazy("Model"), widget=forms.Select(attrs={"class": "input"})
    )
    capability = forms.ChoiceField(
        label=gettext_lazy("Capability"),
        choices=[(name, CAPABILITY_WORDS[name]) for name in CAPABILITIES],
        widget=forms.Select(attrs={"class": "input"}),
    )
    state = forms.ChoiceField(
        label=gettext_lazy("Status"),
        choices=[
            ("off", gettext_lazy("Off")),
            ("on", gettext_lazy("On")),
            ("unsaid", gettext_lazy("Use catalogue default")),
        ],
        widget=forms.Select(attrs={"class": "input"}),
    )

    def __init__(self, names: Sequence[str], data: QueryDict | None = None) -> None:
        # The form of the test, on the same page, has a field `model` too.
        super().__init__(data, auto_id="switch_%s")
        self.fields["model"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    @property
    def on(self) -> bool | None:
        """Return the choice, or None to follow the catalogue."""
        return {"off": False, "on": True}.get(self.cleaned_data["state"])
