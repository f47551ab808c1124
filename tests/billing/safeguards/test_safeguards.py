"""Safeguards (W82): one operator makes them stricter, and only two relax them."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.access.actors import Actor
from accounts.models import AuditEvent
from billing.approvals.approvals import decide
from billing.credits.credits import request_credit
from billing.models import Approval, Safeguard
from billing.safeguards.rules import is_relaxed, is_valid
from billing.safeguards.safeguards import (
    SAFEGUARD,
    audit_retention_days,
    credit_limit_nano,
    set_safeguard,
)
from lib.refusal import Refused
from tests.support import cast
from tests.support.approving import approve, waiting_approval
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
def test_stricter_value(name: str, before: int, after: int, relaxed: bool) -> None:
    assert is_relaxed(name, before, after) is relaxed


@pytest.mark.parametrize(("name", "most"), [("credit_limit", 10**18), ("audit_retention", 36_500)])
def test_a_safeguard_is_from_0_to_its_most(name: str, most: int) -> None:
    assert [is_valid(name, value) for value in (-1, 0, most, most + 1)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_one_operator_lowers_the_credit_limit_immediately(people: Cast, dora: Actor) -> None:
    set_safeguard(dora, "credit_limit", 50 * USD)
    assert credit_limit_nano() == 50 * USD
    assert request_credit(dora, people.acme, 51 * USD, reason="r").state == "waiting"
    event = AuditEvent.objects.get(action="safeguard.changed")
    assert (event.detail["before"], event.detail["after"]) == ("100.00", "50.00")


def test_two_operators_raise_it(people: Cast, dora: Actor, otto: Actor) -> None:
    approval = waiting_approval(SAFEGUARD, set_safeguard(dora, "credit_limit", 500 * USD))
    assert credit_limit_nano() == 100 * USD
    with pytest.raises(Refused, match="Another operator"):
        decide(dora, approval, approve=True)
    decide(otto, approval, approve=True)
    assert credit_limit_nano() == 500 * USD
    assert request_credit(dora, people.acme, 500 * USD, reason="r").state == "posted"
    with pytest.raises(Refused, match="already decided"):
        decide(otto, approval, approve=False, reason="No")


def test_an_organisation_has_a_limit_of_its_own(people: Cast, dora: Actor, otto: Actor) -> None:
    approve(otto, SAFEGUARD, set_safeguard(dora, "credit_limit", 900 * USD, people.acme))
    assert credit_limit_nano(people.acme) == 900 * USD
    assert credit_limit_nano(people.stranger) == credit_limit_nano() == 100 * USD
    assert request_credit(dora, people.acme, 900 * USD, reason="r").state == "posted"
    assert request_credit(dora, people.stranger, 101 * USD, reason="r").state == "waiting"
    with pytest.raises(Refused, match="differs by organisation"):
        set_safeguard(dora, "audit_retention", 0, people.acme)


@pytest.mark.parametrize(
    ("own", "for_all", "asked", "alone"),
    [
        # Without a value of its own, the value for all is in force.
        (None, 100, 101, False),
        (None, 100, 99, True),
        # A stricter one of its own is relaxed by two, even as far as the value for all.
        (50, 100, 51, False),
        (50, 100, 100, False),
        (50, 100, 49, True),
        (0, 100, 1, False),
        # A higher one of its own is made stricter by one, even above the value for all.
        (900, 100, 500, True),
        (900, 100, 901, False),
        # So is it if the environment sets the value for all.
        (50, "300", 51, False),
        (50, "20", 49, True),
    ],
)
def test_a_value_is_relaxed_from_the_one_in_force(
    people: Cast, dora: Actor, settings: Any, own: int | None, for_all: int | str, asked: int,
    alone: bool,
) -> None:  # fmt: skip
    if isinstance(for_all, str):
        settings.CREDIT_LIMIT_USD = for_all
    if own is not None:
        Safeguard.objects.create(name="credit_limit", organisation=people.acme, value=own * USD)
    before = credit_limit_nano(people.acme)
    set_safeguard(dora, "credit_limit", asked * USD, people.acme)
    assert credit_limit_nano(people.acme) == (asked * USD if alone else before)
    assert Approval.objects.filter(state="waiting").exists() is not alone


def test_only_the_displayed_value_is_approved(people: Cast, dora: Actor, otto: Actor) -> None:
    seen = waiting_approval(SAFEGUARD, set_safeguard(dora, "credit_limit", 200 * USD))
    set_safeguard(dora, "credit_limit", 999 * USD)
    with pytest.raises(Refused, match="already decided"):
        decide(otto, seen, approve=True)
    assert credit_limit_nano() == 100 * USD


def test_a_change_that_is_no_longer_the_same_is_refused(
    people: Cast, dora: Actor, otto: Actor, settings: Any
) -> None:
    """What is approved is the step that was requested, from the value to the value."""
    asked = waiting_approval(SAFEGUARD, set_safeguard(dora, "credit_limit", 200 * USD))
    settings.CREDIT_LIMIT_USD = "50"
    with pytest.raises(Refused, match="no longer what was requested"):
        decide(otto, asked, approve=True)
    settings.CREDIT_LIMIT_USD = ""
    assert credit_limit_nano() == 100 * USD


def test_two_who_set_the_same_value_have_agreed(people: Cast, dora: Actor, otto: Actor) -> None:
    for _ in range(2):
        set_safeguard(dora, "credit_limit", 200 * USD)
    assert credit_limit_nano() == 100 * USD
    set_safeguard(otto, "credit_limit", 200 * USD)
    assert credit_limit_nano() == 200 * USD
    assert Approval.objects.get().decided_by == otto.user


def test_a_stricter_value_ends_what_waits(people: Cast, dora: Actor, otto: Actor) -> None:
    asked = waiting_approval(SAFEGUARD, set_safeguard(dora, "credit_limit", 200 * USD))
    set_safeguard(otto, "credit_limit", 50 * USD)
    with pytest.raises(Refused, match="already decided"):
        decide(otto, asked, approve=True)
    assert credit_limit_nano() == 50 * USD


def test_one_person_cannot_shorten_evidence(people: Cast, otto: Actor) -> None:
    dora = signed_in(people.dora)
    assert dora.post(PAGE, {"name": "audit_retention", "value": "1"}).status_code == 303
    assert audit_retention_days() == 0
    page = f"/admin/approvals/{waiting_approval(SAFEGUARD, Safeguard.objects.get()).outer_id}"
    assert page in dora.get(PAGE).content.decode()
    assert "Withdraw" in dora.get(page).content.decode()
    assert dora.post(f"{page}/decide", {"act": "approve"}).status_code == 422
    assert audit_retention_days() == 0
    assert otto.user is not None
    assert signed_in(otto.user).post(f"{page}/decide", {"act": "approve"}).status_code == 303
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
    path = f"/api/v1/approvals/{row['approval']}"
    sent: Any = ({}, "application/json")
    assert dora.post(f"{path}/approve", *sent).status_code == 422
    assert dora.get("/api/v1/safeguards").json()["items"] == [row]
    assert dora.post(f"{path}/reject", *sent).json()["state"] == "withdrawn"
    assert dora.get("/api/v1/safeguards").json()["items"][0]["proposed"] is None
    assert credit_limit_nano(people.acme) == 100 * USD
    for name in ("audit_retention", "credit_limit"):
        for value in ("x", "-1", "9" * 20):
            body = {"name": name, "value": value}
            assert dora.post("/api/v1/safeguards", body, "application/json").status_code == 422


def test_one_query_finds_what_waits_for_every_safeguard(people: Cast, dora: Actor) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as made:
            assert browser.get(PAGE).status_code == 200
            assert browser.get("/api/v1/safeguards").status_code == 200
        return len(made)

    browser = signed_in(people.dora)
    set_safeguard(dora, "credit_limit", 200 * USD)
    statements()
    few = statements()
    for organisation in (people.acme, people.stranger):
        set_safeguard(dora, "credit_limit", 900 * USD, organisation)
    assert statements() == few
