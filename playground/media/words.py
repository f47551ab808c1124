"""Display names of the fields, values and errors of the media pages."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from playground.media.service import MediaField
from playground.media.task_services import MEDIA_SERVICES
from playground.models import MediaKind

PAGES: Final[Mapping[str, Promise]] = {
    MediaKind.IMAGE: _("Images"),
    MediaKind.SPEECH: _("Speech"),
    MediaKind.TRANSCRIPTION: _("Transcription"),
    MediaKind.VIDEO: _("Video"),
    **{kind: service.title for kind, service in MEDIA_SERVICES.items()},
}
FIELDS: Final[Mapping[str, Promise]] = {
    "model": _("Model"),
    "prompt": _("Prompt"),
    "picture": _("Picture"),
    "mask": _("Mask"),
    "sound": _("Audio"),
    "size": _("Size"),
    "quality": _("Quality"),
    "n": pgettext_lazy("pictures", "Number"),
    "background": _("Background"),
    "output_format": _("File format"),
    "response_format": _("File format"),
    "style": _("Style"),
    "voice": _("Voice"),
    "instructions": _("Instructions"),
    "speed": _("Speed"),
    "task": pgettext_lazy("transcription", "Output"),
    "language": _("Language spoken"),
    "timestamps": _("Timestamps"),
    "seconds": _("Length in seconds"),
    **{name: word for one in MEDIA_SERVICES.values() for name, word in one.labels.items()},
}
HINTS: Final[Mapping[str, Promise]] = {
    "instructions": _("How it should sound, such as “calm and slow”."),
    "language": _("A code such as en or zh. Detected when empty."),
    "speed": _("1 is normal speed."),
    **{name: word for one in MEDIA_SERVICES.values() for name, word in one.hints.items()},
}
# Names of the actions of services whose models are named after them.
ACTIONS: Final[Mapping[str, Promise]] = {
    name: word for one in MEDIA_SERVICES.values() for name, word in one.actions.items()
}
_VALUES: Final[Mapping[str, Promise]] = {
    "auto": _("Automatic"),
    "low": pgettext_lazy("quality", "Low"),
    "medium": pgettext_lazy("quality", "Medium"),
    "high": pgettext_lazy("quality", "High"),
    "standard": pgettext_lazy("quality", "Standard"),
    "hd": pgettext_lazy("quality", "HD"),
    "opaque": _("Opaque"),
    "transparent": _("Transparent"),
    "vivid": _("Vivid"),
    "natural": _("Natural"),
    "transcribe": _("Text in the language spoken"),
    "translate": _("Text translated to English"),
    "yes": _("Yes"),
    "no": _("No"),
    **{name: word for one in MEDIA_SERVICES.values() for name, word in one.values.items()},
}
# Formats and voices are names that are not translated.
_NAMES: Final = frozenset({"voice", "output_format", "response_format"})
# Values that a person has typed.
_TYPED: Final = frozenset(
    {"instructions", "language", *(name for one in MEDIA_SERVICES.values() for name in one.typed)}
)


def model_word(model: str) -> str:
    """Return the display name of a model; for a service, the name of its action."""
    return str(ACTIONS.get(model, model))


def value_word(name: str, value: str) -> str:
    """Return the display text of a field's value."""
    if name == "size":
        return value.replace("x", " × ")
    if name in ("output_format", "response_format"):
        return value.upper()
    if name in _TYPED:
        return value
    if name in _NAMES:
        return value.capitalize() if value.islower() else value
    return str(_VALUES.get(value, value))


def label_of(name: str) -> str:
    return str(FIELDS.get(name, name))


def choices_of(field: MediaField) -> list[tuple[str, str]]:
    """Return the choices of a field with their labels. The model's default comes first, if it is a
    choice."""
    choices = [(value, value_word(field.name, value)) for value in field.choices]
    return choices if field.required else [("", gettext("Model default")), *choices]


def next_step(kind: str | None) -> str:
    """Return the remedy for an error, or "" if its text names it."""
    steps = {
        "insufficient_balance": gettext("Top up the balance, or choose a cheaper setting."),
        "content_filtered": gettext("Change the prompt and try again."),
        "invalid_value": gettext("Change the settings and try again."),
        "provider_rejected": gettext("Change the settings, or choose another model."),
        "unsupported_capability": gettext("Change the settings, or choose another model."),
        "permission": gettext("Choose another model, or another key to pay."),
        "model_not_found": gettext("Choose another model."),
        "no_channel": gettext("Choose another model, or try again shortly."),
        "upstream_auth": gettext("Choose another model, or tell an operator."),
        "upstream_unreachable": gettext("Try again, or choose another model."),
        "upstream_error": gettext("Try again, or choose another model."),
        "upstream_malformed": gettext("Try again, or choose another model."),
        "timeout": gettext("Try again, or choose another model."),
        "internal": gettext("Try again shortly."),
    }
    return steps.get(kind or "", "")
