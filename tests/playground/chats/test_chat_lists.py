"""Chats as they are listed, found, changed and shared (W12, W14)."""

import datetime as dt
from base64 import b64encode
from typing import Any

import pytest
from django.http import Http404
from django.urls import reverse

from accounts.models import Role
from lib import clock
from lib.ids import id_text, new_id
from playground.attachments import attachments
from playground.chats import desk, export_import, history, sharing
from playground.chats.export_format import read_file, write_file
from playground.chats.history_views import HISTORY
from playground.conversations import conversations, temporary_chats, titles
from playground.conversations.titles import NamingTotals
from playground.models import Attachment, Conversation, Message, NamedBy, Run, RunState
from tests.playground.messages.test_answer_facts import chat_of, say
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.support.lists import file_of
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db
URL = "/o/acme/playground/history"
MINUTE = dt.timedelta(minutes=1)


def run_of(chat: Conversation, **over: Any) -> Run:
    question = say(chat, "user")
    answer = say(chat, parent=question)
    fields = {"model": "m", "token": new_id(), "request_id": new_id(), "process": "p"} | over
    return Run.objects.create(
        conversation=chat, user_message=question, assistant_message=answer, user=chat.user, **fields
    )


def titles_of(people: Cast, query: str) -> list[str]:
    rows = file_of(signed_in(people.bob), f"{URL}?{query}&export=csv")
    return [row["title"] for row in rows]


# The list of all chats ---------------------------------------------------------------------------


def test_list_of_chats_shows_figures_and_times_in_their_columns(people: Cast) -> None:
    chat = chat_of(people, title="One", columns=[{"model": "a"}, {"model": "b"}], folder="Rivers")
    day = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    Conversation.objects.filter(pk=chat.pk).update(created_at=day, updated_at=day + MINUTE)
    say(chat, "user")
    say(chat, "user", deleted_at=clock.now())
    outcome = {"meters": {"in_text": 3, "out_text": 4, "requests": 9}, "charge_nano": 2 * 10**9}
    say(chat, parts={"outcome": {**outcome, "hold_nano": 7}})
    say(chat, parts={"outcome": outcome}, deleted_at=clock.now())
    columns = ",".join(column.name for column in HISTORY.columns)
    (row,) = file_of(signed_in(people.bob), f"{URL}?cols={columns}&export=csv")
    assert (row["model"], row["folder"]) == ("a, b", "Rivers")
    assert (row["turns"], row["tokens"]) == ("1", "7")
    assert float(row["cost_usd"]) == 2
    assert row["created"][:16] == "2026-03-01T00:00"
    assert row["updated"][:16] == "2026-03-01T00:01"
    chat_of(people, title="Two", pinned=True)
    first, second = file_of(signed_in(people.bob), f"{URL}?cols={columns}&export=csv")
    assert (first["title"], first["turns"], first["tokens"]) == ("Two", "0", "0")
    assert second == row


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"plain", "filed"}),
        ("folder=Rivers", {"filed"}),
        ("folder=Gone", set()),
        ("model=other", {"plain"}),
        ("archived=1", {"old"}),
        ("q=rive", {"filed"}),
        ("q=spo", {"plain"}),
        ("q=sp", set()),
        ("q=withdrawn", set()),
    ],
)
def test_chats_are_found_by_each_filter(people: Cast, query: str, found: set[str]) -> None:
    plain = chat_of(people, title="plain", model="other")
    say(plain, "user", content="It was spoken.")
    say(plain, "user", content="It was withdrawn.", deleted_at=clock.now())
    chat_of(people, title="filed", folder="Rivers")
    chat_of(people, title="old", archived_at=clock.now())
    assert set(titles_of(people, query)) == found


