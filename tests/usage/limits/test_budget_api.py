import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import KeyKind
from lib.ids import id_text
from tests.support.cast import Cast, make_key, with_key
from tests.usage import rows

pytestmark = pytest.mark.django_db

URL = "/api/v1/budgets"


@pytest.fixture
def owner(people: Cast) -> Client:
    return with_key(make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.alice)[1])


def send(client: Client, method: str, url: str, body: Any) -> Any:
    return client.generic(method, url, json.dumps(body), "application/json")


def test_budget_is_made_shown_changed_and_removed(people: Cast, owner: Client) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    body = {"scope": "key", "subject": id_text(key.id), "amount": "5.00", "period": "month"}
    response = send(owner, "POST", URL, body)
    assert response.status_code == 201, response.content
    document = response.json()
    assert document | {"id": "", "starts_at": "", "resets_at": ""} == {
        "id": "", "scope": "key", "subject": id_text(key.id), "subject_name": "ci",
        "amount": "5.00", "period": "month", "anchor": 1, "timezone": "UTC",
        "enabled": True, "spent": "0.00", "held": "0.00",
        "left": "5.00", "starts_at": "", "resets_at": "", "action": "block", "limit": "5.00",
        "alert_percents": [50, 80, 100], "alert_forecast": False, "raised_until": None,
        "forecast_at": None, "policy": None, "policy_name": "",
    }  # fmt: skip
    url = f"{URL}/{document['id']}"
    assert owner.get(url).json() == document
    changed = send(owner, "PATCH", url, {"amount": "7.5"}).json()
    assert (changed["amount"], changed["left"]) == ("7.50", "7.50")
    assert send(owner, "PATCH", url, {"enabled": False}).json()["enabled"] is False
    assert owner.delete(url).status_code == 204
    assert owner.get(url).status_code == 404
    assert owner.get(URL).json()["items"] == []
    back = owner.post(f"{url}/restore")
    assert (back.status_code, back.json()["amount"], back.json()["enabled"]) == (200, "7.50", True)
    assert owner.get(url).json() == back.json()
    assert owner.post(f"{url}/restore").status_code == 404


def test_list_comes_in_pages(people: Cast, owner: Client) -> None:
    for n in range(3):
        body = {"scope": "tag", "subject": f"t{n}", "amount": "1", "period": "day"}
        assert send(owner, "POST", URL, body).status_code == 201
    first = owner.get(URL, {"limit": 2}).json()
    second = owner.get(URL, {"limit": 2, "cursor": first["next"]}).json()
    assert [row["subject"] for row in first["items"] + second["items"]] == ["t0", "t1", "t2"]
    assert second["next"] is None
    assert owner.get(URL, {"scope": "key"}).json()["items"] == []
    for cursor in ("", "x", "9" * 5000):
        assert owner.get(URL, {"cursor": cursor}).status_code == 422


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"amount": "-1"}, "amount"),
        ({"amount": "five"}, "amount"),
        ({"period": "year"}, "period"),
        ({"scope": "galaxy"}, "scope"),
        ({"subject": "nobody"}, "subject"),
        ({"timezone": "Mars"}, "timezone"),
        ({"anchor": 40}, "anchor"),
        ({"wrong": 1}, "wrong"),
    ],
)
def test_wrong_input_is_named(owner: Client, over: dict[str, Any], param: str) -> None:
    body = {"scope": "team", "subject": "core", "amount": "1", "period": "month"} | over
    answer = send(owner, "POST", URL, body)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1,5", 'Invalid value for amount: expected a plain decimal such as "12.50".'),
        (5, "Invalid value for amount: it must be a string in quotes."),
    ],
)
def test_invalid_amount_is_explained_for_people(owner: Client, amount: Any, text: str) -> None:
    body = {"scope": "team", "subject": "core", "amount": amount, "period": "month"}
    assert send(owner, "POST", URL, body).json()["error"]["message"] == text


def test_developer_reads_its_own_and_writes_none(people: Cast, owner: Client) -> None:
    key, text = make_key(people.core, "ci", user=people.bob)
    rows.credit(key)
    for subject in (id_text(key.id), id_text(make_key(people.core, "x", user=people.alice)[0].id)):
        body = {"scope": "key", "subject": subject, "amount": "5.00", "period": "total"}
        assert send(owner, "POST", URL, body).status_code == 201
    bob = with_key(make_key(people.core, "bm", kind=KeyKind.MANAGEMENT, user=people.bob)[1])
    for client in (bob, with_key(text)):
        (only,) = client.get(URL).json()["items"]
        assert (only["subject"], only["subject_name"]) == (id_text(key.id), "ci")
        assert send(client, "POST", URL, body).status_code == 403
        assert send(client, "PATCH", f"{URL}/{only['id']}", {"amount": "9"}).status_code == 403
        assert client.delete(f"{URL}/{only['id']}").status_code == 403
    stranger = make_key(
        people.stranger.teams.get(), "s", kind=KeyKind.MANAGEMENT, user=people.charlie
    )
    assert with_key(stranger[1]).get(f"{URL}/{only['id']}").status_code == 404
