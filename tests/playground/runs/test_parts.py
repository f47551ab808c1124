"""Parts of the playground's pages, each with what it is about and nobody else's (W10, W11)."""

import re

import pytest
from django.urls import reverse

from lib.ids import id_text
from playground.models import Conversation, Message, Preset, Run, Vote
from tests.playground.conversations.test_tree import HTMX, answers, conversation_id, post
from tests.playground.panel.test_panel import compare
from tests.playground.sending.test_views import page, people, send
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of, rows_of
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


def menu(people: Cast, id: str, open_chat: str = "") -> str:
    """The menu of a chat, asked for beside another one or the chat itself."""
    beside = f"http://testserver/o/acme/playground/c/{open_chat or id}"
    url = reverse("chat_menu", args=["acme", id])
    answer = signed_in(people.bob).get(url, headers={**HTMX, "HX-Current-URL": beside})
    return squeezed(answer.content.decode())


@pytest.mark.parametrize("field", ["pinned", "archived"])
def test_chat_menu_action_is_undone_by_the_next(people: Cast, field: str) -> None:
    send(people.bob, answers("x"), text="One")
    id = conversation_id()
    for is_set in (False, True, False):
        match = re.search(rf'name="{field}" value="(\d)"', menu(people, id))
        assert match is not None
        assert match[1] == str(int(not is_set))
        post(people.bob, "chat_change", id, **{field: match[1]})


def test_only_deleting_the_open_chat_leaves_it(people: Cast) -> None:
    send(people.bob, answers("x"), text="One")
    send(people.bob, answers("x"), text="Two")
    one, two = (id_text(chat.id) for chat in Conversation.objects.order_by("id"))
    assert 'data-leaves="/o/acme/playground"' in menu(people, one)
    assert "data-leaves" not in menu(people, one, open_chat=two)


def test_a_shared_preset_is_deleted_by_its_maker_alone(people: Cast) -> None:
    form = {"model": "weir-1", "preset_name": "Calm", "preset_shared": "on"}
    signed_in(people.bob).post(reverse("preset_save", args=["acme"]), form, headers=HTMX)
    url = reverse("preset_delete", args=["acme", Preset.objects.get().text_id])
    for user, offered in ((people.bob, True), (people.alice, False)):
        text = page(user, "/o/acme/playground").content.decode()
        assert ">Calm</a>" in text
        assert (url in text) is offered


def test_wins_are_not_votes(people: Cast) -> None:
    compare(people.bob, blind="1")
    run = Run.objects.order_by("column")[0]
    post(people.bob, "vote", id_text(run.batch), winner="")
    Vote.objects.update(candidates=["weir-1", "weir-2"])
    url = reverse("votes", args=["acme"])
    (message, _) = file_of(signed_in(people.alice), f"{url}?export=csv&cols=model,wins,votes")
    (page_text, _) = rows_of(signed_in(people.alice), f"{url}?cols=model,wins,votes")
    assert message["wins"] == "0" != message["votes"]
    assert page_text.split()[:3] == ["weir-1", "0", message["votes"]]


def test_a_diff_names_the_columns_that_it_is_of(people: Cast) -> None:
    compare(people.bob)
    Message.objects.filter(column=2, role="assistant").update(content="other words")
    url = reverse("diff", args=["acme", conversation_id()])
    page_text = squeezed(
        signed_in(people.bob).get(url, {"a": "0", "b": "2"}, headers=HTMX).content.decode()
    )
    chosen = re.findall(r'<option value="(\d)" selected>', page_text)
    assert chosen == ["0", "2"]
    assert "other</ins>" in page_text
