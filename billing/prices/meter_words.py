"""What meters are called on pages."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

METER_NAMES: Final[Mapping[str, Promise]] = {
    "in_text": _("Input"),
    "in_cache_read": _("Cached input"),
    "in_audio_cached": _("Cached audio input"),
    "in_image_cached": _("Cached image input"),
    "in_cache_write_1h": _("Cache write, 1 h"),
    "in_cache_write_5m": _("Cache write, 5 min"),
    "in_cache_write_30m": _("Cache write, 30 min"),
    "in_cache_write_12h": _("Cache write, 12 h"),
    "in_audio": _("Audio input"),
    "in_image": _("Image input"),
    "in_video_ms": _("Video input, ms"),
    "out_text": _("Output"),
    "out_reasoning": _("Reasoning"),
    "out_audio": _("Audio output"),
    "out_image": _("Image output"),
    "images": _("Images"),
    "video_ms": _("Video, ms"),
    "audio_ms": _("Audio, ms"),
    "session_minutes": _("Session time, billionths of a minute"),
    "characters": _("Characters"),
    "pages": _("Pages"),
    "searches": _("Web searches"),
    "file_searches": _("File searches"),
    "code_sessions": _("Code sessions"),
    "answer_micros": _("Value in the answer, millionths"),
    "requests": _("Requests"),
}


def meter_name(meter: str) -> str:
    """Return a meter in the page's language, with its variant: `Images (1024,standard)`."""
    plain, _, variant = meter.partition("[")
    name = str(METER_NAMES.get(plain, plain))
    return f"{name} ({variant.rstrip(']')})" if variant else name
