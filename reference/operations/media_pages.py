"""The pages of images and of sound."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import IMAGE_MODEL, SPEECH_MODEL, TRANSCRIPTION_MODEL
from reference.operations.page import (
    MAX_COST,
    MODEL_FIELD,
    PASSED,
    STREAM,
    USER,
    Field,
    ReferencePage,
)

_PROMPT: Final = Field("prompt", "string", _("What the image should show."), True)
_COUNT: Final = Field("n", "integer", _("How many images to make. Each is charged."), limits="1–10")
_SIZE: Final = Field(
    "size",
    "string",
    _("Width and height in pixels, such as 1024x1024, or auto. It may set the price."),
)
_QUALITY: Final = Field(
    "quality",
    "string",
    _("It may set the price."),
    limits="standard, hd, low, medium, high, auto",
)
_AS: Final = Field(
    "response_format",
    "string",
    _("Links, or the images themselves. GPT image models always send the images."),
    limits="url, b64_json",
)
_PARTIAL: Final = Field(
    "partial_images",
    "integer",
    _("How many unfinished images to send first, when streaming."),
    limits="0–3",
)
_IMAGE_FIELDS: Final = (
    Field("output_format", "string", PASSED, limits="png, jpeg, webp"),
    Field("output_compression", "integer", PASSED, limits="0–100"),
    Field("background", "string", PASSED, limits="transparent, opaque, auto"),
)
_FORM_NOTE: Final = _(
    "A form may be up to 128 MiB, with its fields in any order. Files are recognised by their "
    "content, whatever their name or declared type."
)
_HOLD_NOTE: Final = _(
    "The maximum cost is reserved by the length of the audio. For compressed formats the length "
    "is derived from the size of the file, at 8 kbit/s, because the length that a file states "
    "cannot be trusted."
)
_LINK_NOTE: Final = _(
    "Qwen's models answer with links to /v1/images/{id}/content. They need no key, and expire "
    "after a day or with the provider's own link, whichever is sooner."
)
_IMAGES_ANSWER: Final = """{
  "created": 1767100002, "background": "opaque", "output_format": "png",
  "quality": "medium", "size": "1024x1024",
  "data": [{"b64_json": "iVBORw0KGgo…"}],
  "usage": {"input_tokens": 11, "output_tokens": 1056, "total_tokens": 1067,
    "input_tokens_details": {"text_tokens": 11, "image_tokens": 0}}
}"""

IMAGES: Final = ReferencePage(
    slug="image-generations",
    title=_("Generate images"),
    summary=_("Makes images from a text, with every image model, in OpenAI's format or Qwen's."),
    operations=("image_generations", "image_content"),
    path="/v1/images/generations",
    fields=(
        MODEL_FIELD,
        _PROMPT,
        _COUNT,
        _SIZE,
        _QUALITY,
        _AS,
        STREAM,
        _PARTIAL,
        *_IMAGE_FIELDS,
        Field("style", "string", PASSED, limits="vivid, natural"),
        Field("moderation", "string", PASSED, limits="low, auto"),
        Field(
            "input, parameters",
            "object",
            _(
                "Qwen's format, in place of prompt: input.messages with text, and parameters such "
                "as n, size (1328*1328), negative_prompt, prompt_extend, watermark and seed."
            ),
        ),
        USER,
        MAX_COST,
    ),
    example={"model": IMAGE_MODEL, "prompt": "A paper boat on a river", "size": "1024x1024"},
    answer=_IMAGES_ANSWER,
    notes=(_LINK_NOTE,),
)
IMAGE_EDITS: Final = ReferencePage(
    slug="image-edits",
    title=_("Edit images"),
    summary=_(
        "Changes images as a text says. Send files in a form, or links and data URLs in JSON."
    ),
    operations=("image_edits",),
    path="/v1/images/edits",
    fields=(
        MODEL_FIELD,
        _PROMPT,
        Field(
            "image, image[]", "file", _("In a form: PNG, JPEG, WebP or GIF."), True, limits="≤ 16"
        ),
        Field(
            "images",
            "object[] | string[]",
            _("In JSON: image_url with a link or data URL, or these alone."),
        ),
        Field("mask", "file", _("Which part to change: its transparent pixels.")),
        _COUNT,
        _SIZE,
        _QUALITY,
        _AS,
        STREAM,
        _PARTIAL,
        *_IMAGE_FIELDS,
        Field("input_fidelity", "string", PASSED, limits="low, high"),
        USER,
        MAX_COST,
    ),
    example={"model": IMAGE_MODEL, "prompt": "Add a heron on the bank"},
    answer=_IMAGES_ANSWER,
    notes=(_FORM_NOTE, _LINK_NOTE),
    files={"image": "river.png"},
)
IMAGE_VARIATIONS: Final = ReferencePage(
    slug="image-variations",
    title=_("Vary images"),
    summary=_("Makes images like another one, for models whose provider has this endpoint."),
    operations=("image_variations",),
    path="/v1/images/variations",
    fields=(
        MODEL_FIELD,
        Field("image", "file", _("The image to vary."), True),
        _COUNT,
        _SIZE,
        _AS,
        USER,
        MAX_COST,
    ),
    example={"model": IMAGE_MODEL},
    answer="""{"created": 1767100002, "data": [{"url": "https://pictures.example/boat.png"}]}""",
    notes=(_FORM_NOTE,),
    files={"image": "river.png"},
)
SPEECH: Final = ReferencePage(
    slug="speech",
    title=_("Speech"),
    summary=_("Reads a text aloud. The audio is sent as it comes."),
    operations=("speech",),
    path="/v1/audio/speech",
    fields=(
        MODEL_FIELD,
        Field("input", "string", _("The text to read."), True),
        Field(
            "voice",
            "string | object",
            _("A voice of the model, such as alloy, or the ID of a custom voice."),
            True,
        ),
        Field(
            "response_format",
            "string",
            _("The format of the audio. Default: mp3."),
            limits="mp3, opus, aac, flac, wav, pcm",
        ),
        Field("speed", "number", _("How fast to read. Default: 1."), limits="0.25–4"),
        Field("instructions", "string", _("How to read it. Not supported by tts-1.")),
        Field(
            "stream_format",
            "string",
            _("sse sends the audio as events, the last of which has the usage. Default: audio."),
            limits="audio, sse",
        ),
        MAX_COST,
    ),
    example={
        "model": SPEECH_MODEL,
        "input": "Rivers meander because bends grow.",
        "voice": "alloy",
    },
    answer="""HTTP/1.1 200 OK
