"""Media runs: what is kept of them, for how long, and what goes with them."""

import datetime as dt
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.access.actors import SYSTEM
from accounts.keys.keys import playground_key
from accounts.models import KeyKind
from billing.prices import prices
from gateway.models import Channel, MediaTask, Route
from lib import clock
from lib.ids import id_text, new_id
from lib.refusal import Refused
from playground.attachments import attachments
from playground.erasure.departures import leave_chats
from playground.media import media, orders, realtime
from playground.media import page as media_page
from playground.media.answer import MadeFile, Transcript
from playground.media.orders import add_media_file, form_of, read_media_payer, read_order
from playground.media.page import describe_runs
from playground.models import (
    Attachment,
    MediaFile,
    MediaKind,
    MediaRun,
    RealtimeTicket,
    RunState,
)
from playground.payers.paying import Payer
from relay.requests.labels import Labels
from tests.playground.erasure.test_departures import of
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.support.hostile import EVERYTHING, NUL
from tests.usage.rows import admit, credit

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + b"\0\0\0\x02\0\0\0\x03" + b"\0" * 40
WEBM = b"\x1aE\xdf\xa3" + b"\0" * 60
PLAYGROUND = "/o/acme/playground"


def run_of(people: Cast, *attachment: Attachment, user: Any = None, **over: Any) -> MediaRun:
    fields = {"kind": "image", "operation": "image_edits", "model": "m", "prompt": "a boat"} | over
    run = MediaRun.objects.create(
        organisation=people.acme, user=user or people.bob, token=new_id(), **fields
    )
    for one in attachment:
        MediaFile.objects.create(run=run, file=one, role="picture", name=one.name)
    return run


def picture(people: Cast) -> Attachment:
    bob = actor(people.bob, people.acme)
    return add_media_file(bob, MediaKind.IMAGE, "picture", f"{EVERYTHING}.png", PNG)


def ended(run: MediaRun, data: bytes = b"made") -> Attachment:
    """The file that came of it."""
    media.end_media(
        run,
        RunState.DONE,
        {"charge_nano": 5},
        files=[MadeFile("a.png", "image", "image/png", data)],
    )
    file = MediaFile.objects.get(run=run, role="result").file
    assert file is not None
    return file


def test_deleted_run_removes_files_no_other_names(people: Cast) -> None:
    inputs = picture(people)
    first, second = run_of(people, inputs), run_of(people, inputs)
    created = ended(first)
    bob = signed_in(people.bob)
    assert bob.post(f"{PLAYGROUND}/media/runs/{first.text_id}/delete").status_code == 303
    assert not Attachment.objects.filter(id=created.id).exists()
    assert Attachment.objects.filter(id=inputs.id).exists()
    # One that goes on is stopped before.
    url = f"{PLAYGROUND}/media/runs/{second.text_id}"
    assert bob.post(f"{url}/delete").status_code == 404
    assert bob.post(f"{url}/stop").status_code == 303
    assert not media.record_heartbeat(second.id)
    ended(second)
    assert bob.post(f"{url}/delete").status_code == 303
    assert not Attachment.objects.exists()


def test_chat_file_stays_with_its_chat(people: Cast) -> None:
    inputs = picture(people)
    attachments.mark_sent([inputs.id])
    run = run_of(people, inputs)
    ended(run)
    media.delete_media([run])
    assert Attachment.objects.get().id == inputs.id


def test_task_of_a_deleted_run_is_deleted_once_it_has_ended(people: Cast) -> None:
    """One that goes on is charged at its end."""
    now = clock.now()
    for name, times in (
        ("ends", {"state": "succeeded", "ended_at": now, "expires_at": now + dt.timedelta(days=1)}),
        ("runs", {"state": "running", "next_poll_at": now}),
    ):
        MediaTask.objects.create(
            id=new_id(), public_id=name, organisation_id=people.acme.id, team_id=people.core.id,
            request_id=new_id(), operation="videos", model="m", form="videos",
            channel_id=new_id(), upstream_id="u", result=b"r", seconds=0, size="", **times,
        )  # fmt: skip
    media.delete_media([run_of(people, task="ends"), run_of(people, task="runs"), run_of(people)])
    ends, runs = MediaTask.objects.order_by("public_id")
    assert (ends.deleted_at is None, ends.result) == (False, None)
    assert (runs.deleted_at, bytes(runs.result or b"")) == (None, b"r")


