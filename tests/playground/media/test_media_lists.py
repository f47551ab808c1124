"""Media runs as they are listed and named, and what stands with them (W15)."""

import datetime as dt
from typing import Any

import pytest

from lib import clock
from lib.ids import id_text, new_id
from playground.attachments import attachments
from playground.media import media
from playground.media.answer import clock as position
from playground.media.answer import subtitles
from playground.media.page import describe_runs
from playground.media.words import value_word
from playground.models import MediaFile, MediaRun, RunState
from tests.support.cast import Cast, actor, signed_in

pytestmark = pytest.mark.django_db
GALLERY = "/o/acme/playground/gallery"


def made(people: Cast, prompt: str, **over: Any) -> MediaRun:
    fields: dict[str, Any] = {"kind": "image", "operation": "image_generations"}
    fields |= {"model": "painter-1", "state": RunState.DONE, "ended_at": clock.now()}
    return MediaRun.objects.create(
        organisation=people.acme,
        user=people.bob,
        token=new_id(),
        prompt=prompt,
        outcome={"charge_nano": 5},
        **fields | over,
    )


@pytest.mark.parametrize(
    ("words", "kind", "found"),
    [
        ("", "", ["house-2", "boat-1"]),
        ("BOAT", "", ["boat-1"]),
        ("singer", "", ["house-2"]),
        ("", "image", ["boat-1"]),
        ("spoken", "", ["house-2"]),
        ("gone", "", []),
    ],
)
def test_gallery_finds_results_by_words_model_and_kind(
    people: Cast, words: str, kind: str, found: list[str]
) -> None:
    """One that failed, or goes on, is no result."""
    made(people, "boat-1")
    made(people, "house-2", kind="speech", model="singer-1", text="It was spoken.")
    made(people, "still-3", state=RunState.RUNNING, ended_at=None)
    made(people, "still-4", state=RunState.FAILED)
    runs = media.search_media(actor(people.bob, people.acme), words, kind)
    assert [run.prompt for run in runs] == found


def test_older_results_begin_after_the_last_one_shown(people: Cast) -> None:
    first, second, third = (made(people, f"boat-{n}") for n in range(3))
    before = {"before": id_text(second.id)}
    part = signed_in(people.bob).get(GALLERY, before, headers={"HX-Request": "true"})
    page = part.content.decode()
    assert [run.text_id in page for run in (first, second, third)] == [True, False, False]


def test_result_is_kept_until_the_first_of_its_files_goes(people: Cast) -> None:
    run, now = made(people, "boat-1"), clock.now()
    for days in (9, 3, 5):
        file = attachments.add_bytes(
            actor(people.bob, people.acme), "a.png", b"x", "image", "image/png"
        )
        file.unsent_until = now + dt.timedelta(days=days)
        file.save()
        MediaFile.objects.create(run=run, file=file, role="result", name="a.png")
    (shown,) = describe_runs([run])
    assert shown.kept_until == now + dt.timedelta(days=3)
    assert not shown.expired
    assert shown.charge_nano == 5


def test_transcript_is_named_by_its_file(people: Cast) -> None:
    run = made(people, "a hint", kind="transcription", text="Hi.")
    MediaFile.objects.create(run=run, role="sound", name="talk.mp3")
    picture = made(people, "boat-1")
    MediaFile.objects.create(run=picture, role="picture", name="b.png")
    assert [one.title for one in describe_runs([run, picture])] == ["talk.mp3", "boat-1"]


@pytest.mark.parametrize(
    ("seconds", "stamp", "shown"),
    [
        (0, "00:00:00,000", "0:00"),
        (62.5, "00:01:02,500", "1:02"),
        (3_599.999, "00:59:59,999", "59:59"),
        (7_322.25, "02:02:02,250", "2:02:02"),
    ],
)
def test_position_in_a_sound_has_hours_minutes_and_seconds(
    seconds: float, stamp: str, shown: str
) -> None:
    assert subtitles([(seconds, seconds, "Hi")]) == f"1\n{stamp} --> {stamp}\nHi\n\n"
    assert position(seconds) == shown


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("size", "1024x1536", "1024 × 1536"),
        ("output_format", "webp", "WEBP"),
        ("voice", "alloy", "Alloy"),
        ("language", "en", "en"),
        ("quality", "hd", "HD"),
    ],
)
def test_settings_of_a_result_are_written_for_people(name: str, value: str, word: str) -> None:
    assert value_word(name, value) == word
