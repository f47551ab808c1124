"""The playground's page of Midjourney."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.secrets.sealing import pepper
from dialects.errors.errors import RequestFault
from extensions.midjourney import dialect, provider
from gateway.media_tasks.content_links import service_link
from gateway.media_tasks.media_tasks import result_of
from gateway.models import MediaTask
from lib.clock import now
from playground.media.answer import decode_answer
from playground.media.service import (
    InvalidMedia,
    MediaAsk,
    MediaField,
    MediaService,
    ServiceResult,
)
from playground.models import MediaRun
from playground.models_offered.media_model import MediaModel

_BUTTONS_MAX: Final = 40
_BLENDED_MIN: Final = 2
# The roles of pictures to blend, or of those before a prompt, in their order.
_PICTURES: Final = ("picture", "picture2", "picture3", "picture4", "picture5")
# The initial actions. The others are buttons below an image.
_FIRST_ACTIONS: Final = ("mj_imagine", "mj_blend", "mj_describe", "mj_shorten")
_PICTURE_LABELS: Final[Mapping[str, Promise]] = {
    "mj_imagine": _("Pictures to begin with"),
    "mj_blend": _("Pictures to blend, 2 to 5"),
    "mj_describe": _("Picture to describe"),
}

# The form ---------------------------------------------------------------------------------------


def _choose(models: list[MediaModel]) -> list[MediaModel]:
    named = {model.name: model for model in models}
    return [named[name] for name in _FIRST_ACTIONS if name in named]


def _fields(model: MediaModel) -> list[MediaField]:
    bot = MediaField("bot", choices=("NIJI_JOURNEY",))
    match model.name:
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


def _build(
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    """Build a Midjourney request. The caller adds its images."""
    pictures = sum(role.startswith("picture") for role in input_names)
    body: dict[str, Any] = {"botType": values["bot"]} if "bot" in values else {}
    match model.name:
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


def _several(urls: Mapping[str, str]) -> dict[str, Any]:
    return {"base64Array": [urls[role] for role in _PICTURES if role in urls]}


# Results ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Button:
    """A follow-up action on an image. `model` is the action, `nano` its price, or None if it is not
    available."""

    id: str
    label: str
    model: str
    word: str
    nano: int | None


@dataclass(frozen=True)
class Drawing(ServiceResult):
    """A picture with its buttons, the text of a description, or a dialog that waits for input:
    `dialog` is "" or the action that needs input, `source` the picture that it is about."""

    url: str
    buttons: Sequence[Button]
    texts: Sequence[str] = ()
    dialog: str = ""
    source: str = ""

    @property
    def picture_url(self) -> str:
        """The URL of the picture that a dialog is about."""
        return _picture_link(self.source)


def _describe(
    slug: str, run: MediaRun, task: MediaTask | None, prices: Mapping[str, int]
) -> Drawing | None:
    """Return None while there is no image."""
    if task is None:
        return None
    source = str(run.body.get("taskId", ""))
    if task.state in ("queued", "running"):
        waits = task.provider_state == "MODAL" and run.operation == "midjourney_action"
        return Drawing("", (), dialog=run.model, source=source) if waits else None
    result = result_of(task)
    url = _picture_link(task.public_id) if result.get("imageUrl") else ""
    buttons = [one for one in result.get("buttons") or () if isinstance(one, Mapping)]
    final_prompt = result.get("properties", {}).get("finalPrompt", "")
    texts = [line.strip() for line in str(final_prompt).splitlines() if line.strip()]
    return Drawing(url, [_button(one, prices) for one in buttons[:_BUTTONS_MAX]], texts)


def _picture_link(public_id: str) -> str:
    """Return the relay's URL of a task's picture, by a link that expires."""
    return service_link(pepper(), "", provider.SERVICE.file_path, public_id, now().timestamp())


def _button_model(custom_id: str) -> str:
    """Return the action of a button, or "" if it is not available."""
    body = msgspec.json.encode({"taskId": "1", "customId": custom_id})
    try:
        return dialect.read("action", body, "").model
    except RequestFault:
        return ""


def _button(button: Mapping[str, Any], prices: Mapping[str, int]) -> Button:
    id = _text(button, "customId")
    model = _button_model(id)
    label = _text(button, "label") or _text(button, "emoji") or _word(model)
    return Button(id, label, model, _word(model), prices.get(model))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _word(model: str) -> str:
    return str(PAGE.actions.get(model, model))


class _Submitted(msgspec.Struct):
    result: str


def _read_submitted(raw: bytes) -> str:
    """Return the public id of an accepted task."""
    return decode_answer(raw, _Submitted).result


PAGE: Final = MediaService(
    kind="midjourney",
    service="midjourney",
    page="midjourney",
    place=2,
    title=_("Midjourney"),
    icon="layers",
    search_words=pgettext_lazy("search words", "picture image"),
    help="playground-media#midjourney",
    none_offered=_("Midjourney is not available"),
    nothing_yet=_("No images yet"),
    choose=_choose,
    fields=_fields,
    build=_build,
    needs_prompt=lambda model, values: model.name in ("mj_imagine", "mj_shorten"),
    roles={**dict.fromkeys(_PICTURES, "image"), "mask": "image"},
    in_body={
        "midjourney_imagine": _several,
        "midjourney_blend": _several,
        "midjourney_describe": lambda urls: {"base64": next(iter(urls.values()))},
        "midjourney_modal": lambda urls: {"maskBase64": urls["mask"]},
    },
    picture_label=lambda model: _PICTURE_LABELS.get(model, ""),
    without_prompt=("mj_blend", "mj_describe"),
    model_of=lambda form: _button_model(form["custom"]) if form.get("custom") else "",
    titled_by_source=True,
    read_task=_read_submitted,
    describe=_describe,
    priced=True,
    result_template="midjourney/_drawing.html",
    dialog_template="midjourney/_dialog.html",
    waits=_("Midjourney waits for your answer."),
    actions={
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
    },
    labels={
        "aspect": _("Aspect ratio"),
        "mode": pgettext_lazy("pictures", "Speed"),
        "bot": _("Style"),
        "dimensions": pgettext_lazy("picture", "Shape"),
    },
    values={
        "NIJI_JOURNEY": _("Anime (Niji)"),
        "RELAX": pgettext_lazy("speed", "Relaxed"),
        "FAST": pgettext_lazy("speed", "Fast"),
        "TURBO": pgettext_lazy("speed", "Turbo"),
        "SQUARE": _("Square"),
        "PORTRAIT": _("Portrait"),
        "LANDSCAPE": _("Landscape"),
    },
    unseen=("source", "custom"),
)
