"""Several answers to one question, how likely their tokens were, and chats beyond the context."""

import json
import re

import pytest
from django.urls import reverse

from dialects.chat.events import LogprobsDelta, TextDelta, TokenLogprob, TopLogprob
from gateway.models import Channel, Route
from playground.chats.history import spent_by_chat
from playground.models import Conversation, Message
from tests.playground.chats.test_history import export_file, import_file
from tests.playground.conversations.test_tree import answers, conversation_id
from tests.playground.panel.test_panel import ask_bound
from tests.playground.sending.test_views import ScriptedRelay, chat_of, outcome, page, people, send
from tests.support.cast import Cast
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


@pytest.fixture
def gpt(people: Cast) -> Cast:
    """weir-1 is gpt-4: it takes `n` and 8,000 tokens."""
    Route.objects.filter(model="weir-1").update(upstream_model="gpt-4")
    assert Channel.objects.count() == 1
    return people


def test_further_answers_become_versions_that_are_charged_once(gpt: Cast) -> None:
    relay = ScriptedRelay(
        TextDelta(0, "one"), TextDelta(1, "two"), TextDelta(2, "three"), outcome()
    )
    html = send(gpt.bob, relay, text="Hi", **{"p.n": "3"}).content.decode()
    assert json.loads(relay.requests[0][1])["n"] == 3
    messages = list(Message.objects.filter(role="assistant").order_by("id"))
    assert [message.content for message in messages] == ["one", "two", "three"]
    html = page(gpt.bob, chat_of(gpt.bob)).content.decode()
    assert "1/3" in html
    assert '<p dir="auto">one</p>' in html
    assert "several answers, charged together" in html
    # The next turn goes on from the one that is shown.
    relay = answers("x")
    send(gpt.bob, relay, text="And?", conversation=conversation_id())
    assert b'"content": "one"' in relay.requests[0][1]
    assert b'"two"' not in relay.requests[0][1]
    chat = Conversation.objects.get()
    data = export_file(gpt.bob, all="1")
    charges = [message.get("outcome", {}).get("charge_nano") for message in
            json.loads(data)["chats"][0]["messages"] if message["role"] == "assistant"]  # fmt: skip
    assert charges == [1_800, None, None, 1_800]
    chat.delete()
    import_file(gpt.bob, data)
    imported = Conversation.objects.get()
    assert spent_by_chat([imported])[imported.id].charge_nano == 3_600


def test_column_of_a_comparison_continues_from_one_answer(gpt: Cast) -> None:
    relay = answers("x")
    send(gpt.bob, relay, text="Hi", compare="1", model=["weir-1", "weir-1"], **{"p.n": "3"})
    assert [json.loads(body).get("n") for _, body in relay.requests] == [None, None]


def test_the_tokens_of_an_answer_are_shown_with_their_likelihood(gpt: Cast) -> None:
    top = (TopLogprob("<b>Hi", -0.105), TopLogprob("Ho", -2.3))
    relay = ScriptedRelay(
        TextDelta(0, "<b>Hi"), LogprobsDelta(0, (TokenLogprob("<b>Hi", -0.105, None, top),)),
        outcome(),
    )  # fmt: skip
    send(gpt.bob, relay, text="Hi", **{"p.logprobs": "2"})
    body = json.loads(relay.requests[0][1])
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    answer = Message.objects.get(role="assistant")
    url = reverse("message_tokens", args=["acme", answer.text_id])
    assert url in squeezed(page(gpt.bob, chat_of(gpt.bob)).content.decode())
    html = squeezed(page(gpt.bob, url).content.decode())
    assert 'title="90.0% · Ho 10.0%">&lt;b&gt;Hi</span>' in html
    assert page(gpt.alice, url).status_code == 404


def test_overlong_chat_says_so_and_omits_the_chosen_part(gpt: Cast) -> None:
    long = "word " * 4_000
    send(gpt.bob, answers(long), text=long)
    id = conversation_id()
    html = ask_bound(gpt.bob, ScriptedRelay(outcome()), text="Go on", conversation=id)
    assert "This message needs about 10,002 tokens, but weir-1 accepts 8,000." in html
    assert "data-trim" in html
    assert "data-blocked" not in html
    relay = ScriptedRelay(outcome())
    html = ask_bound(gpt.bob, relay, text="Go on", conversation=id, trim="oldest")
    assert "1 oldest turn was left out." in html
    assert re.search("≈ 2 of 8,000 context tokens", html)
    assert json.loads(relay.bounds[0][1])["messages"] == [{"role": "user", "content": "Go on"}]
    relay = answers("x")
    send(gpt.bob, relay, text="Go on", conversation=id, trim="oldest")
    assert json.loads(relay.requests[0][1])["messages"] == [{"role": "user", "content": "Go on"}]
    assert Message.objects.count() == 4
    html = page(gpt.bob, chat_of(gpt.bob)).content.decode()
    assert '<option value="oldest" selected>' in html