def test_files_expire_and_their_run_says_so(people: Cast) -> None:
    run = run_of(people)
    created = ended(run)
    assert created.unsent_until is not None
    assert media.result_life() - (created.unsent_until - clock.now()) < dt.timedelta(minutes=1)
    attachments.drop_unsent(clock.now() + media.result_life())
    bob = actor(people.bob, people.acme)
    (page_text,) = describe_runs(media.visible_media(bob))
    assert page_text.expired
    page = signed_in(people.bob).get(f"{PLAYGROUND}/gallery").content.decode()
    assert "The files have expired and were deleted." in page


def test_an_end_is_written_once(people: Cast) -> None:
    run = run_of(people, kind="transcription")
    transcript = Transcript(EVERYTHING, [(0, 1, EVERYTHING)])
    media.end_media(run, RunState.DONE, {"charge_nano": 5}, transcript=transcript)
    media.end_media(run, RunState.FAILED, {"kind": "internal"})
    run.refresh_from_db()
    assert (run.state, run.text) == (RunState.DONE, EVERYTHING)
    page = signed_in(people.bob).get(f"{PLAYGROUND}/gallery", {"q": EVERYTHING[:40]})
    assert "<script>alert(1)" not in page.content.decode()
    assert f"run-{run.text_id}" in page.content.decode()
    subtitles = signed_in(people.bob).get(f"{PLAYGROUND}/media/runs/{run.text_id}/subtitles")
    assert subtitles.content.decode().startswith("1\n00:00:00,000 --> 00:00:01,000\n")


def test_run_without_its_process_is_interrupted(people: Cast) -> None:
    old = clock.now() - dt.timedelta(minutes=1)
    lost, alive = run_of(people, heartbeat_at=old), run_of(people)
    assert media.interrupt_lost_media() == 1
    lost.refresh_from_db()
    alive.refresh_from_db()
    assert (lost.state, alive.state) == (RunState.INTERRUPTED, RunState.RUNNING)


def test_run_killed_before_its_request_waits_for_no_charge(people: Cast) -> None:
    """If its request was sent, its charge is awaited."""
    run = run_of(people, heartbeat_at=clock.now() - dt.timedelta(minutes=1))
    media.interrupt_lost_media()
    runs = MediaRun.objects.all()
    assert [one.charge_nano for one in describe_runs(runs)] == [0]
    key, _ = make_key(people.core, "paying", user=people.bob)
    credit(key)
    admit(key, request_id=run.request_id)
    assert [one.charge_nano for one in describe_runs(runs)] == [None]


@pytest.mark.parametrize(
    ("kind", "role", "data"),
    [
        ("image", "picture", b"<svg onload=alert(1)>"),
        ("image", "picture", WEBM),
        ("image", "sound", PNG),
        ("transcription", "sound", PNG),
        ("transcription", "sound", b""),
        ("speech", "picture", PNG),
    ],
)
def test_file_is_accepted_by_its_content(people: Cast, kind: str, role: str, data: bytes) -> None:
    bob = actor(people.bob, people.acme)
    with pytest.raises(Refused):
        add_media_file(bob, MediaKind(kind), role, "fine.png", data)
    assert not Attachment.objects.exists()


def test_upload_returns_what_the_form_names(people: Cast) -> None:
    sent = {
        "kind": "transcription",
        "role": "sound",
        "file": SimpleUploadedFile("recording.webm", WEBM),
    }
    bob = signed_in(people.bob)
    answer = bob.post(f"{PLAYGROUND}/files/media", sent)
    file = Attachment.objects.get()
    assert f'name="sound" value="{file.text_id}"' in answer.content.decode()
    url = f"{PLAYGROUND}/files/{file.text_id}"
    part = bob.get(url, headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, WEBM[1:4])
    assert part["Content-Range"] == f"bytes 1-3/{len(WEBM)}"
    assert bob.get(url, headers={"range": "bytes=64-"}).content == WEBM


