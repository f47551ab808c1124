"""Who pays for a chat: the keys that a person may choose, and what holds of the chosen one."""

import json
from typing import Any

import pytest
from django.http import Http404
from django.urls import reverse

from accounts.access.access import get_by_id, payable_keys
from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.keys.keys import playground_key
from accounts.models import Key, KeyKind, Role
from lib.ids import id_text
from playground.models import Conversation
from playground.payers.paying import Payer, choose_default_payer, default_payer
from relay.requests.labels import Labels
from tests.playground.conversations.test_tree import HTMX, answers, conversation_id
from tests.playground.panel.test_panel import ask_bound
from tests.playground.sending.test_views import ScriptedRelay, chat_of, outcome, page, people, send
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


def named(people: Cast, name: str, **over: Any) -> Key:
    return make_key(people.core, name, **over)[0]


def payable(people: Cast, user: Any) -> list[str]:
    return sorted(key.name for key in payable_keys(actor(user, people.acme)))


def test_person_chooses_own_or_shared_keys_never_anothers(people: Cast) -> None:
    named(people, "shared")
    named(people, "alice's", user=people.alice)
    bobs = named(people, "bob's", user=people.bob)
    named(people, "management", user=people.alice, kind=KeyKind.MANAGEMENT)
    named(people, "of a server", networks=["10.0.0.0/8"])
    named(people, "embeds", endpoints=["embeddings"])
    keys.change_key(SYSTEM, named(people, "off"), disabled=True)
    keys.revoke_key(SYSTEM, named(people, "ended"))
    assert payable(people, people.alice) == ["alice's", "shared"]
    assert payable(people, people.bob) == ["bob's"]  # a developer sees no other key
    with pytest.raises(Http404):
        get_by_id(payable_keys(actor(people.alice, people.acme)), id_text(bobs.id))


def test_unselectable_key_pays_for_nothing(people: Cast) -> None:
    bobs = named(people, "bob's", user=people.bob)
    relay = answers("x")
    for user in (people.alice, member(people.acme, "erin", Role.ADMIN)):
        response = send(user, relay, text="Hi", key=id_text(bobs.id))
        assert response.status_code == 422
        assert "This key cannot pay for chats any more." in response.content.decode()
        html = ask_bound(user, relay, text="Hi", key=id_text(bobs.id))
        assert "data-blocked" in html
        assert "This key cannot pay" in html
    assert relay.requests == []
    assert Conversation.objects.count() == 0
    assert send(people.bob, relay, text="Hi", key="nonsense").status_code == 422


def test_the_chosen_key_and_project_pay_and_stay_with_the_chat(people: Cast) -> None:
    key = named(people, "bob's", user=people.bob)
    relay = ScriptedRelay(outcome())
    ask_bound(people.bob, relay, text="Hi", key=id_text(key.id), project="search")
    ((payer, _, labels),) = relay.bounds
    assert (payer.key_id, payer.user_id, labels) == (key.id, people.bob.id, Labels("search"))
    relay = answers("one")
    send(people.bob, relay, text="Hi", key=id_text(key.id), project=" search ")
    assert (relay.requests[0][0].key_id, relay.labels) == (key.id, [Labels("search")])
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert f'<option value="{id_text(key.id)}" selected' in html
    assert "bob&#x27;s (team core)" in html.replace(" </", "</")
    relay = answers("two")  # asked once more, without the composer: paid as before
    again = {"conversation": conversation_id(), "retry": question_id(people)}
    send(people.bob, relay, **again)
    assert (relay.requests[0][0].key_id, relay.labels) == (key.id, [Labels("search")])
    relay = answers("three")
    send(people.bob, relay, text="Go on", conversation=conversation_id(), key="", project="")
    assert relay.requests[0][0].key_id == playground_key(people.acme).id
    assert relay.labels == [Labels()]


def question_id(people: Cast) -> str:
    return Conversation.objects.get().messages.get(role="user").text_id


def test_chat_with_an_ended_key_asks_for_another(people: Cast) -> None:
    key = named(people, "bob's", user=people.bob)
    send(people.bob, answers("one"), text="Hi", key=id_text(key.id))
    keys.revoke_key(SYSTEM, key)
    relay = answers("two")
    response = send(people.bob, relay, conversation=conversation_id(), retry=question_id(people))
    assert response.status_code == 422
    assert relay.requests == []
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert "Playground key" in html


def test_new_chats_begin_with_the_persons_choice(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    key = named(people, "bob's", user=people.bob)
    assert default_payer(bob) == Payer(playground_key(people.acme))
    url = reverse("payer_choose", args=["acme"])
    form = {"key": id_text(key.id), "project": "search"}
    response = signed_in(people.bob).post(url, form, headers=HTMX)
    assert (
        "New chats will be paid for this way."
        in json.loads(response["HX-Trigger"])["toast"]["text"]
    )
    assert default_payer(bob) == Payer(key, "search")
    assert default_payer(actor(people.alice, people.acme)).chosen_key is None
    html = squeezed(page(people.bob, reverse("playground", args=["acme"])).content.decode())
    assert f'<option value="{id_text(key.id)}" selected' in html
    response = signed_in(people.alice).post(url, form, headers=HTMX)
    assert "cannot pay" in json.loads(response["HX-Trigger"])["toast"]["text"]
    keys.revoke_key(SYSTEM, key)
    assert default_payer(bob) == Payer(playground_key(people.acme), "search")
    choose_default_payer(bob, Payer(playground_key(people.acme)))
    assert default_payer(bob) == Payer(playground_key(people.acme))


def test_a_project_is_a_label(people: Cast) -> None:
    response = send(people.bob, answers("x"), text="Hi", key="", project="a\u200bb")
    assert response.status_code == 422
    assert "A project name can have up to 100 visible characters." in response.content.decode()
