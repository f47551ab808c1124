"""Results of Suno and Midjourney for pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.urls import reverse

from accounts.secrets.sealing import pepper
from dialects.errors.errors import RequestFault
from dialects.media import midjourney
from gateway.media_tasks.content_links import service_link
from gateway.media_tasks.media_tasks import result_of
from gateway.models import MediaTask
from gateway.providers.midjourney_proxy import SERVICE
from lib.clock import now
from playground.media.answer import clock
from playground.media.words import model_word
from playground.models import MediaRun

_CLIPS_MAX: Final = 8
_BUTTONS_MAX: Final = 40


@dataclass(frozen=True)
class Clip:
    """One version of a song; `length` is "" if unknown."""

    number: int
    id: str
    title: str
    tags: str
    length: str
    seconds: float
    url: str
    lyrics: str


@dataclass(frozen=True)
class SongDisplay:
    """The clips of a song, or the text of lyrics."""

    clips: Sequence[Clip]
    title: str = ""
    text: str = ""


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
class Drawing:
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
        return reverse_image(self.source)


def describe_song(slug: str, run: MediaRun, task: MediaTask | None) -> SongDisplay | None:
    """Return None while there is no audio and no text."""
    songs = None if task is None else result_of(task).get("data")
    if isinstance(songs, dict):
        return SongDisplay((), _text(songs, "title"), _text(songs, "text"))
    if not isinstance(songs, list):
        return None
    clips = [one for one in songs[:_CLIPS_MAX] if isinstance(one, dict)]
    return SongDisplay([_clip(slug, run, number, one) for number, one in enumerate(clips)])


def _clip(slug: str, run: MediaRun, number: int, song: Mapping[str, Any]) -> Clip:
    facts = song.get("metadata")
    facts = facts if isinstance(facts, Mapping) else {}
    length = facts.get("duration")
    seconds = float(length) if isinstance(length, int | float) and length > 0 else 0.0
    return Clip(
        number=number,
        id=_text(song, "id"),
        title=_text(song, "title") or run.settings.get("title", ""),
        tags=_text(facts, "tags"),
        length=clock(seconds) if seconds else "",
        seconds=seconds,
        url=reverse("media_clip", args=[slug, run.text_id, number]),
        lyrics=_text(facts, "prompt"),
    )


def describe_drawing(
    run: MediaRun, task: MediaTask | None, prices: Mapping[str, int]
) -> Drawing | None:
    """Return None while there is no image."""
    if task is None:
        return None
    source = str(run.body.get("taskId", ""))
    if task.state in ("queued", "running"):
        waits = task.provider_state == "MODAL" and run.operation == "midjourney_action"
        return Drawing("", (), dialog=run.model, source=source) if waits else None
    result = result_of(task)
    url = reverse_image(task.public_id) if result.get("imageUrl") else ""
    buttons = [one for one in result.get("buttons") or () if isinstance(one, Mapping)]
    final_prompt = result.get("properties", {}).get("finalPrompt", "")
    texts = [line.strip() for line in str(final_prompt).splitlines() if line.strip()]
    return Drawing(url, [_button(one, prices) for one in buttons[:_BUTTONS_MAX]], texts)


def reverse_image(public_id: str) -> str:
    """Return the relay's URL of a task's picture, by a link that expires."""
    return service_link(pepper(), "", SERVICE.file_path, public_id, now().timestamp())


def button_model(custom_id: str) -> str:
    """Return the action of a button, or "" if it is not available."""
    body = msgspec.json.encode({"taskId": "1", "customId": custom_id})
    try:
        return midjourney.read("action", body, "").model
    except RequestFault:
        return ""


def _button(button: Mapping[str, Any], prices: Mapping[str, int]) -> Button:
    id = _text(button, "customId")
    model = button_model(id)
    label = _text(button, "label") or _text(button, "emoji") or model_word(model)
    return Button(id, label, model, model_word(model), prices.get(model))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