@pytest.mark.parametrize("kind", ["images", "speech", "transcription", "video", "gallery"])
def test_every_page_loads_without_a_model(people: Cast, kind: str) -> None:
    client = signed_in(people.bob)
    for query in ({}, {"model": EVERYTHING, "q": NUL, "picture": EVERYTHING}):
        assert client.get(f"{PLAYGROUND}/{kind}", query).status_code == 200
    assert client.get(f"{PLAYGROUND}/{kind}?again=x").status_code in (200, 404)


@pytest.mark.parametrize("model", ["m", "", EVERYTHING])
def test_missing_model_is_rejected(people: Cast, model: str) -> None:
    form = {"kind": "image", "model": model, "prompt": "p"}
    with pytest.raises(Refused):
        read_order(actor(people.bob, people.acme), MediaKind.IMAGE, form)


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (MediaKind.IMAGE, ("picture", "mask"), ["picture", "mask"]),
        # Without its picture, a mask covers nothing.
        (MediaKind.IMAGE, ("mask",), []),
        (MediaKind.IMAGE, ("picture",), ["picture"]),
        (MediaKind.VIDEO, ("picture", "mask"), ["picture"]),
        (MediaKind.TRANSCRIPTION, ("picture",), []),
        (MediaKind.SPEECH, ("picture",), []),
    ],
)
def test_form_refers_to_the_files_of_its_kind(
    people: Cast, kind: MediaKind, given: tuple[str, ...], kept: list[str]
) -> None:
    bob = actor(people.bob, people.acme)
    form = {role: picture(people).text_id for role in given}
    assert sorted(orders._files(bob, kind, form)) == sorted(kept)
    for role in kept:
        with pytest.raises(Refused) as gone:
            orders._files(bob, kind, form | {role: id_text(new_id())})
        assert gone.value.field == role


def test_new_ticket_takes_the_place_of_its_persons_expired_ones(people: Cast) -> None:
    now = clock.now()
    for user, seconds in ((people.bob, 0), (people.bob, 9), (people.alice, -9)):
        RealtimeTicket.objects.create(
            organisation=people.acme, user=user, model=f"{user.name} {seconds}",
            digest=f"{user.name}{seconds}".encode(), expires_at=now + dt.timedelta(seconds=seconds),
        )  # fmt: skip
    token = realtime.issue_ticket(
        actor(people.bob, people.acme), Payer(playground_key(people.acme)), "new"
    )
    left = RealtimeTicket.objects.values_list("model", flat=True)
    assert sorted(left) == sorted([f"{people.bob.name} 9", f"{people.alice.name} -9", "new"])
    assert realtime.claim_ticket(token) is not None
    assert realtime.claim_ticket(token) is None


@pytest.mark.parametrize(
    ("state", "task", "shown", "has_error"),
    [
        # The run ends when its task is accepted; the task goes on.
        (RunState.DONE, "queued", RunState.RUNNING, False),
        (RunState.DONE, "running", RunState.RUNNING, False),
        (RunState.DONE, "succeeded", RunState.DONE, False),
        (RunState.DONE, "failed", RunState.FAILED, True),
        (RunState.DONE, None, RunState.FAILED, True),
        (RunState.FAILED, "succeeded", RunState.DONE, False),
    ],
)
def test_state_of_a_task_is_shown_in_place_of_its_runs(
    people: Cast, state: RunState, task: str | None, shown: RunState, has_error: bool
) -> None:
    run = run_of(people, task="t", state=state, ended_at=clock.now(), outcome={"charge_nano": 5})
    display = media_page._describe_run(run, MediaTask(state=task) if task else None, {})
    assert (display.state, bool(display.error), display.charge_nano) == (shown, has_error, None)


