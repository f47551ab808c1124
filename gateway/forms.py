"""Forms of the control plane."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy


class CheckForm(forms.Form):
    """Which of a channel's models a test asks."""

    model = forms.ChoiceField(
        label=gettext_lazy("Model"), widget=forms.Select(attrs={"class": "input"})
    )

    def __init__(self, names: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
