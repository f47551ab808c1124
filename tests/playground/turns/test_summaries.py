"""Summarise (12.2, context_too_long): asked for by a person, charged as a request, taken back."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.urls import reverse

from accounts.models import User
from gateway.models import Route
from lib import clock
from playground.models import Conversation, Message
from tests.playground.conversations.test_tree import HTMX, answers, conversation_id, post
from tests.playground.panel.test_panel import ask_bound
from tests.playground.preferences.test_preferences import NamingRelay
from tests.playground.sending.test_views import (
    RelayClient,
    ScriptedRelay,
    chat_of,
    outcome,
    page,
    people,
    send,
)
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


@pytest.fixture
def long_chat(people: Cast) -> Cast:
    """One turn of 10,000 tokens with a model that takes 8,000."""
    Route.objects.filter(model="weir-1").update(upstream_model="gpt-4")
    long = "word " * 4_000
    send(people.bob, answers(long), text=long)
    return people


def summarise(user: User, relay: ScriptedRelay, **form: Any) -> Any:
    async def ask() -> Any:
        client = RelayClient(relay)
        await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        fields = {"model": "weir-1", "text": "Go on", **form}
        return await client.post(reverse("chat_summarise", args=["acme"]), fields, headers=HTMX)

    return async_to_sync(ask)()


def notice_of(response: Any) -> str:
    text: str = json.loads(response["HX-Trigger"])["toast"]["text"]
    return text


def test_oldest_turns_become_a_summary_until_undone(long_chat: Cast) -> None:
    bob, id = long_chat.bob, conversation_id()
    html = ask_bound(bob, ScriptedRelay(outcome()), text="Go on", conversation=id)
    # Two portions, each of which may cost what the relay says.
    assert "Summarise oldest turns (up to $0.0842)" in html
    namer = NamingRelay("They said words.")
    response = summarise(bob, namer, conversation=id)
    assert notice_of(response) == "1 turn summarised for $0.0000036."
    first, second = [json.loads(body)["messages"][1]["content"] for _, body in namer.requests]
    assert first.startswith("User: word word")
    assert second.startswith("Summary of what was said before: They said words.\n\nAssistant: word")
    assert all(principal.user_id == bob.id for principal, _ in namer.requests)
    html = ask_bound(bob, ScriptedRelay(outcome()), text="Go on", conversation=id)
    assert "1 oldest turn was summarised." in html
    relay = answers("x")
    send(bob, relay, text="Go on", conversation=id)
    assert json.loads(relay.requests[0][1])["messages"] == [
        {"role": "system", "content": "What was said before, in short:\n\nThey said words."},
        {"role": "user", "content": "Go on"},
    ]
    html = page(bob, chat_of(bob)).content.decode()
    assert "Earlier messages were summarised" in html
    assert "They said words." in html
    message = Message.objects.get(parts__has_key="summary")
    assert post(long_chat.alice, "summary_drop", message.text_id).status_code == 404
    html = post(bob, "summary_drop", message.text_id).content.decode()
    assert "They said words." not in html
    relay = answers("y")
    send(bob, relay, text="And?", conversation=id)
    assert len(json.loads(relay.requests[0][1])["messages"]) == 5


class BranchingRelay(NamingRelay):
    """Before it answers, another tab puts a new turn in place of the chat's first one."""

    async def chat(self, principal: Any, body: bytes, **over: Any) -> Any:
        await sync_to_async(self._branch)()
        async for item in super().chat(principal, body, **over):
            yield item

    def _branch(self) -> None:
        chat = Conversation.objects.get()
        chat.messages.update(deleted_at=clock.now())
        parent = None
        for role in ("user", "assistant", "user", "assistant"):
            parent = Message.objects.create(
                conversation=chat, parent=parent, role=role, content="elsewhere", state="done"
            )
        Conversation.objects.update(leaf=parent and parent.id)


def test_a_summary_stays_with_the_turns_that_it_covers(long_chat: Cast) -> None:
    covered = Message.objects.get(role="assistant")
    relay = BranchingRelay("They said words.")
    summarise(long_chat.bob, relay, conversation=conversation_id())
    assert Message.objects.get(parts__has_key="summary") == covered


@pytest.mark.parametrize(
    ("relay", "text"),
    [
        (NamingRelay("", "insufficient_balance"), "The balance is too low for this message."),
        (NamingRelay("  "), "The model returned no summary."),
    ],
)
def test_missing_summary_changes_nothing(long_chat: Cast, relay: NamingRelay, text: str) -> None:
    response = summarise(long_chat.bob, relay, conversation=conversation_id())
    assert text in notice_of(response)
    assert not Message.objects.filter(parts__has_key="summary").exists()


def test_no_one_else_summarises_a_chat(long_chat: Cast) -> None:
    relay = NamingRelay("Words.")
    assert summarise(long_chat.alice, relay, conversation=conversation_id()).status_code == 404
    assert summarise(long_chat.charlie, relay, conversation=conversation_id()).status_code == 404
    assert relay.requests == []
