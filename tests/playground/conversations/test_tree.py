"""Conversations as trees, and as files: what is shown, what is kept, what comes back."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import User
from dialects.chat.events import TextDelta, ToolArgumentsDelta, ToolCallStart
from lib import clock
from lib.ids import id_text
from playground.attachments.attachments import UNSENT_KEPT, add_file, drop_unsent
from playground.chats.export_import import export_conversation
from playground.conversations.conversations import KEPT_DELETED, drop_deleted, path_to
from playground.messages import tool_calls
from playground.models import Attachment, Conversation, Message, Run
from tests.playground.sending.test_views import ScriptedRelay, chat_of, outcome, page, people, send
from tests.support.cast import Cast, actor, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

HTMX = {"HX-Request": "true"}


def answers(*texts: str) -> ScriptedRelay:
    return ScriptedRelay(*(TextDelta(0, text) for text in texts), outcome())


def post(user: User, name: str, id: str, **form: Any) -> Any:
    return signed_in(user).post(reverse(name, args=["acme", id]), form, headers=HTMX)


def conversation_id() -> str:
    return id_text(Conversation.objects.get().id)


def test_regenerating_makes_a_version_with_any_model(people: Cast) -> None:
    send(people.bob, answers("first"), text="Hi")
    question = Message.objects.get(role="user")
    form = {"conversation": conversation_id(), "retry": question.text_id}
    response = send(people.bob, answers("second"), **form)
    html = squeezed(response.content.decode())
    assert '<hx-partial hx-target="#turns"' in html
    assert "2/2" in html
    page_text = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert "second" in page_text
    assert '<p dir="auto">first</p>' not in page_text
    first = Message.objects.get(content="first")
    html = squeezed(post(people.bob, "message_show", first.text_id).content.decode())
    assert '<p dir="auto">first</p>' in html
    assert "1/2" in html
    assert '<p dir="auto">first</p>' in squeezed(
        page(people.bob, chat_of(people.bob)).content.decode()
    )


def test_a_question_is_edited_into_a_branch(people: Cast) -> None:
    send(people.bob, answers("one"), text="Hi")
    send(people.bob, answers("two"), text="And?", conversation=conversation_id())
    first = Message.objects.filter(role="user").order_by("id")[0]
    form = signed_in(people.bob).get(
        reverse("message_edit", args=["acme", first.text_id]), headers=HTMX
    )
    assert 'name="edited"' in form.content.decode()
    relay = answers("three")
    send(people.bob, relay, conversation=conversation_id(), instead=first.text_id, edited="Hello",
         text="a draft that waits")  # fmt: skip
    assert json.loads(relay.requests[0][1])["messages"] == [{"role": "user", "content": "Hello"}]
    text = page(people.bob, chat_of(people.bob)).content.decode()
    assert '<p dir="auto">three</p>' in text
    assert '<p dir="auto">two</p>' not in text
    assert "2/2" in text


def test_an_answer_is_edited_and_says_so(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    send(people.bob, answers("wrong"), text="Hi")
    answer = Message.objects.get(role="assistant")
    html = post(people.bob, "message_save", answer.text_id, content="right").content.decode()
    assert '<p dir="auto">right</p>' in html
    assert "edited" in html
    relay = answers("ok")
    send(people.bob, relay, text="Go on", conversation=conversation_id())
    assert b'"content": "right"' in relay.requests[0][1]
    monkeypatch.setattr("playground.chats.tree_views.TEXT_MAX", 6)
    post(people.bob, "message_save", answer.text_id, content="a\r\nlonger one")
    assert Message.objects.latest("id").content == "a\nlong"


def test_a_deleted_message_hides_its_subtree_and_comes_back(people: Cast) -> None:
    send(people.bob, answers("one"), text="Hi")
    send(people.bob, answers("two"), text="And?", conversation=conversation_id())
    second = Message.objects.get(content="And?")
    response = post(people.bob, "message_delete", second.text_id)
    assert "two" not in response.content.decode()
    toast = json.loads(response["HX-Trigger"])["toast"]
    assert toast["action"] == "Undo"
    relay = answers("three")
    send(people.bob, relay, text="Else?", conversation=conversation_id())
    assert b"And?" not in relay.requests[0][1]
    html = signed_in(people.bob).post(toast["post"], headers=HTMX).content.decode()
    assert '<p dir="auto">two</p>' in html


def test_a_branch_becomes_a_chat_of_its_own(people: Cast) -> None:
    send(people.bob, answers("one"), text="Hi")
    answer = Message.objects.get(role="assistant")
    response = post(people.bob, "message_branch", answer.text_id)
    copy = Conversation.objects.exclude(id=answer.conversation_id).get()
    assert response["HX-Redirect"].endswith(id_text(copy.id))
    assert copy.leaf is not None
    assert [message.content for message in path_to(copy.leaf)] == ["Hi", "one"]


CALLS = ScriptedRelay(
    ToolCallStart(0, 0, "c1", "get_weather"),
    ToolArgumentsDelta(0, 0, '{"city": "Ulm"}'),
    ToolCallStart(0, 1, "c2", "get_weather"),
    ToolArgumentsDelta(0, 1, '{"town": 1}'),
    outcome(finish_reason="tool_calls"),
)
TOOLS = json.dumps(
    [
        {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
            "mock": {"sky": "clear"},
        }
    ]
)


def test_calls_wait_for_their_results_and_continue(people: Cast) -> None:
    send(people.bob, CALLS, text="Weather?", tools=TOOLS)
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "Send 2 results" in html
    assert "&#x27;city&#x27; is a required property" in html
    assert "&quot;sky&quot;: &quot;clear&quot;" in html
    answer = Message.objects.get(role="assistant")
    form = {"conversation": conversation_id(), "answered": answer.text_id}
    refused = send(people.bob, answers("x"), **form)
    assert refused.status_code == 422
    assert "Enter a result for get_weather" in refused.content.decode()
    relay = answers("Sunny")
    send(people.bob, relay, **form, **{"result.c1": '{"sky": "clear"}', "failed.c2": "on"})
    body = json.loads(relay.requests[0][1])
    assert [m.get("tool_call_id") for m in body["messages"]] == [None, None, "c1", "c2"]
    assert body["messages"][3]["content"] == "error"
    assert body["tools"][0]["function"]["name"] == "get_weather"
    text = page(people.bob, chat_of(people.bob)).content.decode()
    assert "Sunny" in text
    assert "Send 2 results" not in text


def test_mocks_answer_by_themselves_ten_times_at_most(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tool_calls.MOCK_ROUNDS_MAX == 10
    monkeypatch.setattr(tool_calls, "MOCK_ROUNDS_MAX", 2)
    tools = json.dumps([json.loads(TOOLS)[0] | {"always": True}])
    send(people.bob, CALLS, text="Weather?", tools=tools)
    for number in range(3):
        html = page(people.bob, chat_of(people.bob)).content.decode()
        assert ('hx-trigger="load, submit"' in html) == (number < 2)
        answer = Message.objects.filter(role="assistant").order_by("-id")[0]
        send(people.bob, CALLS, conversation=conversation_id(), answered=answer.text_id,
             **{"result.c1": "1", "result.c2": "2"})  # fmt: skip


# The list ---------------------------------------------------------------------------------------


def test_chats_are_named_pinned_foldered_archived_and_found(people: Cast) -> None:
    send(people.bob, answers("a rare word: sluice"), text="One")
    send(people.bob, answers("x"), text="Two")
    chat_id = id_text(Conversation.objects.get(title="One").id)
    client = signed_in(people.bob)
    changed = post(people.bob, "chat_change", chat_id, title="Uno", pinned="1")
    # The page asks for the list again, with its own search.
    assert changed["HX-Trigger"] == "chats-changed"
    html = client.get(reverse("chats", args=["acme"])).content.decode()
    assert html.index("Pinned") < html.index("Uno") < html.index("Two")
    post(people.bob, "chat_change", chat_id, folder="Rivers", pinned="0")
    listed = client.get(reverse("chats", args=["acme"])).content.decode()
    assert listed.index("Rivers") < listed.index("Uno")
    listed = client.get(reverse("chats", args=["acme"]), {"q": "SLUICE"}).content.decode()
    assert "Uno" in listed
    assert "Two" not in listed
    assert (
        "No chat contains “zzz”"
        in client.get(reverse("chats", args=["acme"]), {"q": "zzz"}).content.decode()
    )
    post(people.bob, "chat_change", chat_id, archived="1")
    assert "Uno" not in client.get(reverse("chats", args=["acme"])).content.decode()
    archive = client.get(reverse("chats", args=["acme"]), {"archived": "1"}).content.decode()
    assert "Uno" in archive


@pytest.mark.parametrize(
    ("name", "why"), [("a\x00b", "Null characters"), ("n" * 10_000, "This has 10000")]
)
def test_unstorable_name_changes_nothing(people: Cast, name: str, why: str) -> None:
    send(people.bob, answers("x"), text="One")
    for field in ("title", "folder"):
        refused = post(people.bob, "chat_change", conversation_id(), **{field: name})
        assert why in refused["HX-Trigger"]
    chat = Conversation.objects.get()
    form = {"act": "folder", "chat": id_text(chat.id), "folder_name": name}
    url = reverse("history_change", args=["acme"])
    assert why in signed_in(people.bob).post(url, form, headers=HTMX)["HX-Trigger"]
    chat.refresh_from_db()
    assert (chat.title, chat.folder) == ("One", "")


def test_deleted_chat_can_be_restored_for_a_day(people: Cast) -> None:
    send(people.bob, answers("x"), text="One")
    id = conversation_id()
    response = post(people.bob, "chat_delete", id)
    assert page(people.bob, reverse("conversation", args=["acme", id])).status_code == 404
    told, client = json.loads(response["HX-Trigger"]), signed_in(people.bob)
    assert "chats-changed" in told
    assert client.post(told["toast"]["post"], headers=HTMX)["HX-Trigger"] == "chats-changed"
    assert "One" in client.get(reverse("chats", args=["acme"])).content.decode()
    post(people.bob, "chat_delete", id)
    drop_deleted(clock.now())
    assert Conversation.objects.count() == 1
    drop_deleted(clock.now() + 2 * KEPT_DELETED)
    assert Conversation.objects.count() == 0


def test_exported_chat_imports_as_the_same_tree(people: Cast) -> None:
    """Branches, versions, costs."""
    send(people.bob, answers("one"), text="Hi", system="Be short.")
    form = {"conversation": conversation_id(), "retry": Message.objects.get(role="user").text_id}
    send(people.bob, answers("two"), **form)
    send(people.bob, answers("three"), text="More", conversation=conversation_id())
    url = reverse("chat_export", args=["acme", conversation_id(), "json"])
    original = signed_in(people.bob).get(url)
    assert original["Content-Disposition"].startswith("attachment")
    upload = SimpleUploadedFile("chat.json", original.content)
    response = signed_in(people.bob).post(
        reverse("chat_import", args=["acme"]), {"chat": upload}, headers=HTMX
    )
    copy = Conversation.objects.order_by("-id")[0]
    assert response["HX-Redirect"].endswith(id_text(copy.id))
    again = signed_in(people.bob).get(
        reverse("chat_export", args=["acme", id_text(copy.id), "json"])
    )
    assert shape(again.json()) == shape(original.json())
    assert Run.objects.filter(conversation=copy).count() == 0
    page_text = squeezed(page(people.bob, response["HX-Redirect"]).content.decode())
    assert "$0.0000018 (measured)" in page_text
    markdown = (
        signed_in(people.bob)
        .get(reverse("chat_export", args=["acme", conversation_id_of("Hi", 0), "md"]))
        .content.decode()
    )
    assert "## You\n\nMore" in markdown
    assert "*3 in, 2 out, $0.0000018*" in markdown


def test_foreign_file_is_in_no_export(people: Cast) -> None:
    """P12: a stored message names files by their id, and might name any."""
    send(people.bob, answers("one"), text="Hi")
    files = [add_file(actor(user, people.acme), "a.txt", b"of " + user.email.encode())
             for user in (people.alice, people.bob)]  # fmt: skip
    Message.objects.filter(role="user").update(
        parts={"files": [{"id": str(file.id), "name": file.name} for file in files]}
    )
    exported = export_conversation(Conversation.objects.get()).files
    assert [data for _, data in exported.values()] == [b"of bob@example.org"]


def conversation_id_of(title: str, index: int) -> str:
    return id_text(Conversation.objects.filter(title=title).order_by("id")[index].id)


def shape(chat: dict[str, Any]) -> Any:
    """A chat without what differs by its ids."""
    places = {message["id"]: number for number, message in enumerate(chat["messages"])}
    messages = [
        {**message, "id": places[message["id"]], "parent": places.get(message.get("parent", "")),
         "created_at": ""}
        for message in chat["messages"]
    ]  # fmt: skip
    return {**chat, "leaf": places[chat["leaf"]], "messages": messages}


def test_invalid_export_is_rejected_with_a_message(people: Cast) -> None:
    for content in (b"{", b"[]", b"\xff", b'{"weir_chat": 1, "messages": {}}'):
        upload = SimpleUploadedFile("chat.json", content)
        response = signed_in(people.bob).post(
            reverse("chat_import", args=["acme"]), {"chat": upload}, headers=HTMX
        )
        assert "could not be imported" in json.loads(response["HX-Trigger"])["toast"]["text"]
    assert Conversation.objects.count() == 0


def test_chat_without_messages_is_imported_and_opens(people: Cast) -> None:
    upload = SimpleUploadedFile("chat.json", b'{"weir_chat": 1, "title": "Empty", "messages": []}')
    client = signed_in(people.bob)
    client.post(reverse("chat_import", args=["acme"]), {"chat": upload}, headers=HTMX)
    page_of = client.get(reverse("conversation", args=["acme", conversation_id()]))
    assert (page_of.status_code, b"Empty" in page_of.content) == (200, True)


def test_only_its_author_may_change_a_chat(people: Cast) -> None:
    send(people.bob, answers("x"), text="One")
    question = Message.objects.get(role="user").text_id
    chat = conversation_id()
    for user in (people.alice, people.charlie):
        for name in ("message_delete", "message_show", "message_branch", "message_save"):
            assert post(user, name, question).status_code == 404
        for name in ("chat_change", "chat_delete", "share_create"):
            assert post(user, name, chat).status_code == 404
        url = reverse("chat_export", args=["acme", chat, "json"])
        assert signed_in(user).get(url).status_code == 404
    assert Message.objects.filter(deleted_at=None).count() == 2


def test_a_long_chat_shows_its_end_and_leads_back(people: Cast) -> None:
    send(people.bob, answers("x"), text="One")
    chat = Conversation.objects.get()
    parent = Message.objects.get(role="assistant")
    for number in range(60):
        parent = Message.objects.create(
            conversation=chat, parent=parent, role="user", content=f"turn {number:02}"
        )
    Conversation.objects.update(leaf=parent)
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "turn 59" in html
    assert "turn 19" not in html
    first = Message.objects.get(content="turn 20")
    older = page(people.bob, reverse("earlier", args=["acme", first.text_id])).content.decode()
    assert "turn 19" in older
    assert "turn 20" not in older
    message_id = Message.objects.get(content="turn 03").text_id
    linked = page(people.bob, f"{chat_of(people.bob)}?msg={message_id}").content.decode()
    assert "turn 03" in linked


def test_unsent_file_is_deleted_after_a_day(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    attached, unsent = (
        add_file(bob, "sent.txt", b"sent words"),
        add_file(bob, "left.txt", b"left words"),
    )
    send(people.bob, answers("x"), text="Read this", file=attached.text_id)
    drop_unsent(clock.now())
    assert Attachment.objects.count() == 2
    drop_unsent(clock.now() + 2 * UNSENT_KEPT)
    assert list(Attachment.objects.values_list("name", flat=True)) == ["sent.txt"]
    refused = send(people.bob, answers("x"), text="And this", file=unsent.text_id)
    assert refused.status_code == 404


def test_a_refused_turn_keeps_its_file_for_the_next_version(people: Cast) -> None:
    file = add_file(actor(people.bob, people.acme), "read.txt", b"words")
    relay = ScriptedRelay(outcome(402, "insufficient_balance", charge_nano=0, basis="none"))
    send(people.bob, relay, text="Read", file=file.text_id)
    drop_unsent(clock.now() + 2 * UNSENT_KEPT)
    question = Message.objects.get(role="user")
    again = {"conversation": conversation_id(), "instead": question.text_id, "edited": "And so"}
    for invalid in ("x", "x" * 36):
        assert send(people.bob, answers("x"), **again, kept_file=invalid).status_code == 404
    answering = answers("x")
    send(people.bob, answering, **again, kept_file=str(file.id))
    assert b"read.txt:\\n\\nwords" in answering.requests[0][1]


def test_zero_bytes_of_a_message_are_left_out(people: Cast) -> None:
    send(people.bob, answers("x"), text="a\x00b")
    assert Conversation.objects.get().title == "ab"
    assert Message.objects.get(role="user").content == "ab"


def later() -> None:
    drop_deleted(clock.now() + 2 * KEPT_DELETED)


def files_kept() -> list[str]:
    return sorted(Attachment.objects.values_list("name", flat=True))


def test_files_are_deleted_with_their_last_message(people: Cast) -> None:
    """Those that were sent and those that a model made; a branch of its own still names them."""
    bob = actor(people.bob, people.acme)
    read, seen, other = (add_file(bob, f"{name}.txt", b"words") for name in ("read", "seen", "own"))
    send(people.bob, answers("x"), text="Read", file=read.text_id)
    chat, answer = conversation_id(), Message.objects.get(role="assistant")
    drawn = add_file(bob, "drawn.txt", b"of a model")
    Message.objects.filter(id=answer.id).update(parts={"media": [{"id": str(drawn.id)}]})
    send(people.bob, answers("y"), text="See", file=seen.text_id, conversation=chat)
    send(people.bob, answers("z"), text="Another chat", file=other.text_id)
    Attachment.objects.update(unsent_until=None)
    post(people.bob, "message_branch", answer.text_id)
    branch = Conversation.objects.latest("id")
    post(people.bob, "chat_delete", chat)
    drop_deleted(clock.now())
    assert files_kept() == ["drawn.txt", "own.txt", "read.txt", "seen.txt"]
    later()
    assert files_kept() == ["drawn.txt", "own.txt", "read.txt"]
    post(people.bob, "chat_delete", id_text(branch.id))
    later()
    assert files_kept() == ["own.txt"]


def test_files_are_deleted_with_a_single_deleted_message(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    first, second = (add_file(bob, f"{name}.txt", b"words") for name in ("first", "second"))
    send(people.bob, answers("x"), text="One", file=first.text_id)
    send(people.bob, answers("y"), text="Two", file=second.text_id,
         conversation=conversation_id())  # fmt: skip
    post(people.bob, "message_delete", Message.objects.get(content="Two").text_id)
    later()
    assert Message.objects.count() == 2
    assert files_kept() == ["first.txt"]


def test_nobody_loses_a_file_by_anothers_chat(people: Cast) -> None:
    """P12: a stored message names files by their id, and might name any."""
    file = add_file(actor(people.alice, people.acme), "hers.txt", b"words")
    send(people.bob, answers("x"), text="One")
    Message.objects.filter(role="user").update(parts={"files": [{"id": str(file.id)}]})
    post(people.bob, "chat_delete", conversation_id())
    later()
    assert files_kept() == ["hers.txt"]
