"""Models, networks and the content log's time in a policy: rules, by API and on pages."""

from typing import Any

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from content.models import Policy
from content.policies import policies
from content.policies.limits import (
    is_model_pattern,
    policy_against_address,
    policy_against_model,
    read_limits,
    retention_max,
)
from content.policies.policies import Assigned, PolicyRefused
from content.policies.sql import LIMITS_OF_KEY
from lib.ids import id_text
from tests.billing.credits.test_operator_api import api_of, post
from tests.support.cast import Cast, actor, make_key, signed_in
from usage.limits.budget_simulation import look_back

CHATS = read_limits("Chats", ["gpt-*", "o3"], [], 48)
OFFICE = read_limits("Office", [], ["10.0.0.0/8", "2001:db8::/32"], None)
FEW = read_limits("Few", ["gpt-5*"], ["10.1.0.0/16"], 6)
NONE = read_limits("None", [], [], None)
ALL = (NONE, CHATS, OFFICE, FEW)


@pytest.mark.parametrize(
    ("model", "against"),
    [("gpt-5", ""), ("gpt-5-mini", ""), ("gpt-4o", "Few"), ("o3", "Few"), ("claude", "Chats")],
)
def test_a_model_must_be_permitted_by_each_policy(model: str, against: str) -> None:
    assert policy_against_model(ALL, model) == against


@pytest.mark.parametrize(
    ("address", "against"),
    [
        ("10.1.2.3", ""), ("::ffff:10.1.2.3", ""), ("10.2.0.1", "Few"), ("2001:db8::1", "Few"),
        ("192.0.2.1", "Office"), ("nowhere", "Office"), ("", "Office"),
    ],
)  # fmt: skip
def test_an_address_must_be_permitted_by_each_policy(address: str, against: str) -> None:
    assert policy_against_address(ALL, address) == against


def test_the_shortest_time_applies() -> None:
    assert retention_max(ALL) == 6
    assert retention_max((CHATS, read_limits("Nothing", [], [], 0))) == 0
    assert retention_max((NONE, OFFICE)) is None


pytestmark = pytest.mark.django_db
LIMITS = {"models": ["gpt-*"], "networks": ["10.0.0.0/8"], "retention_hours": 6}


