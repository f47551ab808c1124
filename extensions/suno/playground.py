"""The playground's page of Suno: music."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from gateway.media_tasks.media_tasks import result_of
from gateway.models import MediaTask
from playground.media.answer import clock, decode_answer
from playground.media.service import (
    MediaAsk,
    MediaField,
    MediaService,
    PlayedFile,
    ServiceResult,
)
from playground.models import MediaRun
from playground.models_offered.media_model import MediaModel

_CLIPS_MAX: Final = 8
_CONTINUE_MAX_S: Final = 3_600

# The form ---------------------------------------------------------------------------------------


def _choose(models: list[MediaModel]) -> list[MediaModel]:
    return sorted(models, key=lambda model: model.name, reverse=True)


def _fields(model: MediaModel) -> list[MediaField]:
    if model.name != "suno_music":
        return []
    return [
        # The song that the new clip continues.
        MediaField("source", "hidden"),
        MediaField("clip", "hidden"),
        MediaField("continue_at", "number", low=0, high=_CONTINUE_MAX_S, only_with="clip"),
        MediaField("words", choices=("idea", "lyrics"), default="idea", required=True),
        MediaField("title", "text"),
        MediaField("tags", "text"),
        MediaField("instrumental", choices=("no", "yes"), default="no", required=True),
        MediaField("mv", "text"),
    ]


def _build(
    model: MediaModel, prompt: str, values: Mapping[str, str], input_names: Collection[str]
) -> MediaAsk:
    if model.name == "suno_lyrics":
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


def _initial(
    values: dict[str, str], read_run: Callable[[str], tuple[Any, dict[str, str]]]
) -> dict[str, str]:
    """Return the first values of a form that continues a clip (`extend`) or sings lyrics."""
    if "extend" not in values and "sing" not in values:
        return values
    one, earlier = read_run(values.get("extend") or values.get("sing", ""))
    if not isinstance(one.made, SongDisplay):
        raise Http404
    run, song = one.run, one.made
    payer = {name: earlier[name] for name in ("key", "project")}
    begun = {**payer, "model": "suno_music"}
    if "sing" in values:
        return {
            **begun,
            "words": "lyrics",
            "title": song.title,
            "prompt": song.text,
        }
    number = values.get("clip", "")
    clips = [clip for clip in song.clips if str(clip.number) == number and clip.id]
    if not clips:
        raise Http404
    seconds = f"{clips[0].seconds:g}"
    return {
        **run.settings, **begun, "source": run.task, "clip": clips[0].id, "continue_at": seconds,
        "title": clips[0].title,
    }  # fmt: skip


# Results ----------------------------------------------------------------------------------------


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
class SongDisplay(ServiceResult):
    """The clips of a song, or the text of lyrics."""

    clips: Sequence[Clip]
    title: str = ""
    text: str = ""


def _describe(
    slug: str, run: MediaRun, task: MediaTask | None, prices: Mapping[str, int]
) -> SongDisplay | None:
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


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


class _Song(msgspec.Struct):
    data: str


def _read_song(raw: bytes) -> str:
    """Return the public id of an accepted song or of accepted lyrics."""
    return decode_answer(raw, _Song).data


PAGE: Final = MediaService(
    kind="music",
    service="suno",
    page="music",
    place=1,
    title=_("Music"),
    icon="music",
    search_words=pgettext_lazy("search words", "song suno audio"),
    help="playground-media#music",
    none_offered=_("No music models available"),
    nothing_yet=_("No songs yet"),
    placeholder=_("A slow folk song about a river town in autumn"),
    choose=_choose,
    fields=_fields,
    build=_build,
    needs_prompt=lambda model, values: "clip" not in values,
    initial=_initial,
    read_task=_read_song,
    describe=_describe,
    result_template="suno/_song.html",
    plays=PlayedFile("song.mp3", "audio/mpeg"),
    actions={
        "suno_music": _("Song"),
        "suno_lyrics": _("Lyrics"),
    },
    labels={
        "words": _("The text is"),
        "title": pgettext_lazy("song", "Title"),
        "tags": _("Musical style"),
        "instrumental": _("Instrumental"),
        "mv": _("Version"),
        "continue_at": _("Continue at second"),
    },
    hints={
        "tags": _("Such as “acoustic folk, warm, slow”."),
        "mv": _("Such as chirp-v4."),
    },
    values={
        "idea": _("A description of the song"),
        "lyrics": _("The lyrics"),
    },
    typed=("title", "tags", "mv", "continue_at"),
    usual=(("instrumental", "no"), ("words", "idea")),
    unseen=("source", "clip"),
)
