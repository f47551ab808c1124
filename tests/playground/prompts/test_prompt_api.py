"""Prompts by the management API."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.keys import service_accounts
from accounts.models import AuditEvent, KeyKind, Role
from content.models import Prompt
from content.prompts.label_rules import LABELS_MAX
from content.prompts.prompts import PromptRefused, move_label, save_prompt
from content.prompts.settings import Settings
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key

URL = "/api/v1/prompts"
PROMPT = {
    "name": "Refund bot", "model": "weir-1", "note": "First", "shared": True,
    "settings": {"system": "You are {{who}}.", "variables": {"who": "Ann"},
                 "schema": {"type": "object", "properties": {}}},
}  # fmt: skip


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    return client.generic(method, path, data, "application/json")


def test_a_prompt_is_saved_put_in_production_and_deleted(people: Cast) -> None:
    bob = signed_in(people.bob)
    response = send(bob, "POST", URL, PROMPT)
    assert response.status_code == 201, response.content
    body = response.json()
    assert body | PROMPT == body
    assert (body["slug"], body["version"], body["production"]) == ("refund-bot", 1, None)
    assert send(bob, "POST", URL, PROMPT).status_code == 409
    one = f"{URL}/refund-bot"
    second = {"model": "weir-1", "settings": {"system": "You are {{who}}!"}}
    assert send(bob, "POST", f"{one}/versions", second).json()["version"] == 2
    assert send(bob, "PATCH", one, {"production": 1}).json()["production"] == 1
    assert bob.get(one).json()["settings"] == PROMPT["settings"]
    assert send(bob, "PATCH", one, {"production": 3}).status_code == 404
    assert send(bob, "PATCH", one, {"shared": False}).json()["shared"] is False
    assert send(bob, "DELETE", one).status_code == 204
    assert bob.get(one).status_code == 404
    actions = AuditEvent.objects.filter(action__startswith="prompt.").order_by("id")
    assert [event.action for event in actions] == [
        "prompt.saved", "prompt.saved", "prompt.put_in_production", "prompt.shared",
        "prompt.deleted",
    ]  # fmt: skip


def test_labels_are_moved_rolled_back_and_removed(people: Cast) -> None:
    bob, one = signed_in(people.bob), f"{URL}/refund-bot"
    send(bob, "POST", URL, PROMPT)
    for system in ("Be kind.", "Be brief."):
        version = {"model": "weir-1", "settings": {"system": system}}
        send(bob, "POST", f"{one}/versions", version)
    staging = f"{one}/labels/staging"
    for number in (1, 3, 3, 2):
        answer = send(bob, "PUT", staging, {"version": number}).json()
        assert (answer["version"], answer["labels"]) == (number, {"staging": number})
    assert bob.get(f"{one}?version=staging").json()["version"] == 2
    rendered = send(bob, "POST", f"{one}/render", {"version": "staging"}).json()
    assert rendered["messages"][0]["content"] == "Be kind."
    assert [item["version"] for item in bob.get(f"{one}/versions").json()["items"]] == [1, 2, 3]
    # A repeated call does not go back twice.
    for number, status, after in ((2, 200, 3), (2, 422, 3), (3, 200, 1), (1, 422, 1)):
        assert send(bob, "POST", f"{staging}/roll-back", {"version": number}).status_code == status
        assert bob.get(one).json()["labels"] == {"staging": after}
    assert send(bob, "PUT", staging, {"version": 4}).status_code == 404
    for bad in ("3", "Staging", "a b"):
        assert send(bob, "PUT", f"{one}/labels/{bad}", {"version": 1}).status_code == 422
    assert send(bob, "DELETE", staging).status_code == 204
    assert send(bob, "DELETE", staging).status_code == 404
    assert bob.get(f"{one}?version=staging").status_code == 404
    actions = AuditEvent.objects.filter(action__startswith="prompt.label").order_by("id")
    assert [(event.action, event.detail.get("after")) for event in actions] == [
        ("prompt.label_moved", 1), ("prompt.label_moved", 3), ("prompt.label_moved", 2),
        ("prompt.label_rolled_back", 3), ("prompt.label_rolled_back", 1),
        ("prompt.label_removed", None),
    ]  # fmt: skip


def test_unstorable_prompts_are_rejected(people: Cast) -> None:
    bob = signed_in(people.bob)
    for settings, status in (
        ({"nonsense": 1}, 400),
        ({"tools": [{"name": "a b"}]}, 422),
        ({"params": {"temperature": "hot"}}, 422),
        ({"params": {"nonsense": 1}}, 422),
        ({"max_cost": "-1"}, 422),
        ({"raw": {"messages": []}}, 422),
    ):
        refused = send(bob, "POST", URL, {**PROMPT, "settings": settings})
        assert refused.status_code == status, settings
        assert refused.json()["error"]["param"].startswith("settings"), settings


def test_prompt_is_deleted_by_its_person_or_a_manager(people: Cast) -> None:
    """P12: a colleague reads a shared one and adds versions; a program has none of its own."""
    send(signed_in(people.bob), "POST", URL, PROMPT)
    one = f"{URL}/refund-bot"
    colleague = signed_in(member(people.acme, "carl", Role.DEVELOPER))
    assert send(colleague, "POST", f"{one}/versions", {"model": "weir-1"}).status_code == 201
    assert send(colleague, "DELETE", one).status_code == 403
    assert send(colleague, "PATCH", one, {"shared": False}).status_code == 403
    account = service_accounts.create_service_account(people.core, "robot", actor=SYSTEM)
    _, text = make_key(people.core, "robot", service_account=account, kind=KeyKind.MANAGEMENT)
    assert send(with_key(text), "POST", URL, {**PROMPT, "name": "x"}).status_code == 403
    assert send(signed_in(people.alice), "DELETE", one).status_code == 204


def test_ones_own_prompt_comes_before_an_older_one_of_that_name(people: Cast) -> None:
    """Two people can have one of a name, such as after one of them left and gave theirs away."""
    bob, alice = actor(people.bob, people.acme), actor(people.alice, people.acme)
    save_prompt(alice, "Refund bot", "m", Settings(), note="", shared=False)
    mine = save_prompt(bob, "Mine", "m", Settings(), note="", shared=False).prompt
    Prompt.objects.filter(id=mine.id).update(name="refund BOT")
    for user, slug in ((bob, "mine"), (alice, "refund-bot")):
        version = save_prompt(user, "Refund Bot", "m", Settings(), note="", shared=False)
        assert (version.prompt.slug, version.number) == (slug, 2)


def test_prompt_with_all_its_labels_can_still_move_one(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    first = save_prompt(bob, "p", "m", Settings(), note="", shared=True)
    second = save_prompt(bob, "p", "m", Settings(), note="", shared=True)
    labels = {f"l{n}": [1] for n in range(LABELS_MAX - 1)}
    Prompt.objects.update(labels=labels)
    move_label(bob, first, "last")
    assert move_label(bob, second, "l0").labels["l0"] == [2, 1]
    with pytest.raises(Refused, match="at most 20 labels"):
        move_label(bob, second, "more")


def test_names_with_the_same_slug_are_different_prompts(people: Cast) -> None:
    """A version goes to the prompt of that name, however little of the name its slug keeps."""
    bob = signed_in(people.bob)
    slugs = {}
    for name in ("客服 GPT", "翻译 GPT", "C++ review", "C# review", "客服助手", "翻译助手"):
        first = send(bob, "POST", URL, {**PROMPT, "name": name})
        assert (first.status_code, first.json()["version"]) == (201, 1), name
        slugs[name] = first.json()["slug"]
        assert send(bob, "POST", URL, {**PROMPT, "name": name}).status_code == 409, name
    assert len(set(slugs.values())) == len(slugs)
    assert (slugs["客服 GPT"], slugs["C++ review"]) == ("gpt", "c-review")
    for name, slug in slugs.items():
        second = send(bob, "POST", f"{URL}/{slug}/versions", {"model": "weir-1"}).json()
        assert (second["name"], second["slug"], second["version"]) == (name, slug, 2)


def test_panel_saves_a_version_of_the_prompt_with_that_name(people: Cast) -> None:
    bob, carl = actor(people.bob, people.acme), member(people.acme, "carl", Role.DEVELOPER)
    for name, slug in (("Refund GPT", "refund-gpt"), ("客服助手", None)):
        first = save_prompt(bob, name, "weir-1", Settings(), note="", shared=False)
        assert slug in (first.prompt.slug, None)
        again = save_prompt(bob, name.lower(), "weir-1", Settings(), note="", shared=False)
        assert (again.prompt, again.number) == (first.prompt, 2)
        with pytest.raises(PromptRefused, match="Someone else already has"):
            save_prompt(actor(carl, people.acme), name, "weir-1", Settings(), note="", shared=True)