def test_api_sets_changes_and_ends_limits(people: Cast) -> None:
    alice = api_of(people, "alice")
    made = post(alice, "/policies", {"name": "Narrow", **LIMITS})
    assert made.status_code == 201, made.content
    assert made.json() | LIMITS == made.json()
    path = f"/api/v1/policies/{made.json()['id']}"

    def change(**fields: Any) -> dict[str, Any]:
        answer = alice.patch(path, fields, content_type="application/json")
        assert answer.status_code == 200, answer.content
        return {name: answer.json()[name] for name in LIMITS}

    assert change(name="Narrower") == LIMITS
    assert change(retention_hours=0) == LIMITS | {"retention_hours": 0}
    assert change(retention_hours=None, models=[]) == {
        "models": [], "networks": ["10.0.0.0/8"], "retention_hours": None,
    }  # fmt: skip
    post(alice, "/policies", {"name": "Later", **LIMITS})
    listed = policies.visible_policies(actor(people.alice, people.acme))
    assert [one.name for one in listed] == ["Later", "Narrower"]
    # An address is a network of one.
    assert change(networks=["192.0.2.1"])["networks"] == ["192.0.2.1/32"]
    changes = AuditEvent.objects.filter(action="policy.changed").order_by("id")
    assert changes[1].detail["before"] == {"retention_hours": 6}
    assert changes[1].detail["after"] == {"retention_hours": 0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models", ["two words"]), ("models", ["m"] * 101), ("models", ["x" * 201]),
        ("networks", ["10.0.0.1/8"]), ("networks", ["nowhere"]), ("networks", ["x"] * 101),
        ("retention_hours", -1), ("retention_hours", 8761),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_are_rejected(people: Cast, field: str, value: Any) -> None:
    answer = post(api_of(people, "alice"), "/policies", {"name": "Narrow", field: value})
    assert answer.status_code == 422
    assert field in answer.content.decode()
    assert not Policy.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_patterns", ["two words"]), ("model_patterns", [f"m{n}" for n in range(101)]),
        ("networks", ["10.0.0.1/8"]), ("retention_hours", 8761),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_are_rejected_for_every_caller(
    people: Cast, field: str, value: Any
) -> None:
    with pytest.raises(PolicyRefused):
        policies.create_policy(
            actor(people.alice, people.acme),
            people.acme,
            look_back,
            name="Narrow",
            **{field: value},
        )


@pytest.mark.parametrize(
    ("field", "one"), [("model_patterns", "m{}-*"), ("networks", "10.0.{}.0/24")]
)
def test_policies_together_list_a_bounded_number(people: Cast, field: str, one: str) -> None:
    alice = actor(people.alice, people.acme)
    whole: dict[str, Any] = {field: [one.format(n) for n in range(100)]}
    less: dict[str, Any] = {field: whole[field][:99]}
    single: dict[str, Any] = {field: whole[field][:1]}
    made = [
        policies.create_policy(alice, people.acme, look_back, name=name, **whole) for name in "abc"
    ]
    with pytest.raises(PolicyRefused, match="up to 300"):
        policies.create_policy(alice, people.acme, look_back, name="d", **single)
    policies.change_policy(alice, made[0], look_back, **less)
    policies.create_policy(alice, people.acme, look_back, name="d", **single)
    with pytest.raises(PolicyRefused, match="up to 300"):
        policies.change_policy(alice, made[0], look_back, **whole)
    policies.create_policy(SYSTEM, people.stranger, look_back, name="theirs", **whole)


@pytest.mark.parametrize(
    ("field", "one"), [("model_patterns", "m{}-*"), ("networks", "10.0.{}.0/24")]
)
def test_policy_beyond_the_bound_of_all_can_be_changed_but_not_grow(
    people: Cast, monkeypatch: pytest.MonkeyPatch, field: str, one: str
) -> None:
    """Such as one from before the bound."""
    alice = actor(people.alice, people.acme)
    values = [one.format(n) for n in range(4)]
    three: dict[str, Any] = {field: values[:3]}
    others: dict[str, Any] = {field: values[1:]}
    two: dict[str, Any] = {field: values[:2]}
    policy = policies.create_policy(alice, people.acme, look_back, name="a", **three)
    monkeypatch.setattr(policies, "LISTED_TOGETHER_MAX", 1)
    policies.change_policy(alice, policy, look_back, name="b", **others)
    policies.change_policy(alice, policy, look_back, **two)
    policy.refresh_from_db()
    assert (policy.name, getattr(policy, field)) == ("b", values[:2])
    with pytest.raises(PolicyRefused, match="up to 1 "):
        policies.change_policy(alice, policy, look_back, **three)


@pytest.mark.parametrize(
    ("text", "valid"),
    [("x" * 200, True), ("x" * 201, False), ("", False), ("模型-*", True), ("a\u00a0b", False)],
)
def test_name_of_a_model_has_up_to_200_visible_characters(text: str, valid: bool) -> None:
    assert is_model_pattern(text) is valid


def test_only_policies_with_limits_come_with_a_key(people: Cast) -> None:
    alice, key = actor(people.alice, people.acme), make_key(people.core)[0]
    everywhere = [Assigned("organisation"), Assigned("key", str(key.id))]
    policies.create_policy(alice, people.acme, look_back, name="Plain", assigned=everywhere)
    policies.create_policy(alice, people.acme, look_back, name="Unused", retention_hours=1)
    policies.create_policy(
        alice, people.acme, look_back, name="Narrow", assigned=everywhere, model_patterns=["o3"],
        retention_hours=0,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {LIMITS_OF_KEY} FROM accounts_key key WHERE id = %s", [key.id])
        assert cursor.fetchone()[0] == [["Narrow", ["o3"], [], 0]]


def test_limits_are_set_on_the_page(people: Cast) -> None:
    browser = signed_in(people.alice)
    form = {
        "name": "Narrow", "organisation": "on", "models": "gpt-*, o3", "networks": "10.0.0.0/8",
        "retention_hours": "0",
    }  # fmt: skip
    assert browser.post("/o/acme/policies/new", form).status_code == 303
    policy = Policy.objects.get()
    assert policies.limits_of(policy) == read_limits("Narrow", ["gpt-*", "o3"], ["10.0.0.0/8"], 0)
    path = f"/o/acme/policies/{id_text(policy.id)}"
    page = browser.get(path).content.decode()
    assert 'value="gpt-* o3"' in page
    assert 'name="retention_hours" value="0"' in page
    assert "Models, IP addresses, Content log" in browser.get("/o/acme/policies").content.decode()
    wrong = browser.post(path, form | {"networks": "10.0.0.1/8"})
    assert wrong.status_code == 422
    assert browser.post(path, form | {"retention_hours": "", "models": ""}).status_code == 303
    policy.refresh_from_db()
    assert (policy.model_patterns, policy.retention_hours) == ([], None)
