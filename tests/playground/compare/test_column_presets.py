"""The columns of a comparison have settings of their own, or those of the panel."""

import json
from typing import Any

import pytest
from django.urls import reverse

from content.prompts.settings import Settings
from lib.ids import id_text
from playground.chats.sharing import share_branch
from playground.models import Conversation, Message, Preset
from playground.panel.panel import form_of
from playground.panel.presets import delete_preset, save_preset
from tests.playground.conversations.test_tree import answers
from tests.playground.panel.test_panel import add_model
from tests.playground.sending.test_views import people, send
from tests.support.cast import Cast, actor, signed_in

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

SHARED = {"system": "Be short.", "p.temperature": "0.5"}


@pytest.fixture
def pirate(people: Cast) -> Preset:
    alice = actor(people.alice, people.acme)
    settings = Settings(system="You are a pirate.", params={"temperature": 2})
    return save_preset(alice, "Pirate", settings, shared=True)


def systems(people: Cast, presets: list[str], **form: Any) -> list[str]:
    """What each column was told: sent with the panel as the page shows it."""
    relay = answers("Ahoy")
    send(people.bob, relay, model=["weir-1"] * len(presets), preset=presets, compare="1",
         text="Hi", **form)  # fmt: skip
    return sorted(told(body) for _, body in relay.requests)


def told(body: bytes) -> str:
    sent = json.loads(body)
    systems = [one["content"] for one in sent["messages"] if one["role"] == "system"]
    return f"{''.join(systems)} {sent.get('temperature')}"


def panel() -> dict[str, str]:
    chat = Conversation.objects.get()
    return form_of(Settings.from_stored(chat.settings)) | {"conversation": id_text(chat.id)}


def test_preset_of_one_column_stays_in_it(people: Cast, pirate: Preset) -> None:
    presets = [pirate.text_id, "", ""]
    expected = ["Be short. 0.5", "Be short. 0.5", "You are a pirate. 2"]
    assert systems(people, presets, **SHARED) == expected
    assert systems(people, presets, **panel()) == expected
    relay = answers("Late")
    add_model(people.bob, relay)
    assert told(relay.requests[0][1]) == "Be short. 0.5"
    assert systems(people, [*presets, ""], **panel()) == ["Be short. 0.5", *expected]
    chat = Conversation.objects.get()
    link, _ = share_branch(
        actor(people.bob, people.acme), chat, days=None, members_only=True,
        system_shown=True, cost_shown=True,
    )  # fmt: skip
    assert link.snapshot["system"] == "You are a pirate."


def test_answer_is_asked_again_in_its_column(people: Cast, pirate: Preset) -> None:
    """The next Send goes on from it, and the other column keeps its settings."""
    presets = ["", pirate.text_id]
    systems(people, presets, **SHARED)
    failed = Message.objects.get(role="assistant", column=1)
    assert failed.parent_id is not None
    chat = id_text(failed.conversation_id)
    form = {"conversation": chat, "as_before": failed.text_id, "model": "weir-1"}
    send(people.bob, answers("Arr"), retry=id_text(failed.parent_id), **form)
    assert told_settings() == "Be short."
    again = Message.objects.filter(role="assistant").latest("id")
    assert (again.column, again.content, again.parent_id) == (1, "Arr", failed.parent_id)
    send(people.bob, answers("Aye"), text="Go on", **form)
    on = Message.objects.filter(role="assistant").latest("id")
    assert on.parent is not None
    assert (on.column, on.parent.parent_id) == (1, again.id)
    assert systems(people, presets, **panel()) == ["Be short. 0.5", "You are a pirate. 2"]
    last = Message.objects.filter(role="assistant", column=1).latest("id")
    assert last.parent is not None
    assert last.parent.parent_id == on.id


def told_settings() -> str:
    return str(Conversation.objects.get().settings["system"])


def test_presets_of_all_columns_are_not_the_panels(people: Cast, pirate: Preset) -> None:
    systems(people, [pirate.text_id] * 2, **SHARED)
    assert Conversation.objects.get().settings == {}


@pytest.mark.parametrize("deleted", [True, False])
def test_column_keeps_a_preset_that_is_gone(people: Cast, pirate: Preset, deleted: bool) -> None:
    presets = [pirate.text_id, ""]
    expected = systems(people, presets, **SHARED)
    if deleted:
        delete_preset(pirate)
    else:
        Preset.objects.update(shared=False)
    assert systems(people, presets, **panel()) == expected
    code = signed_in(people.bob).post(
        reverse("draft_code", args=["acme"]),
        {"model": ["weir-1"] * 2, "preset": presets, "compare": "1", "text": "Hi", **panel()},
    )
    assert "You are a pirate." in code.content.decode()


def test_comparison_cannot_begin_with_a_preset_that_is_gone(people: Cast, pirate: Preset) -> None:
    form = {"model": ["weir-1"] * 2, "preset": [pirate.text_id, ""], "compare": "1", "text": "Hi"}
    delete_preset(pirate)
    response = send(people.bob, answers("Ahoy"), **form)
    assert response.status_code == 422
    assert "A preset that you chose no longer exists." in response.content.decode()
    assert not Conversation.objects.exists()


def test_column_takes_no_preset_of_another_column(people: Cast, pirate: Preset) -> None:
    systems(people, [pirate.text_id, ""], **SHARED)
    Preset.objects.update(shared=False)
    assert systems(people, ["", pirate.text_id], **panel()) == []