def test_undoing_brings_back_what_was_archived_or_deleted_then(people: Cast) -> None:
    by = actor(people.bob, people.acme)
    one, two, three, four = (chat_of(people, title=title) for title in "abcd")
    _, archived = history.archive_chats(by, Conversation.objects.filter(pk=one.pk), archived=True)
    before = archived - MINUTE
    Conversation.objects.filter(pk__in=(three.pk, four.pk)).update(archived_at=before)
    _, deleted = history.delete_chats(by, Conversation.objects.filter(pk__in=(two.pk, four.pk)))
    assert history.undo_changes(by, archived) == 1
    assert history.undo_changes(by, deleted) == 2
    states = Conversation.objects.order_by("title").values_list("archived_at", "deleted_at")
    assert list(states) == [(None, None), (None, None), (before, None), (before, None)]


def test_undoing_an_archiving_leaves_what_was_deleted_since(people: Cast) -> None:
    by = actor(people.bob, people.acme)
    _, gone = (chat_of(people, title=title) for title in "ab")
    _, archived = history.archive_chats(by, Conversation.objects.all(), archived=True)
    _, deleted = history.delete_chats(by, Conversation.objects.filter(pk=gone.pk))
    assert history.undo_changes(by, archived) == 1
    states = Conversation.objects.order_by("title").values_list("archived_at", "deleted_at")
    assert list(states) == [(None, None), (archived, deleted)]


def test_chat_runs_while_one_of_its_answers_does(people: Cast) -> None:
    done, runs, idle = (chat_of(people, title=title) for title in "abc")
    for chat in (done, runs):
        run_of(chat, ended_at=clock.now(), state=RunState.DONE)
    run_of(runs)
    assert history.running_chats([done, runs, idle]) == {runs.id}
    assert set(conversations.running_conversations(actor(people.bob, people.acme))) == {runs.id}


# Beside the chat ---------------------------------------------------------------------------------


def test_pinned_chats_come_first_then_the_last_used(people: Cast) -> None:
    now = clock.now()
    for title, age, pinned in (("old", 3, True), ("new", 1, False), ("mid", 2, False)):
        chat_of(people, title=title, updated_at=now - age * MINUTE, pinned=pinned)
    listed = conversations.listed_chats(actor(people.bob, people.acme))
    assert [chat.title for chat in listed] == ["old", "new", "mid"]


def test_name_that_a_person_wrote_is_kept_from_the_model(people: Cast) -> None:
    chat = chat_of(people, named_by=NamedBy.PENDING)
    conversations.change_conversation(chat, title="Mine")
    conversations.name_by_model(chat, "Its", new_id())
    chat.refresh_from_db()
    assert (chat.title, chat.named_by) == ("Mine", NamedBy.PERSON)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("form", "changed"),
    [
        ({"title": "Two"}, {"title": "Two"}),
        ({"folder": "Lakes"}, {"folder": "Lakes"}),
        ({"folder": ""}, {"folder": ""}),
        ({"title": "Two", "folder": "Lakes"}, {"title": "Two", "folder": "Lakes"}),
        ({"pinned": "1"}, {"pinned": True}),
        ({"pinned": "0"}, {"pinned": False}),
        ({"archived": "1"}, {"archived": True}),
        ({"archived": "0"}, {"archived": False}),
        ({"title": " "}, {}),
        ({}, {}),
    ],
)
def test_form_of_a_chat_changes_only_what_it_has(
    people: Cast, form: dict[str, str], changed: dict[str, Any], before: bool
) -> None:
    """A chat that is pinned and archived, and one that is neither."""
    archived_at = clock.now() if before else None
    chat = chat_of(people, title="One", folder="Rivers", pinned=before, archived_at=archived_at)
    url = reverse("chat_change", args=["acme", id_text(chat.id)])
    assert signed_in(people.bob).post(url, form).status_code == 302
    chat.refresh_from_db()
    now = {
        "title": chat.title, "folder": chat.folder, "pinned": chat.pinned,
        "archived": chat.archived_at is not None,
    }  # fmt: skip
    same = {"title": "One", "folder": "Rivers", "pinned": before, "archived": before}
    assert now == {**same, **changed}


