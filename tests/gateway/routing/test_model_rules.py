"""Rules and aliases of models: by page, by API and by file, and refused where they cannot be."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from gateway.aliases.aliases import all_aliases, save_alias
from gateway.models import Channel, ModelAlias, ModelRule, Route
from gateway.routing.model_rule_bounds import FAILURES
from gateway.routing.model_rules import facts_of, save_rule
from tests.config.applying import Installation
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
PAGE = "/admin/models/rules"
API = "/api/v1"
FILE = """\
version: 1
model_rules:
  - {model: "gpt-*", fallbacks: [claude, gemini], causes: [error], pick: price}
  - {model: claude, fallbacks: [gemini]}
aliases: {fast: small, small: gpt-4o-mini}
"""


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def stored() -> dict[str, tuple[object, ...]]:
    """(fallbacks, causes, pick) of each rule."""
    return {rule.model: tuple(facts_of(rule).values())[:3] for rule in ModelRule.objects.all()}


def send(api: Client, verb: str, path: str, fields: dict[str, Any] | None = None) -> Any:
    return getattr(api, verb)(f"{API}{path}", fields, content_type="application/json")


def serve(*names: str) -> None:
    channel = Channel.objects.create(name="east", provider="openai", base_url="https://a.example")
    for name in names:
        Route.objects.create(channel=channel, model=name)


def test_misspelt_fallback_is_rejected_and_an_unserved_one_warned_of(dora: Client) -> None:
    serve("claude-opus", "gpt-5")
    sent = {"model": "gpt-5x", "causes": ["error"], "pick": "weight"}
    refused = dora.post(f"{PAGE}/new", sent | {"fallbacks": "claude-opsu"})
    assert refused.status_code == 422
    assert "There is no model named claude-opsu. Did you mean claude-opus?" in refused.text
    saved = dora.post(f"{PAGE}/new", sent | {"fallbacks": "claude-opus"}, follow=True)
    assert "There is no model named gpt-5x. Did you mean gpt-5?" in saved.text
    assert stored() == {"gpt-5x": (["claude-opus"], ["error"], "weight")}
    Route.objects.all().delete()
    rule = ModelRule.objects.get()
    kept = dora.post(f"{PAGE}/{rule.id}", sent | {"fallbacks": "claude-opus", "pick": "ttft"})
    assert kept.status_code == 303
    offered = dora.get("/admin/_f/choices/models", {"q": "later-1"})
    assert 'data-value="later-1"' not in offered.text
    offered = dora.get("/admin/_f/choices/models", {"q": "later-1", "any": ""})
    assert 'data-mark="No such model"' in offered.text


def test_a_rule_is_made_changed_and_deleted_on_its_page(dora: Client) -> None:
    serve("claude", "gemini")
    sent = {"model": "gpt-*", "fallbacks": "claude\ngemini", "causes": ["error"], "pick": "ttft"}
    assert dora.post(f"{PAGE}/new", sent)["location"] == PAGE
    assert stored() == {"gpt-*": (["claude", "gemini"], ["error"], "ttft")}
    page = squeezed(dora.get(PAGE).content.decode())
    assert "claude, gemini" in page
    assert ">Lowest time to first token</td>" in page
    again = dora.post(f"{PAGE}/new", sent)
    assert (again.status_code, "already a rule" in again.content.decode()) == (422, True)
    rule = ModelRule.objects.get()
    # The model of a rule stays, whatever is sent.
    changed = {"model": "*", "fallbacks": "claude", "causes": ["error", "content_policy"]}
    assert dora.post(f"{PAGE}/{rule.id}", changed | {"pick": "user"}).status_code == 303
    assert stored() == {"gpt-*": (["claude"], ["content_policy", "error"], "user")}
    assert dora.post(f"{PAGE}/{rule.id}/remove").status_code == 303
    assert stored() == {}
    actions = AuditEvent.objects.filter(action__startswith="model_rule").order_by("id")
    assert list(actions.values_list("action", flat=True)) == [
        "model_rule.saved",
        "model_rule.saved",
        "model_rule.removed",
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "a b"}, "model"),
        ({"model": "gpt", "fallbacks": ["gpt"]}, "fallbacks"),
        ({"model": "gpt", "fallbacks": ["a", "a"]}, "fallbacks"),
        ({"model": "gpt", "fallbacks": ["claude-*"]}, "fallbacks"),
        ({"model": "gpt", "fallbacks": [f"m{n}" for n in range(9)]}, "fallbacks"),
        ({"model": "gpt", "fallbacks": ["a"], "causes": []}, "causes"),
        ({"model": "gpt", "causes": ["boredom"]}, "causes"),
        ({"model": "gpt", "pick": "luck"}, "pick"),
        ({"model": "gpt", "charge_rule": {"kind": "absorb", "cost": "1"}}, "cost"),
        ({"model": "gpt", "charge_rule": {"kind": "drain", "seconds": 0}}, "seconds"),
        ({"model": "gpt", "more": 1}, "more"),
    ],
)
def test_invalid_rules_are_rejected(dora: Client, fields: dict[str, Any], param: str) -> None:
    answer = send(dora, "post", "/model-rules", fields)
    assert answer.status_code in (400, 422), answer.content
    assert param in str(answer.json()["error"]["param"])
    assert stored() == {}


def test_rules_by_the_api(dora: Client) -> None:
    body = send(dora, "post", "/model-rules", {"model": "gpt", "fallbacks": ["claude"]}).json()
    assert (body["causes"], body["pick"]) == (sorted(FAILURES), "weight")
    path = f"/model-rules/{body['id']}"
    changed = send(dora, "patch", path, {"causes": ["error"]}).json()
    assert (changed["fallbacks"], changed["causes"]) == (["claude"], ["error"])
    assert send(dora, "get", "/model-rules").json()["items"] == [changed]
    assert dora.delete(f"{API}{path}").status_code == 204
    assert send(dora, "get", path).status_code == 404


def test_rule_states_the_charge_of_abandoned_requests(dora: Client, tmp_path: Path) -> None:
    sent = {"model": "o3", "pick": "weight", "kind": "drain", "seconds": "30", "cost": "0.05"}
    assert dora.post(f"{PAGE}/new", sent).status_code == 303
    assert (
        "Keep reading and charge the usage, at most 30 s, $0.05" in dora.get(PAGE).content.decode()
    )
    rule = ModelRule.objects.get()
    limits = {"kind": "drain", "seconds": 30, "cost": "0.05"}
    path = f"/model-rules/{rule.id}"
    assert send(dora, "get", path).json()["charge_rule"] == limits
    exported = Installation(tmp_path).export()
    assert "charge_rule:\n    kind: drain\n    seconds: 30\n    cost: '0.05'" in exported
    # What is left out stays, and a file says nothing of it by null.
    assert send(dora, "patch", path, {"pick": "ttft"}).json()["charge_rule"] == limits
    absorbs = {"kind": "absorb", "seconds": None, "cost": None}
    changed = send(dora, "patch", path, {"charge_rule": {"kind": "absorb"}}).json()
    assert changed["charge_rule"] == absorbs
    Installation(tmp_path).apply(exported)
    assert send(dora, "get", path).json()["charge_rule"] == limits
    Installation(tmp_path).apply("version: 1\nmodel_rules: [{model: o3, charge_rule: null}]\n")
    rule.refresh_from_db()
    assert rule.charge_rule == {}
    wrong = "version: 1\nmodel_rules: [{model: o3, charge_rule: {kind: absorb, cost: '1'}}]\n"
    with pytest.raises(CommandError, match=r"charge_rule: .*kind: drain"):
        Installation(tmp_path).apply(wrong)


def test_a_circle_of_aliases_is_refused_and_named(dora: Client) -> None:
    """On the page, by the API and by a file; nothing of it is kept."""
    save_alias(SYSTEM, "fast", "small")
    save_alias(SYSTEM, "small", "gpt")
    way = "gpt → fast → small → gpt"
    page = dora.post("/admin/models/aliases/new", {"name": "gpt", "target": "fast"})
    assert (page.status_code, "fast → small → gpt → fast" in page.content.decode()) == (422, True)
    answer = send(dora, "post", "/aliases", {"name": "gpt", "target": "fast"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "target")
    assert "→" in answer.json()["error"]["message"], way
    assert send(dora, "post", "/aliases", {"name": "self", "target": "self"}).status_code == 422
    assert all_aliases() == {"fast": "small", "small": "gpt"}


def test_aliases_on_the_page_and_by_the_api(dora: Client) -> None:
    sent = {"name": "fast", "target": "small"}
    assert dora.post("/admin/models/aliases/new", sent).status_code == 303
    taken = dora.post("/admin/models/aliases/new", sent | {"target": "other"})
    assert (taken.status_code, all_aliases()) == (422, {"fast": "small"})
    body = send(dora, "post", "/aliases", {"name": "small", "target": "gpt"}).json()
    assert "served by gpt" in squeezed(dora.get(PAGE).content.decode())
    assert send(dora, "post", "/aliases", {"name": "small", "target": "x"}).status_code == 409
    changed = send(dora, "patch", f"/aliases/{body['id']}", {"target": "o3"}).json()
    assert send(dora, "get", f"/aliases/{body['id']}").json() == changed
    assert [row["target"] for row in send(dora, "get", "/aliases").json()["items"]] == [
        "small",
        "o3",
    ]
    fast = ModelAlias.objects.get(name="fast")
    path = f"/admin/models/aliases/{fast.id}"
    assert dora.post(path, {"name": "other", "target": "large"}).status_code == 303
    assert all_aliases() == {"fast": "large", "small": "o3"}
    assert dora.post(f"/admin/models/aliases/{fast.id}/remove").status_code == 303
    assert dora.delete(f"{API}/aliases/{body['id']}").status_code == 204
    assert all_aliases() == {}


def test_file_and_export_round_trip(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.apply(FILE)
    assert stored() == {
        "claude": (["gemini"], sorted(FAILURES), "weight"),
        "gpt-*": (["claude", "gemini"], ["error"], "price"),
    }
    exported = installation.export()
    assert "nothing to change" in installation.apply(exported, "--prune")
    # What another order of single steps would refuse halfway.
    turned = "version: 1\naliases: {small: fast, fast: o3}\n"
    installation.apply(turned)
    assert all_aliases() == {"fast": "o3", "small": "fast"}
    with pytest.raises(CommandError, match=r":2: aliases.fast: .*fast → small → fast"):
        installation.apply("version: 1\naliases: {fast: small}\n")
    installation.apply("version: 1\n", "--prune")
    assert (stored(), all_aliases()) == ({}, {})


def test_unchanged_rule_is_no_change() -> None:
    save_rule(SYSTEM, "gpt", fallbacks=["claude"])
    save_rule(SYSTEM, "gpt", fallbacks=["claude"], causes=sorted(FAILURES, reverse=True))
    assert AuditEvent.objects.filter(action="model_rule.saved").count() == 1
