"""The management API of plans, and of who is on one."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent
from tests.support.cast import Cast, person, signed_in

pytestmark = pytest.mark.django_db

URL = "/api/v1/plans"


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def send(api: Client, verb: str, path: str, fields: dict[str, Any]) -> Any:
    return getattr(api, verb)(f"{URL}{path}", fields, content_type="application/json")


def create_plan(api: Client, name: str = "reseller", **over: Any) -> dict[str, Any]:
    answer = send(api, "post", "", {"name": name, **over})
    assert answer.status_code == 201, answer.content
    plan: dict[str, Any] = answer.json()
    return plan


def holders(api: Client, plan: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.get(f"{URL}/{plan['id']}/holders").json()["items"]
    return items


def test_a_plan_is_made_changed_and_deleted(dora: Client) -> None:
    plan = create_plan(dora, multiplier="1.07", models=["gpt-*"])
    assert (plan["multiplier"], plan["models"]) == ("1.07", ["gpt-*"])
    path = f"/{plan['id']}"
    changed = send(dora, "patch", path, {"models": []}).json()
    assert (changed["multiplier"], changed["models"]) == ("1.07", [])
    changed = send(dora, "patch", path, {"multiplier": "0.9"}).json()
    assert (changed["multiplier"], changed["waiting_multiplier"]) == ("0.9", None)
    assert dora.get(URL).json()["items"] == [changed]
    assert dora.delete(f"{URL}{path}").status_code == 204
    assert dora.get(f"{URL}{path}").status_code == 404
    assert AuditEvent.objects.filter(action="plan.saved").count() == 3


def test_organisations_teams_and_members_are_put_on_a_plan_and_taken_off(
    people: Cast, dora: Client
) -> None:
    plan = create_plan(dora)
    path = f"/{plan['id']}/holders"
    for holder in ({}, {"team": "core"}, {"member": "BOB@example.org"}):
        answer = send(dora, "put", path, {"organisation": "acme", **holder})
        assert (answer.status_code, answer.json()["waiting"]) == (200, False)
    messages = [(row["organisation"], row["team"], row["member"]) for row in holders(dora, plan)]
    assert messages == [
        ("acme", None, None),
        ("acme", "core", None),
        ("acme", None, "bob@example.org"),
    ]
    counts = dora.get(f"{URL}/{plan['id']}").json()
    assert (counts["organisations"], counts["teams"], counts["members"]) == (1, 1, 1)
    in_use = dora.delete(f"{URL}/{plan['id']}")
    assert (in_use.status_code, in_use.json()["error"]["param"]) == (422, "id")
    off = {"organisation": "acme", "team": "core", "on": False}
    assert send(dora, "put", path, off).status_code == 200
    assert len(holders(dora, plan)) == 2
    again = send(dora, "put", path, off)
    assert (again.status_code, again.json()["error"]["param"]) == (422, "on")


def test_a_deep_cut_waits_for_a_second_operator(people: Cast, dora: Client) -> None:
    second = signed_in(person("otto", operator=True))
    plan, cheap = create_plan(dora), create_plan(dora, "cheap", multiplier="0.1")
    on = {"organisation": "acme", "team": "core"}
    assert send(dora, "put", f"/{cheap['id']}/holders", on).json()["waiting"] is True
    assert holders(dora, cheap) == []
    assert send(second, "put", f"/{cheap['id']}/holders", on).json()["waiting"] is False
    assert len(holders(dora, cheap)) == 1
    send(dora, "put", f"/{plan['id']}/holders", {"organisation": "acme"})
    asked = send(dora, "patch", f"/{plan['id']}", {"multiplier": "0.2"}).json()
    assert (asked["multiplier"], asked["waiting_multiplier"]) == ("1", "0.2")
    done = send(second, "patch", f"/{plan['id']}", {"multiplier": "0.2"}).json()
    assert (done["multiplier"], done["waiting_multiplier"]) == ("0.2", None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"organisation": "none-such"}, "organisation"),
        ({"organisation": "acme", "team": "none-such"}, "team"),
        ({"organisation": "acme", "member": "charlie@example.org"}, "member"),
        ({"organisation": "acme", "team": "core", "member": "bob@example.org"}, "member"),
    ],
)
def test_a_holder_that_is_none_is_named(dora: Client, fields: dict[str, Any], field: str) -> None:
    refused = send(dora, "put", f"/{create_plan(dora)['id']}/holders", fields)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, field)


def test_a_wrong_plan_is_named_and_members_reach_none(people: Cast, dora: Client) -> None:
    plan = create_plan(dora)
    for inputs, status, field in (
        ({"name": "reseller"}, 409, "name"),
        ({"name": "x", "multiplier": "-1"}, 422, "multiplier"),
    ):
        refused = send(dora, "post", "", inputs)
        assert (refused.status_code, refused.json()["error"]["param"]) == (status, field)
    alice = signed_in(people.alice)
    for path in ("", f"/{plan['id']}", f"/{plan['id']}/holders"):
        assert alice.get(f"{URL}{path}").status_code == 403
