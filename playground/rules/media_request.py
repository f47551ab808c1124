"""The forms of the media pages: their fields by what a model can be told, and the request that they
make.

    values      the fields of a form by their names, as texts; "" is the model's own choice
    MediaField  one of them, as it is drawn
    MediaAsk    the operation and its body, as an API client would write them

A value that a model cannot be told is left out: a comparison asks two models by one form.

InvalidMedia    nothing can be asked with this form; `field` and `code` say why
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dialects.videos import PROMPT_CHARACTERS_MAX, SECONDS, SECONDS_MAX, SIZE
from gateway.providers.media_options import (
    MediaKind,
    heard_options,
    image_options,
    speech_options,
    video_options,
)

MediaOperationName = Literal[
    "image_generations", "image_edits", "speech", "transcriptions", "translations", "videos"
]
PROMPT_MAX: Final = PROMPT_CHARACTERS_MAX
_SIZE: Final = re.compile(r"[0-9]{2,5}x[0-9]{2,5}")
_IN_METER: Final = re.compile(r"(?:images|video_ms)\[([^\]]+)\]")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,4})?")
_TEXT_MAX: Final = 2_000
_SPEED_MIN, _SPEED_MAX = 0.25, 4.0
_VIDEO_SIZE_P: Final = {"720p": ("720x1280", "1280x720"), "1080p": ("1080x1920", "1920x1080")}


class InvalidMedia(ValueError):
    """Nothing can be asked with this form. `code`: no_prompt, too_long, no_picture, no_sound,
    no_voice, no_number, no_language; `detail` has the numbers of its text."""

    def __init__(self, field: str, code: str, **detail: Any) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class MediaModel:
    """A model as the pages know it: `upstream` is its name at its provider, `meters` what its price
    counts."""

    name: str
    upstream: str = ""
    meters: frozenset[str] = frozenset()

    @property
    def known_as(self) -> str:
        return self.upstream or self.name


@dataclass(frozen=True)
class MediaField:
    """A field: of `choices`, a "number" from `low` to `high`, or "text". `default` is what stands
    in a new form, and `required` that "" is no choice."""

    name: str
    form: str = "choice"
    choices: Sequence[str] = ()
    default: str = ""
    required: bool = False
    low: float = 0
    high: float = 0


@dataclass(frozen=True)
class MediaAsk:
    """A request: the parts of a form by their roles are put in by who has them."""

    operation: MediaOperationName
    body: dict[str, Any] = field(default_factory=dict)


def fields_of(kind: MediaKind, model: MediaModel) -> list[MediaField]:
    """What a model can be told, in the order of the form."""
    return _FIELDS[kind](model)


def _image_fields(model: MediaModel) -> list[MediaField]:
    options = image_options(model.known_as)
    named = _in_meters(model.meters)
    sizes = options.sizes or [word for word in named if _SIZE.fullmatch(word)]
    qualities = options.qualities or [word for word in named if word.isalpha()]
    count = [str(number) for number in range(1, options.count_max + 1)]
    shown = [
        MediaField("size", choices=sizes),
        MediaField("quality", choices=qualities),
        MediaField("n", choices=count, default="1", required=True),
        MediaField("background", choices=options.backgrounds),
        MediaField("output_format", choices=options.formats),
        MediaField("style", choices=options.styles),
    ]
    return [one for one in shown if len(one.choices) > one.required]


def _speech_fields(model: MediaModel) -> list[MediaField]:
    options = speech_options(model.known_as)
    voice = MediaField("voice", "text", default="alloy", required=True)
    if options.voices:
        voice = MediaField("voice", choices=options.voices, default=options.voices[0],
                           required=True)  # fmt: skip
    shown = [voice]
    if options.instructed:
        shown.append(MediaField("instructions", "text"))
    if len(options.formats) > 1:
        shown.append(
            MediaField("response_format", choices=options.formats, default="mp3", required=True)
        )
    if options.paced:
        shown.append(MediaField("speed", "number", low=_SPEED_MIN, high=_SPEED_MAX))
    return shown


def _heard_fields(model: MediaModel) -> list[MediaField]:
    options = heard_options(model.known_as)
    shown = []
    if options.translates:
        shown.append(
            MediaField("task", choices=("transcribe", "translate"), default="transcribe",
                       required=True)
        )  # fmt: skip
    shown.append(MediaField("language", "text"))
    if options.timed:
        shown.append(MediaField("timestamps", choices=("yes", "no"), default="yes", required=True))
    return shown


def _video_fields(model: MediaModel) -> list[MediaField]:
    options = video_options(model.known_as)
    seconds = MediaField("seconds", "number", default=str(SECONDS), required=True, low=1,
                         high=SECONDS_MAX)  # fmt: skip
    if options.seconds:
        lengths = [str(length) for length in options.seconds]
        seconds = MediaField("seconds", choices=lengths, default=lengths[0], required=True)
    named = _in_meters(model.meters)
    sizes = [word for word in named if _SIZE.fullmatch(word)]
    sizes += [size for word in named for size in _VIDEO_SIZE_P.get(word, ())]
    size = MediaField("size", choices=sizes or options.sizes, default=(sizes or options.sizes)[0],
                      required=True)  # fmt: skip
    return [seconds, size]


_FIELDS: Final = {
    "image": _image_fields,
    "speech": _speech_fields,
    "transcription": _heard_fields,
    "video": _video_fields,
}


def _in_meters(meters: Collection[str]) -> list[str]:
    """The words in the brackets of the meters of a price, each once, in their order."""
    found = [match[1] for meter in sorted(meters) if (match := _IN_METER.fullmatch(meter))]
    return list(dict.fromkeys(word for words in found for word in words.split(",")))


def kept_values(kind: MediaKind, model: MediaModel, values: Mapping[str, str]) -> dict[str, str]:
    """The values that the model can be told, with its defaults for what must be chosen. Raises
    InvalidMedia."""
    kept = {}
    for one in fields_of(kind, model):
        value = values.get(one.name, "").strip()
        if one.form == "choice" and value not in one.choices:
            value = ""
        elif one.form == "number" and value:
            value = _number(one, value)
        elif len(value) > _TEXT_MAX:
            raise InvalidMedia(one.name, "too_long", high=_TEXT_MAX)
        value = value or (one.default if one.required else "")
        if value:
            kept[one.name] = value
    if not _LANGUAGE.fullmatch(kept.get("language", "en")):
        raise InvalidMedia("language", "no_language")
    return kept


def _number(one: MediaField, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not one.low <= value <= one.high or (one.name == "seconds" and not value.is_integer()):
        raise InvalidMedia(one.name, "no_number", low=f"{one.low:g}", high=f"{one.high:g}")
    return f"{value:g}"


def build_request(
    kind: MediaKind,
    model: MediaModel,
    prompt: str,
    values: Mapping[str, str],
    given: Collection[str],
) -> MediaAsk:
    """The request of these values, as `kept_values` gives them; `given` are the roles of the files
    beside it. Raises InvalidMedia."""
    if len(prompt) > PROMPT_MAX:
        raise InvalidMedia("prompt", "too_long", high=PROMPT_MAX)
    if not prompt.strip() and kind != "transcription":
        raise InvalidMedia("prompt", "no_prompt")
    return _BUILT[kind](model, prompt, values, given)


def _image(
    model: MediaModel, prompt: str, values: Mapping[str, str], given: Collection[str]
) -> MediaAsk:
    options = image_options(model.known_as)
    edits = "picture" in given
    if edits and not options.edits:
        raise InvalidMedia("picture", "no_edits")
    if "mask" in given and not options.masks:
        raise InvalidMedia("mask", "no_masks")
    body: dict[str, Any] = {"model": model.name, "prompt": prompt}
    if int(values.get("n", "1")) > 1:
        body["n"] = int(values["n"])
    names = ("size", "quality", "background", "output_format", "style")
    body |= {name: values[name] for name in names if name in values}
    if options.by_url:
        body["response_format"] = "b64_json"
    return MediaAsk("image_edits" if edits else "image_generations", body)


def _speech(
    model: MediaModel, prompt: str, values: Mapping[str, str], given: Collection[str]
) -> MediaAsk:
    body: dict[str, Any] = {"model": model.name, "input": prompt, "voice": values["voice"]}
    body["response_format"] = values.get(
        "response_format", speech_options(model.known_as).formats[0]
    )
    if "instructions" in values:
        body["instructions"] = values["instructions"]
    if "speed" in values:
        body["speed"] = float(values["speed"])
    return MediaAsk("speech", body)


def _transcription(
    model: MediaModel, prompt: str, values: Mapping[str, str], given: Collection[str]
) -> MediaAsk:
    if "sound" not in given:
        raise InvalidMedia("sound", "no_sound")
    translates = values.get("task") == "translate"
    timed = values.get("timestamps") == "yes"
    body: dict[str, Any] = {"model": model.name}
    body["response_format"] = "verbose_json" if timed else "json"
    if "language" in values and not translates:
        body["language"] = values["language"]
    if prompt.strip():
        body["prompt"] = prompt
    return MediaAsk("translations" if translates else "transcriptions", body)


def _video(
    model: MediaModel, prompt: str, values: Mapping[str, str], given: Collection[str]
) -> MediaAsk:
    body = {
        "model": model.name,
        "prompt": prompt,
        "seconds": values.get("seconds", str(SECONDS)),
        "size": values.get("size", SIZE),
    }
    return MediaAsk("videos", body)


_BUILT: Final = {
    "image": _image,
    "speech": _speech,
    "transcription": _transcription,
    "video": _video,
}
