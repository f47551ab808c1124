"""Temporary chats (W10): in no list, and gone when they are left; the books keep what they cost."""

import datetime as dt
from typing import Any

import pytest
from django.urls import reverse

from dialects.chat.events import TextDelta
from lib import clock
from lib.ids import id_text, new_id
from playground.attachments.attachments import add_file
from playground.conversations.temporary_chats import STANDS_IDLE, STANDS_LEFT, drop_temporary
from playground.models import Attachment, Conversation, Message, Run, RunEvent, RunState
from tests.playground.conversations.test_tree import HTMX
from tests.playground.preferences.test_preferences import NamingRelay, post
from tests.playground.sending.test_views import HELLO, ScriptedRelay, outcome, page, people, send
from tests.support import cast
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

SECRET = "What is my salary in Kittiwake?"


def begin(people: Cast, **form: Any) -> Conversation:
    """A temporary chat of bob with one answer."""
    assert send(people.bob, HELLO, text=SECRET, temporary="on", **form).status_code == 200
    return Conversation.objects.get(user=people.bob)


def at(name: str, chat: Conversation, *more: str) -> str:
    return reverse(name, args=["acme", id_text(chat.id), *more])


def say(people: Cast, chat: Conversation, **form: str) -> int:
    """What its page tells of itself."""
    status: int = signed_in(people.bob).post(at("chat_visit", chat), form).status_code
    return status


def test_temporary_chat_is_offered_by_page_and_address(people: Cast) -> None:
    html = squeezed(page(people.bob, "/o/acme/playground").content.decode())
    assert 'name="temporary" form="composer">' in html
    assert "data-temporary hidden" in html
    html = squeezed(page(people.bob, "/o/acme/playground?tmp=1").content.decode())
    assert 'name="temporary" form="composer" checked>' in html
    assert "data-temporary hidden" not in html
    assert "Temporary chat: not saved." in html


def test_temporary_chat_is_in_no_list_search_or_export(people: Cast) -> None:
    chat = begin(people)
    html = page(people.bob, at("conversation", chat)).content.decode()
    assert SECRET in html
    assert "Temporary chat: not saved." in html
    assert "chat-row" not in html
    assert at("share", chat) not in html
    assert "Branch in new chat" not in html
    for url in ("/o/acme/playground/_f/chats?q=Kittiwake", "/o/acme/playground/history"):
        assert id_text(chat.id) not in page(people.bob, url).content.decode()
    assert page(people.bob, at("chat_menu", chat)).status_code == 404
    assert page(people.bob, at("share", chat)).status_code == 404
    for form in ("json", "md"):
        assert page(people.bob, at("chat_export", chat, form)).status_code == 404
    answer = Message.objects.get(conversation=chat, role="assistant")
    branch = reverse("message_branch", args=["acme", id_text(answer.id)])
    bob = signed_in(people.bob)
    assert bob.post(branch, headers=HTMX).status_code == 404
    for name in ("chat_change", "chat_delete", "share_create"):
        assert bob.post(at(name, chat), {"title": "Kept"}, headers=HTMX).status_code == 404
    assert Conversation.objects.count() == 1


def test_temporary_chat_belongs_to_its_person(people: Cast) -> None:
    chat = begin(people)
    assert page(people.alice, at("conversation", chat)).status_code == 404
    assert page(people.charlie, at("conversation", chat)).status_code == 404
    assert signed_in(people.alice).post(at("chat_visit", chat), {}).status_code == 404


def test_temporary_title_is_generic_and_no_model_names_it(people: Cast) -> None:
    post(people.bob, "preferences_save", title_model="weir-1")
    relay = NamingRelay("Salaries")
    send(people.bob, relay, text=SECRET, temporary="on")
    assert len(relay.requests) == 1
    assert Conversation.objects.get().title == "Temporary chat"