def test_media_count_to_the_chosen_project(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    for key in (make_key(people.core, "bob's", user=people.bob)[0], playground_key(people.acme)):
        chosen = "" if key.kind == KeyKind.PLAYGROUND else id_text(key.id)
        payer = read_media_payer(bob, {"key": chosen, "project": " search "})
        assert (payer, payer.labels) == (Payer(key, "search"), Labels("search"))
        assert read_media_payer(bob, {"key": chosen}) == Payer(key)


def test_files_use_the_providers_field_names(people: Cast) -> None:
    form = form_of("image_edits", {"picture": picture(people), "mask": picture(people)})
    assert form is not None
    assert [one.name for one in form.files] == ["image", "mask"]
    assert b"".join(form.files[0].pieces()) == PNG
    form.close()
    assert form_of("videos", {"picture": picture(people)}) is None


@pytest.mark.parametrize("handed", [True, False])
def test_members_media_goes_where_their_chats_go(people: Cast, handed: bool) -> None:
    run = run_of(people, picture(people))
    created = ended(run)
    to = of(people, people.alice) if handed else None
    leave_chats(actor(people.alice, people.acme), of(people, people.bob), to)
    if not handed:
        assert not MediaRun.objects.exists()
        assert not Attachment.objects.exists()
        return
    run.refresh_from_db()
    created.refresh_from_db()
    assert (run.user, created.user) == (people.alice, people.alice)
    assert id_text(run.id)


def test_kinds_without_models_are_named_once(people: Cast) -> None:
    """Tabs lead to what has models."""
    bob = signed_in(people.bob)
    html = bob.get(f"{PLAYGROUND}/images").content.decode()
    assert "No models for images, sound or video available" in html
    assert "No models yet for" not in html
    channel = Channel.objects.create(name="c", provider="openai", base_url="https://x.example/v1")
    Route.objects.create(channel=channel, model="tts-1")
    rates = {"meters": {"characters": 15_000_000_000}}
    valid_from = clock.now() - dt.timedelta(days=1)
    prices.set_price(SYSTEM, "tts-1", valid_from=valid_from, rates=rates, source="test")
    html = bob.get(f"{PLAYGROUND}/images").content.decode()
    tabs = re.findall(r'class="seg media-tabs".*?</nav>', html, re.DOTALL)[0]
    assert re.findall(r"</svg>(\w+)", tabs) == ["Images", "Speech", "Gallery"]
    assert html.count("No models yet for: Transcription, Video, Music, Midjourney, Realtime.") == 1
    assert "No image models available" in html


def test_models_of_live_sessions_are_used_by_code(people: Cast) -> None:
    """The realtime page names them, and leads to the code of each."""
    bob = signed_in(people.bob)
    page = f"{PLAYGROUND}/realtime"
    assert "No realtime models available" in bob.get(page).content.decode()
    channel = Channel.objects.create(name="c", provider="openai", base_url="https://x.example/v1")
    valid_from = clock.now() - dt.timedelta(days=1)
    for name, meter in {"gpt-live-1": "session_minutes", "gemini-3.8-live": "in_text"}.items():
        Route.objects.create(channel=channel, model=name)
        rates = {"meters": {meter: 50_000, "out_text": 50_000}}
        prices.set_price(SYSTEM, name, valid_from=valid_from, rates=rates, source="test")
    html = bob.get(page).content.decode()
    assert "No realtime models available" not in html
    assert "in live sessions with applications" in html
    tabs = re.findall(r'class="seg media-tabs".*?</nav>', html, re.DOTALL)[0]
    assert "Realtime" in re.findall(r"</svg>(\w+)", tabs)
    for name, code in {
        "gpt-live-1": "client.live.connect",
        "gemini-3.8-live": "client.aio.live.connect",
    }.items():
        assert f'href="/models/{name}"' in html
        shown = re.sub(r"<[^>]+>", "", bob.get(f"/models/{name}?lang=python").content.decode())
        assert code in shown
