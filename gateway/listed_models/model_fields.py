"""Form fields that choose models and channels."""

from collections.abc import Sequence
from typing import Any, Final, cast

from django import forms
from django.urls import reverse
from django.utils.translation import gettext

from accounts.access.actors import Actor
from gateway.access import visible_channels
from gateway.listed_models.model_choices import ANY, ModelNames, installation_names
from lib.forms.picker import PickSelect, PickText, split_words

_PATTERNS_MAX: Final = 100
_PATTERN_LENGTH: Final = 200


class ModelsField(forms.CharField):
    """Names and patterns of models; the cleaned value is a list. `kept` are names that stay valid
    after their model no longer exists."""

    widget: PickText
    _names: ModelNames | None = None
    kept: Sequence[str] = ()

    def __init__(self, **over: Any) -> None:
        widget = PickText({"class": "input mono"}, many=True)
        super().__init__(
            **{"max_length": _PATTERNS_MAX * (_PATTERN_LENGTH + 1), "widget": widget, **over}
        )

    def offer(self, names: ModelNames, url: str) -> None:
        """Offer these models as choices. The page loads them from `url`."""
        self._names = names
        self.widget.url, self.widget.describe = url, names.describe

    def clean(self, value: Any) -> list[str]:
        names = split_words(super().clean(value))
        if len(names) > _PATTERNS_MAX:
            text = gettext("You can list up to %(n)s models or patterns.")
            raise forms.ValidationError(text % {"n": _PATTERNS_MAX})
        if any(len(name) > _PATTERN_LENGTH for name in names):
            raise forms.ValidationError(gettext("One of the names or patterns is too long."))
        new = [name for name in names if name not in self.kept]
        if self._names and (message := self._names.refusal(new)):
            raise forms.ValidationError(message)
        return names


def offer_installation_models(field: forms.Field) -> None:
    """Offer every name of the installation in an operator's form."""
    cast(ModelsField, field).offer(installation_names(), reverse("installation_model_choices"))


def pick_any_model(field: forms.Field) -> None:
    """Offer every name of the installation in an operator's form. Other names are valid too, for
    models that no longer exist or come later."""
    url = f"{reverse('installation_model_choices')}?{ANY}="
    widget = PickText({"class": "input mono"}, url=url, describe=installation_names().describe)
    widget.is_required, field.widget = field.required, widget


def pick_any_channel(field: forms.Field, actor: Actor) -> None:
    """Offer every channel by name. The stored name of a channel that no longer exists stays
    valid."""
    names = [channel.name for channel in visible_channels(actor)]
    widget = PickSelect(choices=[("", ""), *zip(names, names, strict=True)])
    widget.is_required, field.widget = field.required, widget
