"""Safeguards (W82): one operator makes them stricter, and only two relax them."""

from typing import Any

import pytest

from accounts.access.actors import Actor
from accounts.models import AuditEvent
from billing.credits.credits import request_credit
from billing.models import Safeguard
from billing.safeguards.rules import is_relaxed
from billing.safeguards.safeguards import (
    approve_safeguard,
    audit_retention_days,
    credit_limit_nano,
    set_safeguard,
)
from lib.refusal import Refused
from tests.support import cast
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db
USD = 10**9
PAGE = "/admin/safeguards"


@pytest.fixture
def otto(people: Cast) -> Actor:
    return cast.actor(cast.person("otto", operator=True))


@pytest.mark.parametrize(
    ("name", "before", "after", "relaxed"),
    [
        ("credit_limit", 100, 101, True),
        ("credit_limit", 100, 99, False),
        ("credit_limit", 100, 0, False),
        ("audit_retention", 0, 3650, True),
        ("audit_retention", 90, 89, True),
        ("audit_retention", 90, 91, False),
        ("audit_retention", 90, 0, False),
        ("credit_limit", 100, 100, False),
        ("audit_retention", 90, 90, False),
        ("audit_retention", 0, 0, False),
    ],
)
def test_which_value_is_stricter(name: str, before: int, after: int, relaxed: bool) -> None:
    assert is_relaxed(name, before, after) is relaxed


def test_one_operator_lowers_the_credit_limit_at_once(people: Cast, dora: Actor) -> None:
    set_safeguard(dora, "credit_limit", 50 * USD)
    assert credit_limit_nano() == 50 * USD
    assert request_credit(dora, people.acme, 51 * USD, reason="r").state == "waiting"
    event = AuditEvent.objects.get(action="safeguard.changed")
    assert (event.detail["before"], event.detail["after"]) == ("100.00", "50.00")


def test_two_operators_raise_it(people: Cast, dora: Actor, otto: Actor) -> None:
    row = set_safeguard(dora, "credit_limit", 500 * USD)
    assert credit_limit_nano() == 100 * USD
    with pytest.raises(Refused, match="Another operator"):
        approve_safeguard(dora, row)
    approve_safeguard(otto, row)
    assert credit_limit_nano() == 500 * USD
    assert request_credit(dora, people.acme, 500 * USD, reason="r").state == "posted"
    with pytest.raises(Refused, match="already decided"):
        approve_safeguard(otto, row)


def test_an_organisation_has_a_limit_of_its_own(people: Cast, dora: Actor, otto: Actor) -> None:
    approve_safeguard(otto, set_safeguard(dora, "credit_limit", 900 * USD, people.acme))
    assert credit_limit_nano(people.acme) == 900 * USD
    assert credit_limit_nano(people.stranger) == credit_limit_nano() == 100 * USD
    assert request_credit(dora, people.acme, 900 * USD, reason="r").state == "posted"
    assert request_credit(dora, people.stranger, 101 * USD, reason="r").state == "waiting"
    with pytest.raises(Refused, match="differs by organisation"):
        set_safeguard(dora, "audit_retention", 0, people.acme)


def test_the_value_that_was_seen_is_approved_and_no_other(
    people: Cast, dora: Actor, otto: Actor
) -> None:
    seen = set_safeguard(dora, "credit_limit", 200 * USD)
    set_safeguard(dora, "credit_limit", 999 * USD)
    with pytest.raises(Refused, match="already decided"):
        approve_safeguard(otto, seen)
    assert credit_limit_nano() == 100 * USD


def test_evidence_is_not_shortened_by_one(people: Cast, otto: Actor) -> None:
    dora = signed_in(people.dora)
    assert dora.post(PAGE, {"name": "audit_retention", "value": "1"}).status_code == 303
    assert audit_retention_days() == 0
    assert "Withdraw" in dora.get(PAGE).content.decode()
    row = Safeguard.objects.get()
    sent = {"proposed": str(row.proposed)}
    assert dora.post(f"{PAGE}/{row.pk}/approve", sent).status_code == 303
    assert audit_retention_days() == 0
    assert otto.user is not None
    assert signed_in(otto.user).post(f"{PAGE}/{row.pk}/approve", {"proposed": "2"}).status_code
    assert audit_retention_days() == 0
    signed_in(otto.user).post(f"{PAGE}/{row.pk}/approve", sent)
    assert audit_retention_days() == 1


def test_the_environment_wins_and_the_page_says_so(
    people: Cast, dora: Actor, settings: Any
) -> None:
    set_safeguard(dora, "credit_limit", 50 * USD)
    settings.CREDIT_LIMIT_USD, settings.AUDIT_RETENTION_DAYS = "300", 30
    assert (credit_limit_nano(), audit_retention_days()) == (300 * USD, 30)
    page = signed_in(people.dora).get(PAGE).content.decode()
    assert "Set by CREDIT_LIMIT_USD in the environment." in page
    assert "Set by AUDIT_RETENTION_DAYS in the environment." in page
    answer = signed_in(people.dora).post(PAGE, {"name": "credit_limit", "value": "5"})
    assert answer.status_code == 422


def test_the_api_proposes_and_decides(people: Cast, otto: Actor) -> None:
    dora = signed_in(people.dora)
    body = {"name": "credit_limit", "organisation": "acme", "value": "250"}
    row = dora.post("/api/v1/safeguards", body, "application/json").json()
    assert (row["value"], row["proposed"]) == (None, "250.00")
    path = f"/api/v1/safeguards/{row['id']}"
    assert dora.post(f"{path}/approve").status_code == 422
    assert dora.get("/api/v1/safeguards").json()["items"] == [row]
    assert dora.post(f"{path}/reject").json()["proposed"] is None
    assert credit_limit_nano(people.acme) == 100 * USD
    for name in ("audit_retention", "credit_limit"):
        for value in ("x", "-1", "9" * 20):
            body = {"name": name, "value": value}
            assert dora.post("/api/v1/safeguards", body, "application/json").status_code == 422