content-type: audio/mpeg
transfer-encoding: chunked

ID3…""",
    notes=(_("Gemini models return wav or pcm only, and wav if no format is given."),),
)
_FILE: Final = Field(
    "file", "file", _("The audio: FLAC, MP3, MP4, M4A, MPEG, Ogg, WAV, WebM or AAC."), True
)
_HEARD_PROMPT: Final = Field("prompt", "string", _("Words that guide spelling and style."))
_HEARD_TEMPERATURE: Final = Field("temperature", "number", PASSED, limits="0–1")
_HEARD_FORMAT: Final = Field(
    "response_format",
    "string",
    _("The format of the transcript. Default: json."),
    limits="json, text, srt, verbose_json, vtt",
)
TRANSCRIPTIONS: Final = ReferencePage(
    slug="transcriptions",
    title=_("Transcriptions"),
    summary=_("Writes down what is said in an audio file."),
    operations=("transcriptions",),
    path="/v1/audio/transcriptions",
    fields=(
        MODEL_FIELD,
        _FILE,
        Field("language", "string", _("The language spoken, such as en. Default: detected.")),
        _HEARD_PROMPT,
        _HEARD_FORMAT,
        _HEARD_TEMPERATURE,
        Field(
            "timestamp_granularities[]",
            "string[]",
            _("For verbose_json: times of words or segments."),
            limits="word, segment",
        ),
        STREAM,
        Field(
            "include[], chunking_strategy, known_speaker_names[], known_speaker_references[]",
            "string[] | string | object",
            PASSED,
        ),
        MAX_COST,
    ),
    example={"model": TRANSCRIPTION_MODEL, "response_format": "json"},
    answer="""{"text": "Rivers meander.", "usage": {"type": "duration", "seconds": 2}}""",
    notes=(_FORM_NOTE, _HOLD_NOTE),
    files={"file": "speech.mp3"},
)
TRANSLATIONS: Final = ReferencePage(
    slug="translations",
    title=_("Translations"),
    summary=_("Writes down in English what is said in an audio file."),
    operations=("translations",),
    path="/v1/audio/translations",
    fields=(MODEL_FIELD, _FILE, _HEARD_PROMPT, _HEARD_FORMAT, _HEARD_TEMPERATURE, MAX_COST),
    example={"model": TRANSCRIPTION_MODEL, "response_format": "json"},
    answer="""{"text": "Rivers meander."}""",
    notes=(_FORM_NOTE, _HOLD_NOTE),
    files={"file": "speech.mp3"},
)
