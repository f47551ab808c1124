"""The options of image, sound and video models besides their prompt: the shipped catalogue, as
data.

A row applies to names with its prefix; the longest prefix wins. A name may have its owner in front.
A model without a row is offered the options that its price distinguishes, and no others; the
provider's defaults apply.

Sources: OpenAI's OpenAPI description 2.3.0 (images, speech, transcription, videos); its guides to
image generation and to text to speech (2026-10). Gemini API, "Image generation": ratios and sizes
of 2.5 Flash Image; Volcengine Ark, "Image generation API": sizes of Seedream; Alibaba Model Studio,
"Qwen-Image API reference": sizes and numbers (all from copies read in 2026-11).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from dialects.chat.cloud_names import bare_names

MediaKind = str
"""What a model makes: image, speech, transcription or video, or the kind of a task service."""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """`edits` means that the model edits given images, `masks` that it needs a mask. `by_url` means
    that it returns URLs unless data is requested."""

    sizes: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    count_max: int = 4
    edits: bool = True
    masks: bool = True
    by_url: bool = False


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Without `voices`, the voice is typed. `instructed` means that it takes instructions on how to
    speak."""

    voices: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("mp3", "opus", "aac", "flac", "wav")
    instructed: bool = True
    paced: bool = True


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """`timed` means that it returns the time of each part of a transcript. `translates` means into
    English."""

    timed: bool = True
    translates: bool = True


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Without `seconds`, any number is possible. Videos may begin with a picture."""

    seconds: tuple[int, ...] = ()
    sizes: tuple[str, ...] = ("720x1280", "1280x720")


_VOICES: Final = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer",
    "verse", "marin", "cedar",
)  # fmt: skip
# Gemini API, "Speech generation" (2026-10): the first one of thirty.
_GEMINI_VOICES: Final = (
    "Kore", "Puck", "Zephyr", "Charon", "Fenrir", "Leda", "Orus", "Aoede", "Callirrhoe",
    "Autonoe", "Enceladus", "Iapetus",
)  # fmt: skip
_GPT_IMAGE: Final = ImageOptions(
    sizes=("1024x1024", "1536x1024", "1024x1536"),
    qualities=("low", "medium", "high"),
    formats=("png", "jpeg", "webp"),
    backgrounds=("opaque", "transparent"),
)

# A size is sent as its ratio. These are the sizes that 2.5 Flash Image creates at each ratio.
_GEMINI: Final = ImageOptions(
    sizes=(
        "1024x1024", "832x1248", "1248x832", "864x1184", "1184x864", "896x1152", "1152x896",
        "768x1344", "1344x768", "1536x672",
    ),
    masks=False,
    count_max=1,
)  # fmt: skip
# The recommended 2K sizes of 4.0, 4.5 and 5.0.
_SEEDREAM: Final = ImageOptions(
    sizes=(
        "2048x2048", "2304x1728", "1728x2304", "2848x1600", "1600x2848", "2496x1664", "1664x2496",
        "3136x1344",
    ),
    masks=False,
    count_max=1,
)  # fmt: skip
_SEEDREAM_3: Final = ImageOptions(
    sizes=(
        "1024x1024", "864x1152", "1152x864", "1280x720", "720x1280", "832x1248", "1248x832",
        "1512x648",
    ),
    edits=False,
    masks=False,
    count_max=1,
)  # fmt: skip

_IMAGES: Final[Mapping[str, ImageOptions]] = {
    "gpt-image": _GPT_IMAGE,
    "chatgpt-image": _GPT_IMAGE,
    "dall-e-3": ImageOptions(
        sizes=("1024x1024", "1792x1024", "1024x1792"), qualities=("standard", "hd"),
        styles=("vivid", "natural"), count_max=1, edits=False, masks=False, by_url=True,
    ),
    "dall-e-2": ImageOptions(sizes=("256x256", "512x512", "1024x1024"), by_url=True),
    # These models accept images with the prompt, but no mask (dialects/media/media_by_gemini.py,
    # images.py).
    "gemini": _GEMINI,
    "nano-banana": _GEMINI,
    "doubao-seedream": _SEEDREAM,
    "doubao-seedream-3": _SEEDREAM_3,
    "seedream": _SEEDREAM,
    "seedream-3": _SEEDREAM_3,
    "qwen-image": ImageOptions(
        sizes=("1664x928", "1472x1104", "1328x1328", "1104x1472", "928x1664"), count_max=1,
        edits=False, masks=False,
    ),
    # Any size with at least 512x512 and at most 2048x2048 pixels in total.
    "qwen-image-2.0": ImageOptions(
        sizes=("1328x1328", "1664x928", "928x1664", "2048x2048"), masks=False, count_max=6,
    ),
    "qwen-image-edit": ImageOptions(masks=False, count_max=1),
}  # fmt: skip
_SPEECH: Final[Mapping[str, SpeechOptions]] = {
    # The voices without ballad, verse, marin and cedar, which only later models have.
    "tts-1": SpeechOptions(
        ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"),
        instructed=False,
    ),
    "gpt-4o-mini-tts": SpeechOptions(_VOICES),
    # dialects/media/media_by_gemini.py adds a WAV header to its samples.
    "gemini": SpeechOptions(_GEMINI_VOICES, formats=("wav",), paced=False),
}
_HEARD: Final[Mapping[str, TranscriptionOptions]] = {
    "whisper": TranscriptionOptions(),
    "gpt-4o-transcribe": TranscriptionOptions(timed=False, translates=False),
    "gpt-4o-mini-transcribe": TranscriptionOptions(timed=False, translates=False),
    "gpt-transcribe": TranscriptionOptions(timed=False, translates=False),
}
_VIDEOS: Final[Mapping[str, VideoOptions]] = {
    "sora-2": VideoOptions((4, 8, 12)),
    # The forms of these providers refuse all other values (gateway/providers/video_forms).
    "kling-v1": VideoOptions((5, 10)),
    "kling-v2": VideoOptions((5, 10)),
    "jimeng": VideoOptions((5, 10)),
    "veo-3": VideoOptions((8, 6, 4)),
    "veo-2": VideoOptions((8, 7, 6, 5)),
    "sora-2-pro": VideoOptions((4, 8, 12), ("720x1280", "1280x720", "1024x1792", "1792x1024")),
}


def image_options(name: str) -> ImageOptions:
    return _find_options(_IMAGES, name) or ImageOptions()


def speech_options(name: str) -> SpeechOptions:
    return _find_options(_SPEECH, name) or SpeechOptions()


def transcription_options(name: str) -> TranscriptionOptions:
    return _find_options(_HEARD, name) or TranscriptionOptions()


def video_options(name: str) -> VideoOptions:
    return _find_options(_VIDEOS, name) or VideoOptions()


Options = TypeVar("Options")


def _find_options(rows: Mapping[str, Options], name: str) -> Options | None:
    names = bare_names(name)
    fitting = [start for start in rows if any(bare.startswith(start) for bare in names)]
    return rows[max(fitting, key=len)] if fitting else None
