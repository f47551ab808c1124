"""Decisions on changes that wait: once, by another person, and only what was requested."""

import datetime as dt
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

import config.urls  # noqa: F401 - every noun registers its kind
from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor, actor_of_member
from accounts.models import AuditEvent, Key, KeyKind
from billing.approvals.approvals import KINDS, Line, count_for, decide, waiting
from billing.balances.balances import balance
from billing.credits.credits import CORRECTION, request_credit
from billing.invoices.invoices import propose_note
from billing.models import Approval, Credit, InvoiceKind, Plan
from billing.price_plans import price_plans
from billing.price_plans.price_plans import SecondPersonNeeded
from config.home.attention import installation_attention
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from outbox.models import Fact
from tests.support import cast
from tests.support.approving import reject, waiting_approval
from tests.support.books import assert_books_balance
from tests.support.invoicing import empty_invoice
from tests.support.waiting_locks import await_waiting

USD = 10**9
API = "/api/v1/approvals"
PAGE = "/admin/approvals"


@pytest.fixture
def otto(people: cast.Cast) -> Actor:
    return cast.actor(cast.person("otto", operator=True))


@pytest.fixture
def asked(people: cast.Cast, dora: Actor) -> Approval:
    return waiting_approval(
        CORRECTION, request_credit(dora, people.acme, 500 * USD, reason="Contract")
    )


def test_every_kind_that_needs_two_is_in_the_one_list() -> None:
    assert set(KINDS) == {
        "correction", "invoice", "plan", "price", "safeguard", "top_up", "trial_credit",
    }  # fmt: skip


def test_nobody_approves_their_own_change_in_any_way(
    people: cast.Cast, asked: Approval, otto: Actor
) -> None:
    """Not by a key, not by a key in another organisation, and not as an operator no more."""
    cast.make_key(people.core, "m", user=people.dora, kind=KeyKind.MANAGEMENT)
    own = actor_of_member(people.dora, people.stranger, None, Key.objects.get(name="m"))
    for actor in (cast.actor(people.dora), own):
        with pytest.raises(Refused, match="requested this yourself"):
            decide(actor, asked, approve=True)
    with pytest.raises(Refused, match="Only a person"):
        decide(SYSTEM, asked, approve=True)
    assert otto.user is not None
    otto.user.operator = False
    otto.user.save()
    with pytest.raises(AccessDenied):
        decide(cast.actor(otto.user), asked, approve=True)
    assert balance(people.acme).available_nano == 0