def test_page_waits_two_minutes_for_the_name_of_a_chat(people: Cast) -> None:
    now = clock.now()
    for age, waits in ((1, True), (3, False)):
        chat = Conversation(named_by=NamedBy.PENDING, updated_at=now - age * MINUTE)
        assert conversations.being_named(chat) == waits
    assert not conversations.being_named(Conversation(named_by=NamedBy.MODEL, updated_at=now))


def test_log_reaches_back_to_the_message_that_is_asked_for(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SHOWN_AT_ONCE", 2)
    chat = chat_of(people)
    path = list[Message]()
    for role in ("user", "assistant") * 3:
        path.append(say(chat, role, parent=path[-1] if path else None))
    ids = [message.text_id for message in path]
    by = actor(people.bob, people.acme)
    for asked, first in (("", 4), (ids[2], 2), (ids[5], 4), (ids[0], 0), (id_text(new_id()), 4)):
        log = desk.log_context(by, chat, asked)
        assert [article["id"] for article in log["articles"]] == ids[first:]
        assert (log["earlier"], log["seen"]) == (ids[first] if first else "", ids[5])


def test_branch_has_all_that_its_chat_has(people: Cast) -> None:
    chat = chat_of(people, title="One", folder="Rivers", settings={"system": "Be brief."})
    run = run_of(chat)
    answer = say(
        chat, parent=say(chat, "user", content="Hi"), content="Hello", reasoning="Hm", model="m",
        state=RunState.STOPPED, parts={"calls": []}, edited=True, run=run, request_id=new_id(),
    )  # fmt: skip
    branch = conversations.branch_to_new(answer)
    branch.refresh_from_db()
    assert (branch.title, branch.folder, branch.model) == ("One", "Rivers", "m")
    assert branch.settings == {"system": "Be brief."}
    path = conversations.messages_of(conversations.current_path(branch))
    assert [(one.content, one.reasoning) for one in path] == [("Hi", ""), ("Hello", "Hm")]
    for name in ("role", "model", "state", "parts", "edited", "run", "request_id"):
        assert getattr(path[1], name) == getattr(answer, name), name


def test_temporary_chat_outlives_an_answer_in_progress(people: Cast) -> None:
    now = clock.now()
    over = chat_of(people, title="over", ends_at=now - MINUTE)
    busy = chat_of(people, title="busy", ends_at=now - MINUTE)
    run = run_of(busy)
    temporary_chats.drop_temporary(now)
    assert [*Conversation.objects.all()] == [busy]
    Run.objects.filter(pk=run.pk).update(ended_at=now, state=RunState.DONE)
    temporary_chats.drop_temporary(now)
    assert not Conversation.objects.exists()
    assert over.title == "over"


def test_names_by_models_are_counted_for_their_person_alone(people: Cast) -> None:
    key, _ = make_key(people.core)
    credit(key)
    named = [new_id() for _ in range(3)]
    chat_of(people, title_request_id=named[0])
    chat_of(people, title_request_id=None)
    anna = member(people.acme, "anna", Role.DEVELOPER)
    Conversation.objects.create(
        organisation=people.acme, team=people.core, user=anna, title="t",
        title_request_id=named[2],
    )  # fmt: skip
    # What a deleted chat's name has cost stays; that of another organisation is its own.
    chat_of(people, title_request_id=named[1], deleted_at=clock.now())
    Conversation.objects.create(
        organisation=people.stranger, team=people.stranger.teams.get(), user=people.bob, title="t",
        title_request_id=new_id(),
    )  # fmt: skip
    me = actor(people.bob, people.acme)
    assert titles.naming_totals(me) == NamingTotals(2, 0)
    for request_id, nano in zip(named, (30, 400, 5_000), strict=True):
        happen(key, clock.now(), nano, request_id=request_id)
    assert titles.naming_totals(me) == NamingTotals(2, 430)


@pytest.mark.parametrize(
    ("named_by", "state", "waits"),
    [
        (NamedBy.PENDING, RunState.DONE, True),
        *((NamedBy.PENDING, state, False) for state in RunState if state != RunState.DONE),
        *((by, RunState.DONE, False) for by in NamedBy if by != NamedBy.PENDING),
    ],
)
def test_only_a_finished_answer_names_a_chat_that_waits(
    people: Cast, named_by: NamedBy, state: RunState, waits: bool
) -> None:
    answer = say(chat_of(people, named_by=named_by), state=state)
    me = actor(people.bob, people.acme)
    assert (titles._find_chat_to_name(answer.id, me) is not None) is waits
    assert titles._find_chat_to_name(new_id(), me) is None


# Charges that the books had only after the end ---------------------------------------------------


def test_late_charge_is_in_each_form_of_a_chat(people: Cast) -> None:
    key, _ = make_key(people.core)
    credit(key)
    chat = chat_of(people)
    run = run_of(chat, state=RunState.STOPPED, outcome={}, ended_at=clock.now())
    answer = run.assistant_message
    Message.objects.filter(id=answer.id).update(
        run=run, request_id=run.request_id, state=RunState.STOPPED
    )
    Conversation.objects.filter(id=chat.id).update(leaf=answer)
    chat.refresh_from_db()
    meters = {"in_text": 7, "out_text": 41}
    happen(key, clock.now(), 345_000_000, request_id=run.request_id, meters=meters)
    assert "7 in, 41 out, $0.345" in export_import.markdown_of(chat)
    (_, exported) = export_import.export_conversation(chat).turns
    assert (exported.outcome["charge_nano"], exported.outcome["meters"]) == (345_000_000, meters)
    link, _ = sharing.share_branch(
        actor(people.bob, people.acme), chat, days=7, members_only=True, system_shown=False,
        cost_shown=True,
    )  # fmt: skip
    assert [turn.get("charge_nano") for turn in link.snapshot["turns"]] == [None, 345_000_000]


# Links -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [False, True])
def test_link_shows_system_prompt_and_cost_only_where_chosen(people: Cast, shown: bool) -> None:
    chat = chat_of(people, settings={"system": "Be brief."})
    say(chat, parent=say(chat, "user"), parts={"outcome": {"charge_nano": 5}})
    link, token = sharing.share_branch(
        actor(people.bob, people.acme), chat, days=7, members_only=False, system_shown=shown,
        cost_shown=shown,
    )  # fmt: skip
    assert ("system" in link.snapshot) == shown
    assert ("charge_nano" in link.snapshot["turns"][1]) == shown
    sharing.open_link(token, None)
    link.refresh_from_db()
    assert link.views == 1


def test_link_shows_json_as_such_and_no_more_than_a_page_does(people: Cast) -> None:
    chat = chat_of(people)
    question = say(chat, "user", parts={"files": [{"name": "map.png", "id": "secret"}]})
    run = run_of(chat, settings={"schema": {"type": "object"}})
    parts = {"calls": [{"id": "c"}], "sources": [{"url": "u"}], "tokens": [{"text": "t"}]}
    leaf = say(chat, parent=question, run=run, parts=parts, reasoning="Hm", content="{}")
    Conversation.objects.filter(id=chat.id).update(leaf=leaf)
    chat.refresh_from_db()
    snapshot = sharing._snapshot(chat, system_shown=True, cost_shown=True)
    asked, answered = snapshot["turns"]
    assert asked["parts"] == {"files": ["map.png"]}
    assert answered["parts"] == {"calls": [{"id": "c"}], "sources": [{"url": "u"}]}
    assert (answered["json"], answered["reasoning"]) == (True, "Hm")
    assert "json" not in asked


def test_link_for_members_ends_with_its_chat(people: Cast) -> None:
    chat = chat_of(people)
    _, token = sharing.share_branch(
        actor(people.bob, people.acme), chat, days=None, members_only=True, system_shown=False,
        cost_shown=False,
    )  # fmt: skip
    sharing.open_link(token, people.alice)
    for stranger in (people.charlie, None):
        with pytest.raises(Http404):
            sharing.open_link(token, stranger)
    conversations.delete_conversation(chat)
    with pytest.raises(sharing.Gone):
        sharing.open_link(token, people.alice)


# Files -------------------------------------------------------------------------------------------


def test_imported_chat_keeps_its_place_and_no_time_of_the_future(people: Cast) -> None:
    at = clock.now() - 3 * MINUTE
    chat = chat_of(people, title="One", folder="Rivers", pinned=True, archived_at=at, created_at=at)
    say(chat, "user", content="Hi")
    document = write_file(export_import.export_conversation(chat))
    document["updated_at"] = (clock.now() + dt.timedelta(days=9)).isoformat()
    document["files"] = {"f": {"name": "a.txt", "data": b64encode(b"text").decode()}}
    (copy,) = export_import.import_conversations(actor(people.bob, people.acme), document)
    copy.refresh_from_db()
    assert (copy.title, copy.folder, copy.pinned) == ("One", "Rivers", True)
    assert copy.archived_at is not None
    assert copy.created_at == at
    assert copy.updated_at <= clock.now()
    assert read_file(document).archived
    # Nobody may send it any more before a day is over.
    assert Attachment.objects.get(name="a.txt").unsent_until is None


def test_markdown_of_a_chat_names_input_and_output_apart(people: Cast) -> None:
    chat = chat_of(people)
    outcome = {"meters": {"in_text": 12, "out_text": 34}, "charge_nano": 10**9, "basis": "free"}
    say(chat, parent=say(chat, "user"), content="Yes.", parts={"outcome": outcome})
    assert "*12 in, 34 out, $1.00*" in export_import.markdown_of(chat)


def test_file_that_is_never_sent_is_deleted_after_a_day(people: Cast) -> None:
    by = actor(people.bob, people.acme)
    lost, sent = (attachments.add_file(by, name, b"text") for name in ("a.txt", "b.txt"))
    attachments.mark_sent([sent.id])
    attachments.drop_unsent(clock.now() + attachments.UNSENT_KEPT - MINUTE)
    assert Attachment.objects.count() == 2
    attachments.drop_unsent(clock.now() + attachments.UNSENT_KEPT)
    assert [*Attachment.objects.all()] == [sent]
    assert lost.pk is not None


def test_preview_is_of_code_that_a_browser_draws(people: Cast) -> None:
    """Without scripts, and without a network."""
    text = "```html\n<b>x</b>\n```\n\n```svg\n<svg/>\n```\n\n```python\nx\n```\n"
    message = say(chat_of(people), content=text)
    bob, url = signed_in(people.bob), f"/o/acme/playground/messages/{message.text_id}/preview"
    answers = [bob.get(f"{url}/{block}/0") for block in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 404, 404]
    kinds = [one["Content-Type"] for one in answers[:2]]
    assert kinds == ["text/html; charset=utf-8", "image/svg+xml; charset=utf-8"]
    assert [one.content.decode().strip() for one in answers[:2]] == ["<b>x</b>", "<svg/>"]
    policy = answers[0]["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "frame-ancestors 'self'" in policy
    assert answers[0]["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("asked", "status", "range_", "body"),
    [
        ("", 200, None, b"0123456789"),
        ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=7-99", 206, "bytes 7-9/10", b"789"),
        ("bytes=10-", 200, None, b"0123456789"),
        ("bytes=4-2", 200, None, b"0123456789"),
        ("bytes=0-1,3-4", 200, None, b"0123456789"),
    ],
)
def test_player_gets_the_part_that_it_asks_for(
    people: Cast, asked: str, status: int, range_: str | None, body: bytes
) -> None:
    file = attachments.add_bytes(
        actor(people.bob, people.acme), "a.wav", b"0123456789", "audio", "audio/wav"
    )
    answer = signed_in(people.bob).get(
        f"/o/acme/playground/files/{file.text_id}", headers={"range": asked}
    )
    assert (answer.status_code, answer.get("Content-Range"), answer.content) == (
        status, range_, body,
    )  # fmt: skip
