"""The page of a prompt: its versions and labels, and the dialogs that move them."""

import re

import pytest
from django.urls import reverse

from accounts.models import User
from content.models import Prompt, PromptVersion
from content.prompts import prompts
from content.prompts.settings import Settings
from lib.refusal import Refused
from tests.playground.conversations.test_tree import HTMX
from tests.support.cast import Cast, actor, signed_in


def url(name: str, *args: str) -> str:
    return reverse(name, args=["acme", "refund-bot", *args])


def saved(people: Cast, versions: int = 3) -> None:
    bob = actor(people.bob, people.acme)
    for number in range(versions):
        settings = Settings(system=f"v{number + 1}")
        prompts.save_prompt(bob, "Refund bot", "weir-1", settings, note="", shared=True)


def text_of(user: User, address: str) -> str:
    html = signed_in(user).get(address).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_label_is_put_on_a_version_and_rolled_back(people: Cast) -> None:
    saved(people)
    bob = signed_in(people.bob)
    dialog = bob.get(url("prompt_label_move") + "?v=2", headers=HTMX).content.decode()
    assert '<option value="2" selected>' in dialog
    for version in ("1", "3"):
        bob.post(url("prompt_label_move"), {"label": "staging", "version": version})
    assert Prompt.objects.get().labels == {"staging": [3, 1]}
    assert "staging 3 1 Roll back Remove" in text_of(people.bob, url("prompt"))
    back = url("prompt_label_roll_back", "staging")
    assert "use version 1 instead of 3" in text_of(people.bob, back)
    assert bob.post(back, {"version": "2"}).status_code == 422
    assert bob.post(back, {"version": "3"}).status_code == 303
    assert Prompt.objects.get().labels == {"staging": [1]}
    assert "Roll back" not in text_of(people.bob, url("prompt"))
    assert "Requests that name" in text_of(people.bob, url("prompt_label_remove", "staging"))
    bob.post(url("prompt_label_remove", "staging"))
    assert Prompt.objects.get().labels == {}


def test_second_of_two_who_roll_back_at_once_is_refused(people: Cast) -> None:
    saved(people)
    bob = actor(people.bob, people.acme)
    for version in PromptVersion.objects.order_by("number"):
        prompts.move_label(bob, version, "staging")
    read_by_both = Prompt.objects.get()
    prompts.roll_back_label(bob, read_by_both, "staging", 3)
    with pytest.raises(Refused, match="on version 2 meanwhile"):
        prompts.roll_back_label(bob, read_by_both, "staging", 3)
    assert Prompt.objects.get().labels == {"staging": [2, 1]}


def test_invalid_labels_stay_in_their_dialog(people: Cast) -> None:
    saved(people, 1)
    bob = signed_in(people.bob)
    for label, version in (("3", "1"), ("Staging", "1"), ("staging", "9"), ("", "1")):
        refused = bob.post(url("prompt_label_move"), {"label": label, "version": version})
        assert refused.status_code == 422, label
    assert Prompt.objects.get().labels == {}


def test_labels_belong_to_their_organisation(people: Cast) -> None:
    saved(people, 1)
    charlie = signed_in(people.charlie)
    assert charlie.get(url("prompt_label_move")).status_code == 404
    charlie.post(url("prompt_label_move"), {"label": "staging", "version": "1"})
    assert Prompt.objects.get().labels == {}