def test_warning_is_confirmed_to_approve_and_not_to_reject(
    people: cast.Cast, asked: Approval, otto: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a change would do is shown until it is decided on."""
    kind = replace(
        KINDS[CORRECTION],
        warn=lambda row: "Twice the usual",
        effects=lambda row: [Line("Then", "", "7")],
    )
    monkeypatch.setitem(KINDS, CORRECTION, kind)
    assert otto.user is not None
    browser, page = cast.signed_in(otto.user), f"{PAGE}/{asked.outer_id}"
    text = browser.get(page).content.decode()
    assert ("Twice the usual" in text, "Then" in text) == (True, True)
    refused = browser.post(f"{page}/decide", {"act": "approve", "reason": ""})
    assert (refused.status_code, b"Confirm that this is intended" in refused.content) == (422, True)
    done = browser.post(f"{page}/decide", {"act": "reject", "reason": "Too much"})
    assert done.status_code == 303
    text = browser.get(page).content.decode()
    assert ("Twice the usual" in text, "Then" in text) == (False, False)


def test_a_rejection_needs_a_reason_that_is_kept(
    people: cast.Cast, asked: Approval, otto: Actor
) -> None:
    with pytest.raises(Refused, match="Enter a reason") as refused:
        decide(otto, asked, approve=False, reason=" ")
    assert refused.value.field == "reason"
    assert decide(otto, asked, approve=False, reason="Not agreed").answer == "Not agreed"
    event = AuditEvent.objects.get(action="approval.rejected")
    assert (event.reason, event.detail["asked_by"]) == ("Not agreed", "dora@example.org")
    assert event.organisation is None
    assert Fact.objects.filter(kind="credit.posted").count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_who_decide_at_once_decide_once(people: cast.Cast, asked: Approval) -> None:
    deciders = [cast.actor(cast.person(name, operator=True)) for name in ("otto", "eve")]
    together = threading.Barrier(2)
    results: list[str | bool] = []

    def act(actor: Actor) -> None:
        try:
            together.wait()
            results.append(decide(actor, asked, approve=True).state)
        except Refused as refused:
            results.append(refused.already_exists)
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(actor,)) for actor in deciders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == ["True", "approved"]
    assert balance(people.acme).available_nano == 500 * USD
    assert_books_balance()


def test_the_page_counts_and_filters_what_waits(
    people: cast.Cast, asked: Approval, dora: Actor, otto: Actor
) -> None:
    assert (count_for(dora), count_for(otto)) == (0, 1)
    assert otto.user is not None
    browser = cast.signed_in(otto.user)
    page = browser.get(PAGE).content.decode()
    assert f"{PAGE}/{asked.outer_id}" in page
    assert "Amount: +$500.00" in page
    texts = [matter.text for matter in installation_attention(otto)]
    assert "1 change is waiting for you" in texts
    for query, shown in (
        ("kind=correction", True), ("kind=price", False), ("state=approved", False),
        ("state=any", True), ("q=contract", True), ("q=otto", False),
    ):  # fmt: skip
        found = asked.outer_id in browser.get(f"{PAGE}?{query}").content.decode()
        assert found is shown, query
    refused = browser.post(f"{PAGE}/{asked.outer_id}/decide", {"act": "reject"})
    assert refused.status_code == 422
    assert "Enter a reason" in refused.content.decode()
    browser.post(f"{PAGE}/{asked.outer_id}/decide", {"act": "reject", "reason": "No"})
    assert Credit.objects.get().state == "refused"
    assert "Nothing is waiting" in browser.get(PAGE).content.decode()


def test_the_api_lists_what_waits(people: cast.Cast, asked: Approval, otto: Actor) -> None:
    assert otto.user is not None
    api = cast.signed_in(otto.user)
    body: Any = api.get(f"{API}?state=waiting&kind=correction").json()
    assert body["items"] == [api.get(f"{API}/{asked.outer_id}").json()]
    row = body["items"][0]
    assert (row["about"], row["organisation"], row["reason"]) == ("Acme", "acme", "Contract")
    assert row["changes"][0] == {"name": "amount", "before": None, "after": "500.00"}
    assert api.get(f"{API}?kind=gift").json()["error"]["param"] == "kind"
    refused = api.post(f"{API}/{asked.outer_id}/reject", {}, "application/json")
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "reason")


@pytest.mark.django_db(transaction=True)
def test_a_plan_keeps_its_multiplier_while_it_is_approved(
    people: cast.Cast, dora: Actor, otto: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody lowers it alone, as that of a plan nobody is on, before the approval is committed."""
    price_plans.save_plan(dora, "sale", multiplier_ppm=400_000)
    with pytest.raises(SecondPersonNeeded):
        price_plans.assign_plan(dora, people.acme, "sale")
    refused: list[bool] = []

    def lower() -> None:
        try:
            price_plans.save_plan(dora, "sale", multiplier_ppm=1_000)
        except SecondPersonNeeded:
            refused.append(True)
        finally:
            connection.close()

    other = threading.Thread(target=lower)

    def assign(*arguments: Any) -> None:
        other.start()
        await_waiting()
        real(*arguments)

    real = price_plans._assign
    monkeypatch.setattr(price_plans, "_assign", assign)
    asked = waiting("plan", f"organisation:{people.acme.id}")
    assert asked is not None
    decide(otto, asked, approve=True)
    other.join()
    assert refused == [True]
    assert Plan.objects.get().multiplier_ppm == 400_000


def test_only_approve_and_reject_decide(people: cast.Cast, asked: Approval, otto: Actor) -> None:
    assert otto.user is not None
    browser = cast.signed_in(otto.user)
    for act in ("", "Approve", "withdraw"):
        page = browser.post(f"{PAGE}/{asked.outer_id}/decide", {"act": act, "reason": "No"})
        assert page.status_code == 422, act
    asked.refresh_from_db()
    assert asked.state == "waiting"


def test_a_withdrawn_note_is_not_linked(people: cast.Cast, dora: Actor, otto: Actor) -> None:
    """It no longer exists. While it waits, its page is linked."""
    assert dora.user is not None
    assert otto.user is not None
    invoice = empty_invoice(people.acme, dora.user, otto.user)
    note = propose_note(dora, invoice, InvoiceKind.DEBIT_NOTE, USD, "Missed")
    browser, link = cast.signed_in(otto.user), f'href="/admin/invoices/{id_text(note.id)}"'
    page = f"{PAGE}/{waiting_approval('invoice', note).outer_id}"
    assert link in browser.get(page).content.decode()
    reject(otto, "invoice", note)
    assert link not in browser.get(page).content.decode()


def test_the_list_begins_with_what_was_requested_last(
    people: cast.Cast, dora: Actor, otto: Actor
) -> None:
    """By the time of the request: a moved one is older than its row."""
    assert otto.user is not None
    for days in (1, 2):
        credit = request_credit(dora, people.acme, 500 * USD, reason=f"Of {days} days ago")
        Approval.objects.filter(subject=credit.outer_id).update(
            asked_at=clock.now() - dt.timedelta(days=days)
        )
    page = cast.signed_in(otto.user).get(PAGE).content.decode()
    assert page.index("Of 1 days ago") < page.index("Of 2 days ago")
