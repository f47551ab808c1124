"""Display names of the fields, values and errors of the media pages."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from playground.media.rules import MediaField
from playground.models import MediaKind

PAGES: Final[Mapping[str, Promise]] = {
    MediaKind.IMAGE: _("Images"),
    MediaKind.SPEECH: _("Speech"),
    MediaKind.TRANSCRIPTION: _("Transcription"),
    MediaKind.VIDEO: _("Video"),
    MediaKind.MUSIC: _("Music"),
    MediaKind.MIDJOURNEY: _("Midjourney"),
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
    "words": _("The text is"),
    "title": pgettext_lazy("song", "Title"),
    "tags": _("Musical style"),
    "instrumental": _("Instrumental"),
    "mv": _("Version"),
    "continue_at": _("Continue at second"),
    "aspect": _("Aspect ratio"),
    "mode": pgettext_lazy("pictures", "Speed"),
    "bot": _("Style"),
    "dimensions": pgettext_lazy("picture", "Shape"),
}
HINTS: Final[Mapping[str, Promise]] = {
    "instructions": _("How it should sound, such as “calm and slow”."),
    "language": _("A code such as en or zh. Detected when empty."),
    "speed": _("1 is normal speed."),
    "tags": _("Such as “acoustic folk, warm, slow”."),
    "mv": _("Such as chirp-v4."),
}
# Names of the actions of services whose models are named after them.
ACTIONS: Final[Mapping[str, Promise]] = {
    "suno_music": _("Song"),
    "suno_lyrics": _("Lyrics"),
    "mj_imagine": _("Imagine: a picture from words"),
    "mj_blend": _("Blend: one picture of several"),
    "mj_describe": _("Describe: words for a picture"),
    "mj_shorten": _("Shorten: a prompt without what does nothing"),
    "mj_upscale": _("Upscale"),
    "mj_variation": _("Variation"),
    "mj_high_variation": _("Strong variation"),
    "mj_low_variation": _("Subtle variation"),
    "mj_reroll": _("Run again"),
    "mj_pan": _("Pan"),
    "mj_zoom": _("Zoom out"),
    "mj_custom_zoom": _("Custom zoom"),
    "mj_inpaint": _("Vary a region"),
    "mj_modal": _("Change"),
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
    "idea": _("A description of the song"),
    "lyrics": _("The lyrics"),
    "NIJI_JOURNEY": _("Anime (Niji)"),
    "RELAX": pgettext_lazy("speed", "Relaxed"),
    "FAST": pgettext_lazy("speed", "Fast"),
    "TURBO": pgettext_lazy("speed", "Turbo"),
    "SQUARE": _("Square"),
    "PORTRAIT": _("Portrait"),
    "LANDSCAPE": _("Landscape"),
}
# Formats and voices are names that are not translated.
_NAMES: Final = frozenset({"voice", "output_format", "response_format"})
# Values that a person has typed.
_TYPED: Final = frozenset({"title", "tags", "mv", "instructions", "language", "continue_at"})


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
