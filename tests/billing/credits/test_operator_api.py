"""Corrections and codes over the management API: who may, once each, and never a secret twice."""

import csv
import io
from typing import Any

import pytest
from django.test import Client

from accounts.models import KeyKind, Role
from billing.balances.balances import balance
from billing.models import Credit, PromoGrant
from tests.support import cast
from tests.support.books import assert_books_balance

USD = 10**9


def api_of(people: cast.Cast, name: str) -> Client:
    user = getattr(people, name, None) or cast.person(name, operator=True)
    if user.operator:
        from accounts.access.actors import SYSTEM
        from accounts.members import members

        members.set_member(people.stranger, user.email, Role.VIEWER, actor=SYSTEM)
        team = people.stranger.teams.get()
    else:
        team = people.stranger.teams.get() if name == "charlie" else people.core
    _, text = cast.make_key(team, f"m-{name}", user=user, kind=KeyKind.MANAGEMENT)
    return cast.with_key(text)


def post(api: Client, path: str, body: Any = None, key: str = "") -> Any:
    headers = {"idempotency-key": key} if key else {}
    return api.post(f"/api/v1{path}", body or {}, content_type="application/json", headers=headers)


CREDIT = {"organisation": "acme", "amount": "500.00", "reason": "Contract"}


def test_two_operators_credit_a_large_sum_once(people: cast.Cast) -> None:
    dora, otto = api_of(people, "dora"), api_of(people, "otto")
    first = post(dora, "/credits", CREDIT, "k1")
    again = post(dora, "/credits", CREDIT, "k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = post(dora, "/credits", {**CREDIT, "amount": "1.00"}, "k1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")
    credit = first.json()["id"]
    assert first.json()["state"] == "waiting"
    path = f"/approvals/{first.json()['approval']}"
    assert post(dora, f"{path}/approve").status_code == 422
    assert post(otto, f"{path}/approve").json()["decided_by"] == "otto@example.org"
    assert post(otto, f"{path}/approve").status_code == 200
    assert post(otto, f"{path}/reject", {"reason": "No"}).status_code == 409
    assert dora.get(f"/api/v1/credits/{credit}").json()["decided_by"] == "otto@example.org"
    assert balance(people.acme).available_nano == 500 * USD
    assert Credit.objects.count() == 1
    assert_books_balance()


def test_posting_is_reversed_over_the_api(people: cast.Cast) -> None:
    dora = api_of(people, "dora")
    post(dora, "/credits", {**CREDIT, "amount": "5.00"})
    ledger = api_of(people, "alice").get("/api/v1/ledger").json()["items"]
    undone = post(dora, f"/postings/{ledger[0]['id']}/reverse", {"reason": "Wrong customer"})
    assert undone.json()["reverses"] == ledger[0]["id"]
    assert balance(people.acme).available_nano == 0


def test_codes_are_made_downloaded_once_and_redeemed(people: cast.Cast) -> None:
    dora, alice = api_of(people, "dora"), api_of(people, "alice")
    batch = post(dora, "/code-batches", {"name": "x", "value": "5.00", "count": 2}, "k").json()
    file = post(dora, f"/code-batches/{batch['id']}/download")
    assert file.headers["Cache-Control"] == "private, no-store"
    rows = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert [row["value"] for row in rows] == ["5.00", "5.00"]
    assert post(dora, f"/code-batches/{batch['id']}/download").status_code == 422
    assert rows[0]["code"] not in dora.get("/api/v1/code-batches").content.decode()
    response = post(alice, "/redemptions", {"code": rows[0]["code"]}, "r1")
    assert response.json()["amount"] == "5.00"
    assert post(alice, "/redemptions", {"code": rows[0]["code"]}, "r1").json() == response.json()
    post(dora, f"/code-batches/{batch['id']}/kill")
    assert post(alice, "/redemptions", {"code": rows[1]["code"]}).status_code == 422
    assert PromoGrant.objects.count() == 1
    assert balance(people.acme).available_nano == 5 * USD
    assert_books_balance()


def test_wrong_codes_are_slowed_down(people: cast.Cast) -> None:
    alice = api_of(people, "alice")
    answers = [post(alice, "/redemptions", {"code": "0" * 28}) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 600


@pytest.mark.parametrize("name", ["alice", "bob", "charlie"])
def test_operations_for_operators_only(people: cast.Cast, name: str) -> None:
    api = api_of(people, name)
    assert api.get("/api/v1/credits").status_code == 403
    assert api.get("/api/v1/code-batches").status_code == 403
    assert post(api, "/credits", CREDIT).status_code == 403
    assert post(api, "/code-batches", {"name": "x", "value": "5", "count": 1}).status_code == 403
    assert balance(people.acme).available_nano == 0


@pytest.mark.parametrize(
    ("over", "status"),
    [
        ({"amount": "5.0000000001"}, 422),
        ({"amount": "0"}, 422),
        ({"amount": 5}, 400),
        ({"amount": "1e3"}, 422),
        ({"amount": "NaN"}, 422),
        ({"amount": "99999999999999999999"}, 422),
        ({"organisation": "nobody"}, 404),
        ({"reason": ""}, 422),
        ({"currency": "EUR"}, 400),
        ({"kind": "gift"}, 422),
    ],
)
def test_credits_that_are_refused(people: cast.Cast, over: Any, status: int) -> None:
    answer = post(api_of(people, "dora"), "/credits", {**CREDIT, **over})
    assert answer.status_code == status, answer.content
    assert balance(people.acme).available_nano == 0
