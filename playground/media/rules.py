"""The forms of the media pages: the fields that each model supports, and the request that they
form.

A value that a model does not support is left out, because a comparison sends one form to two
models.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from dialects.media.videos import PROMPT_CHARACTERS_MAX, SECONDS_MAX, SIZE
from gateway.providers.media_options import (
    MediaKind,
    image_options,
    speech_options,
    transcription_options,
    video_options,
)
from playground.media.service import InvalidMedia, MediaAsk, MediaField
from playground.media.task_services import MEDIA_SERVICES
from playground.models_offered.media_model import MediaModel

PROMPT_MAX: Final = PROMPT_CHARACTERS_MAX
_SIZE: Final = re.compile(r"[0-9]{2,5}x[0-9]{2,5}")
_IN_METER: Final = re.compile(r"(?:images|video_ms)\[([^\]]+)\]")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,4})?")
_TEXT_MAX: Final = 2_000
_SPEED_MIN, _SPEED_MAX = 0.25, 4.0
_VIDEO_SIZE_P: Final = {"720p": ("720x1280", "1280x720"), "1080p": ("1080x1920", "1920x1080")}


def fields_of(kind: MediaKind, model: MediaModel) -> list[MediaField]:
    """Return the fields that a model supports, in the order of the form."""
    return _FIELDS[kind](model)


def _image_fields(model: MediaModel) -> list[MediaField]:
    options = image_options(model.known_as)
    named = _in_meters(model.meters)
    sizes = options.sizes or [word for word in named if _SIZE.fullmatch(word)]
    qualities = options.qualities or [word for word in named if word.isalpha()]
    count = [str(number) for number in range(1, options.count_max + 1)]
    fields = [
        MediaField("size", choices=sizes),
        MediaField("quality", choices=qualities),
        MediaField("n", choices=count, default="1", required=True),
        MediaField("background", choices=options.backgrounds),
        MediaField("output_format", choices=options.formats),
        MediaField("style", choices=options.styles),
    ]
    return [one for one in fields if len(one.choices) > one.required]


def _speech_fields(model: MediaModel) -> list[MediaField]:
    options = speech_options(model.known_as)
    voice = MediaField("voice", "text", default="alloy", required=True)
    if options.voices:
        voice = MediaField("voice", choices=options.voices, default=options.voices[0],
                           required=True)  # fmt: skip
    fields = [voice]
    if options.instructed:
        fields.append(MediaField("instructions", "text"))
    if len(options.formats) > 1:
        fields.append(
            MediaField("response_format", choices=options.formats, default="mp3", required=True)
        )
    if options.paced:
        fields.append(MediaField("speed", "number", low=_SPEED_MIN, high=_SPEED_MAX))
    return fields


def _transcription_fields(model: MediaModel) -> list[MediaField]:
    options = transcription_options(model.known_as)
    fields = []
    if options.translates:
        fields.append(
            MediaField("task", choices=("transcribe", "translate"), default="transcribe",
                       required=True)
        )  # fmt: skip
    fields.append(MediaField("language", "text"))
    if options.timed:
        fields.append(MediaField("timestamps", choices=("yes", "no"), default="yes", required=True))
    return fields


def _video_fields(model: MediaModel) -> list[MediaField]:
    options = video_options(model.known_as)
    # Without a value, the length is that of the provider's default.
    seconds = MediaField("seconds", "number", low=1, high=SECONDS_MAX)
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
    "transcription": _transcription_fields,
    "video": _video_fields,
    **{kind: service.fields for kind, service in MEDIA_SERVICES.items()},
}


def _in_meters(meters: Collection[str]) -> list[str]:
    """Return the words in the brackets of a price's meters, without duplicates, in their order."""
    qualities = [match[1] for meter in sorted(meters) if (match := _IN_METER.fullmatch(meter))]
    return list(dict.fromkeys(word for words in qualities for word in words.split(",")))


def supported_values(
    kind: MediaKind, model: MediaModel, values: Mapping[str, str]
) -> dict[str, str]:
    """Return the values that the model supports, with its defaults for required fields. Raises
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
    input_names: Collection[str],
) -> MediaAsk:
    """Build the request from the values of `supported_values`. `input_names` are the roles of the
    files. Raises InvalidMedia."""
    if len(prompt) > PROMPT_MAX:
        raise InvalidMedia("prompt", "too_long", high=PROMPT_MAX)
    if not prompt.strip() and _needs_prompt(kind, model, values):
        raise InvalidMedia("prompt", "no_prompt")
    return _BUILT[kind](model, prompt, values, input_names)


def _needs_prompt(kind: MediaKind, model: MediaModel, values: Mapping[str, str]) -> bool:
    if kind in MEDIA_SERVICES:
        return MEDIA_SERVICES[kind].needs_prompt(model, values)
    return kind != "transcription"


def _image(
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    options = image_options(model.known_as)
    edits = "picture" in input_names
    if edits and not options.edits:
        raise InvalidMedia("picture", "no_edits")
    if "mask" in input_names and not options.masks:
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
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
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
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    if "sound" not in input_names:
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
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    body = {"model": model.name, "prompt": prompt, "size": values.get("size", SIZE)}
    if "seconds" in values:
        body["seconds"] = values["seconds"]
    return MediaAsk("videos", body)


_BUILT: Final = {
    "image": _image,
    "speech": _speech,
    "transcription": _transcription,
    "video": _video,
    **{kind: service.build for kind, service in MEDIA_SERVICES.items()},
}


# Pictures in the body --------------------------------------------------------------------------


def is_in_body(operation: str) -> bool:
    """Return whether an operation has its pictures in its JSON body, and not in a form."""
    return operation in _IN_BODY


def pictures_in(operation: str, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a body that contain its pictures; `urls` are by role. {} without
    pictures."""
    return _IN_BODY[operation](urls) if urls and is_in_body(operation) else {}


_IN_BODY: Final[Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]]] = {
    "videos": lambda urls: {"input_reference": {"image_url": urls["picture"]}},
    **{name: put for one in MEDIA_SERVICES.values() for name, put in one.in_body.items()},
}
