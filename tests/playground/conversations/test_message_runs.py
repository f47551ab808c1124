"""A message keeps the settings and the charge of its answer when the message beside which its run
was written is removed."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from dialects.chat.events import TextDelta
from gateway.models import Route
from lib.ids import id_text
from playground.models import Conversation, Message, Run, RunState
from tests.playground.conversations.test_tree import answers, conversation_id, later, post
from tests.playground.sending.test_views import ScriptedRelay, chat_of, outcome, page, people, send
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


def regenerated(people: Cast, answer: Message) -> list[dict[str, str]]:
    """What is sent when a person regenerates an answer."""
    relay = answers("again")
    assert answer.parent is not None
    form = {"retry": answer.parent.text_id, "as_before": answer.text_id}
    send(people.bob, relay, conversation=id_text(answer.conversation_id), **form)
    messages: list[dict[str, str]] = json.loads(relay.requests[0][1])["messages"]
    return messages


def test_branch_outlives_its_chat(people: Cast) -> None:
    send(people.bob, answers("one"), text="Hi", system="Be short.")
    send(people.bob, answers("two"), text="More", system="Be long.", conversation=conversation_id())
    first = Message.objects.get(content="one")
    chat = first.conversation
    post(people.bob, "message_branch", first.text_id)
    post(people.bob, "message_branch", first.text_id)
    branch, other = Conversation.objects.exclude(id=chat.id).order_by("id")
    post(people.bob, "chat_delete", id_text(chat.id))
    later()
    (run,) = Run.objects.all()
    assert run == first.run
    copy = branch.messages.get(role="assistant")
    assert (run.conversation, run.user_message, run.assistant_message) == (
        branch, copy.parent, copy,
    )  # fmt: skip
    for one in (branch, other):
        url = reverse("conversation", args=["acme", id_text(one.id)])
        html = squeezed(page(people.bob, url).content.decode())
        assert "$0.0000018 (measured)" in html
        assert reverse("run_code", args=["acme", run.text_id]) in html
    code = signed_in(people.bob).get(reverse("run_code", args=["acme", run.text_id]))
    assert "Be short." in code.content.decode()
    for one in (branch, other):
        sent = regenerated(people, one.messages.get(role="assistant"))
        assert sent[0] == {"role": "system", "content": "Be short."}
    post(people.bob, "chat_delete", id_text(branch.id))
    later()
    run.refresh_from_db()
    assert run.conversation == other


def test_removed_version_leaves_its_run_to_the_others(people: Cast) -> None:
    Route.objects.filter(model="weir-1").update(upstream_model="gpt-4")
    relay = ScriptedRelay(TextDelta(0, "one"), TextDelta(1, "two"), outcome())
    send(people.bob, relay, text="Hi", system="Be short.", **{"p.n": "2"})
    send(people.bob, answers("other"), text="Else", conversation=conversation_id())
    first, second = Message.objects.filter(content__in=["one", "two"]).order_by("content")
    post(people.bob, "message_delete", first.text_id)
    later()
    # "Else" was written under the first version, and is removed with it.
    run = Run.objects.get()
    assert (run.conversation, run.assistant_message) == (second.conversation, second)
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert "$0.0000018 (measured)" in html
    assert regenerated(people, second)[0]["content"] == "Be short."


def test_run_in_progress_is_not_handed_over(people: Cast) -> None:
    """One conversation has one run at a time."""
    send(people.bob, answers("one"), text="Hi")
    answer = Message.objects.get(role="assistant")
    post(people.bob, "message_branch", answer.text_id)
    Run.objects.update(ended_at=None, state=RunState.RUNNING)
    post(people.bob, "chat_delete", id_text(answer.conversation_id))
    later()
    assert not Run.objects.exists()


@pytest.mark.parametrize("compared", [False, True])
def test_imported_answer_has_the_settings_of_its_chat(people: Cast, compared: bool) -> None:
    form = {"compare": "1", "model": ["weir-1", "weir-1"]} if compared else {}
    send(people.bob, answers("one"), text="Hi", system="Be short.", **form)
    url = reverse("chat_export", args=["acme", conversation_id(), "json"])
    upload = SimpleUploadedFile("chat.json", signed_in(people.bob).get(url).content)
    Conversation.objects.all().delete()
    signed_in(people.bob).post(reverse("chat_import", args=["acme"]), {"chat": upload})
    answer = Message.objects.filter(role="assistant").latest("column")
    if compared:
        post(people.bob, "keep", answer.text_id)
        assert Conversation.objects.get().settings["system"] == "Be short."
    assert regenerated(people, answer)[0]["content"] == "Be short."