def test_left_temporary_chat_is_deleted_and_stays_in_the_books(people: Cast) -> None:
    note = add_file(cast.actor(people.bob, people.acme), "note.txt", b"my own words")
    other_file = add_file(cast.actor(people.bob, people.acme), "kept.txt", b"of another chat")
    chat = begin(people, file=id_text(note.id))
    run = Run.objects.get()
    UsageRecord.objects.create(
        organisation=people.acme, id=new_id(), request_id=run.request_id, final=True,
        team_id=chat.team_id, key_id=new_id(), user_id=people.bob.id, model="weir-1",
        dialect="openai", operation="chat_completions", stream=True, source="playground",
        admitted_at=clock.now(), status=200, total_ms=5, charge_nano=1_800, basis="measured",
    )  # fmt: skip
    send(people.bob, HELLO, text="A chat that is saved")
    assert say(people, chat, visit=id_text(chat.visit or new_id()), left="1") == 204
    now = clock.now()
    drop_temporary(now)
    assert Conversation.objects.count() == 2  # its page may be loaded again
    drop_temporary(now + STANDS_LEFT + dt.timedelta(seconds=1))
    assert Conversation.objects.get().title == "A chat that is saved"
    assert not Message.objects.filter(content__contains="Kittiwake").exists()
    assert not RunEvent.objects.filter(run_id=run.id).exists()
    assert list(Attachment.objects.values_list("id", flat=True)) == [other_file.id]
    assert UsageRecord.objects.get().charge_nano == 1_800
    assert page(people.bob, at("conversation", chat)).status_code == 404


def test_temporary_chat_ends_for_its_person_before_the_sweep(people: Cast) -> None:
    chat = begin(people)
    Conversation.objects.update(ends_at=clock.now())
    assert page(people.bob, at("conversation", chat)).status_code == 404
    refused = send(people.bob, HELLO, text="And?", conversation=id_text(chat.id))
    assert refused.status_code == 404


def test_reloaded_page_has_not_left(people: Cast) -> None:
    chat = begin(people)
    before = id_text(chat.visit or new_id())
    assert page(people.bob, at("conversation", chat)).status_code == 200
    assert say(people, chat, visit=before, left="1") == 204
    chat.refresh_from_db()
    assert chat.ends_at is not None
    assert chat.ends_at - clock.now() > STANDS_LEFT
    assert say(people, chat, visit=id_text(chat.visit or new_id()), left="1") == 204
    chat.refresh_from_db()
    assert chat.ends_at <= clock.now() + STANDS_LEFT


def test_an_open_page_and_each_send_keep_it(people: Cast) -> None:
    chat = begin(people)
    soon = clock.now() + dt.timedelta(seconds=30)
    Conversation.objects.update(ends_at=soon)
    assert say(people, chat, visit=id_text(chat.visit or new_id())) == 204
    chat.refresh_from_db()
    assert chat.ends_at is not None
    assert chat.ends_at > soon
    Conversation.objects.update(ends_at=soon)
    send(people.bob, HELLO, text="And?", conversation=id_text(chat.id))
    chat.refresh_from_db()
    assert clock.now() < chat.ends_at <= clock.now() + STANDS_IDLE
    assert chat.ends_at > soon
    assert chat.messages.count() == 4


def test_unfinished_answer_is_deleted_at_its_end(people: Cast) -> None:
    chat = begin(people)
    Run.objects.update(ended_at=None, state=RunState.RUNNING)
    later = clock.now() + STANDS_IDLE * 2
    drop_temporary(later)
    assert Conversation.objects.filter(id=chat.id).exists()
    Run.objects.update(ended_at=clock.now())
    drop_temporary(later)
    assert not Conversation.objects.filter(id=chat.id).exists()


def test_answer_stops_when_no_one_can_return_to_it(people: Cast) -> None:
    begin(people)
    assert Run.objects.get().unwatched_ms == 60_000
    post(people.bob, "preferences_save", leaving="stop")
    send(people.bob, ScriptedRelay(TextDelta(0, "x"), outcome()), text="x", temporary="on")
    assert Run.objects.order_by("-id")[0].unwatched_ms == 1_000


def test_a_comparison_may_be_temporary_too(people: Cast) -> None:
    html = squeezed(page(people.bob, "/o/acme/playground/compare?tmp=1").content.decode())
    assert 'name="temporary" form="composer" checked>' in html
    async_form = {"model": ["weir-1", "weir-1"], "compare": "1", "temporary": "on"}
    assert send(people.bob, HELLO, text=SECRET, **async_form).status_code == 204
    chat = Conversation.objects.get()
    assert chat.ends_at is not None
    assert "Temporary chat: not saved." in squeezed(
        page(people.bob, at("conversation", chat)).content.decode()
    )
    assert page(people.bob, at("diff", chat) + "?a=0&b=1").status_code == 200
