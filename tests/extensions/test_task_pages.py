"""The pages of media tasks in the playground: what a form sends, and what is shown of a result."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.http import Http404

from extensions.midjourney.playground import PAGE as MIDJOURNEY
from extensions.suno.playground import PAGE as SUNO
from extensions.suno.playground import Clip, SongDisplay
from playground.media.service import InvalidMedia, MediaAsk
from playground.models_offered.media_model import MediaModel

SUNG = {"words": "lyrics", "instrumental": "no"}
CLIP = {"source": "task_1", "clip": "c-1"}
IDEA = {"gpt_description_prompt": "A song"}


@pytest.mark.parametrize(
    ("model", "prompt", "values", "operation", "body"),
    [
        ("suno_lyrics", "Rain", {}, "suno_lyrics", {"prompt": "Rain"}),
        ("suno_music", "La la", SUNG, "suno_music", {"prompt": "La la"}),
        ("suno_music", "A song", {**SUNG, "words": "idea"}, "suno_music", IDEA),
        ("suno_music", " ", {"words": "idea", "instrumental": "yes"}, "suno_music",
         {"make_instrumental": True}),
        ("suno_music", "La", {**SUNG, "title": "T", "tags": "folk", "mv": "v4"}, "suno_music",
         {"prompt": "La", "title": "T", "tags": "folk", "mv": "v4"}),
        ("suno_music", "La", {**SUNG, **CLIP, "continue_at": "12.5"}, "suno_music",
         {"prompt": "La", "continue_clip_id": "c-1", "task_id": "task_1", "continue_at": 12.5}),
        ("suno_music", "", {**SUNG, **CLIP}, "suno_music",
         {"continue_clip_id": "c-1", "task_id": "task_1", "continue_at": 0.0}),
        ("suno_music", "La", {**SUNG, "clip": "c-1"}, "suno_music", {"prompt": "La"}),
    ],
)  # fmt: skip
def test_form_of_a_song_sends_its_fields(
    model: str, prompt: str, values: dict[str, str], operation: str, body: dict[str, Any]
) -> None:
    assert SUNO.build(MediaModel(model), prompt, values, ()) == MediaAsk(operation, body)
    assert SUNO.needs_prompt(MediaModel(model), values) is ("clip" not in values)


NIJI = {"bot": "NIJI_JOURNEY"}
TWO = ("picture", "picture2")


@pytest.mark.parametrize(
    ("model", "values", "roles", "operation", "body"),
    [
        ("mj_imagine", {}, (), "imagine", {"prompt": "Cat"}),
        ("mj_imagine", {"aspect": "3:2", "mode": "FAST", **NIJI}, TWO, "imagine",
         {"prompt": "Cat --ar 3:2", "botType": "NIJI_JOURNEY", "modes": ["FAST"]}),
        ("mj_describe", NIJI, ("picture",), "describe", {"botType": "NIJI_JOURNEY"}),
        ("mj_describe", {}, ("mask",), "no_picture", None),
        ("mj_blend", {"dimensions": "SQUARE"}, TWO, "blend", {"dimensions": "SQUARE"}),
        ("mj_blend", {}, ("picture",), "few_pictures", None),
        ("mj_shorten", NIJI, (), "shorten", {"prompt": "Cat ", "botType": "NIJI_JOURNEY"}),
        ("mj_modal", {"source": "t"}, (), "modal", {"taskId": "t", "prompt": "Cat "}),
        ("mj_upscale", {"source": "t", "custom": "c"}, (), "action",
         {"taskId": "t", "customId": "c"}),
    ],
)  # fmt: skip
def test_form_of_a_picture_sends_its_fields(
    model: str,
    values: dict[str, str],
    roles: tuple[str, ...],
    operation: str,
    body: dict[str, Any] | None,
) -> None:
    if body is None:
        with pytest.raises(InvalidMedia) as refused:
            MIDJOURNEY.build(MediaModel(model), "Cat ", values, roles)
        assert refused.value.code == operation
        return
    expected = MediaAsk(f"midjourney_{operation}", body)
    assert MIDJOURNEY.build(MediaModel(model), "Cat ", values, roles) == expected
    needs = model in ("mj_imagine", "mj_shorten")
    assert MIDJOURNEY.needs_prompt(MediaModel(model), values) is needs


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("suno_lyrics", ""),
        ("suno_music", "source clip continue_at words title tags instrumental mv"),
        ("mj_imagine", "aspect mode bot"),
        ("mj_blend", "dimensions bot"),
        ("mj_describe", "bot"),
        ("mj_shorten", "bot"),
        ("mj_modal", "source"),
        ("mj_pan", "source custom"),
    ],
)
def test_each_action_has_its_fields(model: str, fields: str) -> None:
    page = SUNO if model.startswith("suno") else MIDJOURNEY
    assert " ".join(field.name for field in page.fields(MediaModel(model))) == fields


def test_offered_actions_are_those_that_begin_a_task() -> None:
    names = ("mj_shorten", "mj_pan", "mj_imagine", "mj_describe", "mj_blend")
    chosen = MIDJOURNEY.choose([MediaModel(name) for name in names])
    assert [one.name for one in chosen] == ["mj_imagine", "mj_blend", "mj_describe", "mj_shorten"]
    songs = SUNO.choose([MediaModel("suno_lyrics"), MediaModel("suno_music")])
    assert [one.name for one in songs] == ["suno_music", "suno_lyrics"]


def test_pictures_are_sent_in_their_members() -> None:
    urls = {"picture2": "b", "picture": "a", "mask": "m"}
    members = {name: cast(Any, write)(urls) for name, write in MIDJOURNEY.in_body.items()}
    assert members["midjourney_imagine"] == {"base64Array": ["a", "b"]}
    assert members["midjourney_blend"] == {"base64Array": ["a", "b"]}
    assert members["midjourney_describe"] == {"base64": "b"}
    assert members["midjourney_modal"] == {"maskBase64": "m"}


SONG = SongDisplay(
    [Clip(0, "c-0", "First", "", "", 0.0, "", ""), Clip(1, "c-1", "Second", "", "", 61.5, "", "")],
    "Rain", "La la",
)  # fmt: skip
RUN = SimpleNamespace(settings={"tags": "folk", "title": "T"}, task="task_1")
PAID = {"key": "k", "project": "p"}


@pytest.mark.parametrize(
    ("asked", "begun"),
    [
        ({"model": "suno_lyrics"}, {"model": "suno_lyrics"}),
        ({"sing": "r"}, {**PAID, "model": "suno_music", "words": "lyrics", "title": "Rain",
                         "prompt": "La la"}),
        ({"extend": "r", "clip": "1"},
         {**PAID, "model": "suno_music", "tags": "folk", "source": "task_1", "clip": "c-1",
          "continue_at": "61.5", "title": "Second"}),
    ],
)  # fmt: skip
def test_form_begins_with_the_song_that_it_continues(
    asked: dict[str, str], begun: dict[str, str]
) -> None:
    read = {"r": (SimpleNamespace(made=SONG, run=RUN), {**PAID, "model": "other"})}
    initial: Any = SUNO.initial
    assert initial(asked, read.__getitem__) == begun


def test_form_of_no_such_song_is_not_found() -> None:
    initial: Any = SUNO.initial
    for made, asked in ((SONG, {"extend": "r", "clip": "9"}), (None, {"sing": "r"})):
        one = SimpleNamespace(made=made, run=RUN)
        with pytest.raises(Http404):
            initial(asked, lambda id, one=one: (one, PAID))
