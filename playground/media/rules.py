"""The forms of the media pages: the fields that each model supports, and the request that they
form.

    values      the fields of a form by their names, as texts; "" means the model's default
    MediaField  one field, for display
    MediaAsk    the operation and its body, as an API client would write them

A value that a model does not support is left out, because a comparison sends one form to two
models.

InvalidMedia    the form cannot be sent; `field` and `code` say why
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dialects.media.videos import PROMPT_CHARACTERS_MAX, SECONDS_MAX, SIZE
from gateway.providers.media_options import (
    MediaKind,
    image_options,
    speech_options,
    transcription_options,
    video_options,
)
from playground.models_offered.media_model import MediaModel

MediaOperationName = Literal[
    "image_generations", "image_edits", "speech", "transcriptions", "translations", "videos",
    "suno_music", "suno_lyrics", "midjourney_imagine", "midjourney_describe", "midjourney_blend",
    "midjourney_shorten", "midjourney_action", "midjourney_modal",
]  # fmt: skip
# The roles of pictures to blend, or of those before a prompt, in their order.
PICTURES: Final = ("picture", "picture2", "picture3", "picture4", "picture5")
PROMPT_MAX: Final = PROMPT_CHARACTERS_MAX
_SIZE: Final = re.compile(r"[0-9]{2,5}x[0-9]{2,5}")
_IN_METER: Final = re.compile(r"(?:images|video_ms)\[([^\]]+)\]")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,4})?")
_TEXT_MAX: Final = 2_000
_SPEED_MIN, _SPEED_MAX = 0.25, 4.0
_BLENDED_MIN: Final = 2
_CONTINUE_MAX_S: Final = 3_600
_VIDEO_SIZE_P: Final = {"720p": ("720x1280", "1280x720"), "1080p": ("1080x1920", "1920x1080")}


class InvalidMedia(ValueError):
    """The form cannot be sent. `code`: no_prompt, too_long, no_picture, no_sound, no_voice,
    no_number, no_language, few_pictures; `detail` has the numbers for its text."""

    def __init__(self, field: str, code: str, **detail: Any) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class MediaField:
    """A form field: one of `choices`, a "number" from `low` to `high`, "text", or "hidden".
    `default` is its initial value; `required` excludes ""."""

    name: str
    form: str = "choice"
    choices: Sequence[str] = ()
    default: str = ""
    required: bool = False
    low: float = 0
    high: float = 0


@dataclass(frozen=True)
class MediaAsk:
    """A request. The caller adds the files, which are form parts named by role."""

    operation: MediaOperationName
    body: dict[str, Any] = field(default_factory=dict)


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


def _music_fields(model: MediaModel) -> list[MediaField]:
    if _action(model) != "suno_music":
        return []
    return [
        # The song that the new clip continues.
        MediaField("source", "hidden"),
        MediaField("clip", "hidden"),
        MediaField("continue_at", "number", low=0, high=_CONTINUE_MAX_S),
        MediaField("words", choices=("idea", "lyrics"), default="idea", required=True),
        MediaField("title", "text"),
        MediaField("tags", "text"),
        MediaField("instrumental", choices=("no", "yes"), default="no", required=True),
        MediaField("mv", "text"),
    ]


def _midjourney_fields(model: MediaModel) -> list[MediaField]:
    bot = MediaField("bot", choices=("NIJI_JOURNEY",))
    match _action(model):
        case "mj_imagine":
            ratios = ("1:1", "3:2", "2:3", "16:9", "9:16")
            return [
                MediaField("aspect", choices=ratios),
                MediaField("mode", choices=("RELAX", "FAST", "TURBO")),
                bot,
            ]
        case "mj_blend":
            return [MediaField("dimensions", choices=("SQUARE", "PORTRAIT", "LANDSCAPE")), bot]
        case "mj_describe" | "mj_shorten":
            return [bot]
        case "mj_modal":
            return [MediaField("source", "hidden")]
    # An action of a button below a picture.
    return [MediaField("source", "hidden"), MediaField("custom", "hidden")]


def _action(model: MediaModel) -> str:
    """Return the action of a service's model, which is the model's name: such requests have no
    model member."""
    return model.name


_FIELDS: Final = {
    "image": _image_fields,
    "speech": _speech_fields,
    "transcription": _transcription_fields,
    "video": _video_fields,
    "music": _music_fields,
    "midjourney": _midjourney_fields,
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
    if kind == "midjourney":
        return model.name in ("mj_imagine", "mj_shorten")
    return kind != "transcription" and "clip" not in values


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


def _music(
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    if _action(model) == "suno_lyrics":
        return MediaAsk("suno_lyrics", {"prompt": prompt})
    named = "prompt" if values["words"] == "lyrics" else "gpt_description_prompt"
    body: dict[str, Any] = {named: prompt} if prompt.strip() else {}
    body |= {name: values[name] for name in ("title", "tags", "mv") if name in values}
    if values["instrumental"] == "yes":
        body["make_instrumental"] = True
    if "clip" in values and "source" in values:
        body |= {"continue_clip_id": values["clip"], "task_id": values["source"]}
        body["continue_at"] = float(values.get("continue_at", "0"))
    return MediaAsk("suno_music", body)


def _midjourney(
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    """Build a Midjourney request. The caller adds its images."""
    pictures = sum(role.startswith("picture") for role in input_names)
    body: dict[str, Any] = {"botType": values["bot"]} if "bot" in values else {}
    match _action(model):
        case "mj_imagine":
            ratio = f" --ar {values['aspect']}" if "aspect" in values else ""
            body = {"prompt": f"{prompt.strip()}{ratio}", **body}
            if "mode" in values:
                body["modes"] = [values["mode"]]
            return MediaAsk("midjourney_imagine", body)
        case "mj_describe":
            if not pictures:
                raise InvalidMedia("picture", "no_picture")
            return MediaAsk("midjourney_describe", body)
        case "mj_blend":
            if pictures < _BLENDED_MIN:
                raise InvalidMedia("picture", "few_pictures", low=_BLENDED_MIN)
            if "dimensions" in values:
                body["dimensions"] = values["dimensions"]
            return MediaAsk("midjourney_blend", body)
        case "mj_shorten":
            return MediaAsk("midjourney_shorten", {"prompt": prompt, **body})
        case "mj_modal":
            body = {"taskId": values.get("source", ""), "prompt": prompt}
            return MediaAsk("midjourney_modal", body)
    body = {"taskId": values.get("source", ""), "customId": values.get("custom", "")}
    return MediaAsk("midjourney_action", body)


_BUILT: Final = {
    "image": _image,
    "speech": _speech,
    "transcription": _transcription,
    "video": _video,
    "music": _music,
    "midjourney": _midjourney,
}


# Pictures in the body --------------------------------------------------------------------------


def is_in_body(operation: str) -> bool:
    """Return whether an operation has its pictures in its JSON body, and not in a form."""
    return operation in _IN_BODY


def pictures_in(operation: str, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a body that contain its pictures; `urls` are by role. {} without
    pictures."""
    return _IN_BODY[operation](urls) if urls and is_in_body(operation) else {}


def _several(urls: Mapping[str, str]) -> dict[str, Any]:
    return {"base64Array": [urls[role] for role in PICTURES if role in urls]}


_IN_BODY: Final[Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]]] = {
    "videos": lambda urls: {"input_reference": {"image_url": urls["picture"]}},
    "midjourney_imagine": _several,
    "midjourney_blend": _several,
    "midjourney_describe": lambda urls: {"base64": next(iter(urls.values()))},
    "midjourney_modal": lambda urls: {"maskBase64": urls["mask"]},
}
