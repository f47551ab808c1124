"""W30 to W85: what a page offers to do about one thing follows from its state: no button that would
be refused, and none missing that is needed."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import Key
from accounts.organisations import teams
from billing.models import (
    Approval,
    Budget,
    BudgetRaise,
    CodeBatch,
    Invoice,
    InvoiceDue,
    Subscription,
    SubscriptionPlan,
    TopUp,
)
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.invoicing import empty_invoice
from usage.limits import budget_simulation
from usage.models import Export, SavedView

pytestmark = pytest.mark.django_db

USD: Final = 10**9
DAY: Final = dt.timedelta(days=1)


class Shown(NamedTuple):
    """A page, who opens it, and what it may offer: by word, the text in its HTML."""

    who: str
    address: str
    marks: Mapping[str, str]


Made = Callable[..., Shown]
MAKERS: Final[dict[str, Made]] = {}


def page_of(make: Made) -> Made:
    MAKERS[make.__name__] = make
    return make


@page_of
def top_up(people: cast.Cast, **over: Any) -> Shown:
    fields = {"processor": "stripe", "checkout_url": "https://pay.example/7", **over}
    row = TopUp.objects.create(organisation=people.acme, live=True, amount_nano=9 * USD, **fields)
    page = f"/o/acme/billing/top-ups/{row.outer_id}"
    return Shown("alice", page, {
        "receipt": f'href="{page}/receipt"',
        "again": 'data-kind="primary" href="/o/acme/billing/top-up"',
        "pay": 'href="https://pay.example/7"', "cancel": f'action="{page}/cancel"',
        "reference": 'id="reference"', "asks again": 'hx-trigger="every 2s"',
    })  # fmt: skip


@page_of
def payment(people: cast.Cast, *, asked: bool = False, **over: Any) -> Shown:
    row = TopUp.objects.create(
        organisation=people.acme, live=True, amount_nano=9 * USD,
        **{"processor": "manual", **over},
    )  # fmt: skip
    approval = Approval(id=new_id())
    if asked:
        approval = Approval.objects.create(
            kind="top_up", subject=row.outer_id, about="Acme", changes=[], asked_by=people.dora
        )
    page = f"/admin/payments/{row.outer_id}"
    return Shown("dora", "/admin/payments", {
        "confirm": f'href="{page}/confirm"', "refuse": f'action="{page}/refuse"',
        "decide": f'href="/admin/approvals/{approval.outer_id}"',
    })  # fmt: skip


@page_of
def batch(people: cast.Cast, **over: Any) -> Shown:
    row = CodeBatch.objects.create(name="Spring", value_nano=USD, count=2, **over)
    page = f"/admin/codes/{id_text(row.id)}"
    return Shown("dora", "/admin/codes", {
        "download": f'action="{page}/download"', "disable": f'href="{page}/kill"',
    })  # fmt: skip


@page_of
def document(people: cast.Cast, *, due: bool = False, **over: Any) -> Shown:
    closed = over.get("state") == "closed"
    row = empty_invoice(people.acme, *((people.dora, people.alice) if closed else ()))
    if not closed:
        Invoice.objects.filter(id=row.id).update(**over)
    if due:
        InvoiceDue.objects.create(invoice=row, left_nano=USD)
    page = f"/admin/invoices/{id_text(row.id)}"
    return Shown("dora", page, {
        "record a payment": f'href="{page}/payment"', "note": f'href="{page}/note"',
        "propose": f'action="{page}/propose"',
    })  # fmt: skip


@page_of
def increase(people: cast.Cast, *, who: str = "alice", **over: Any) -> Shown:
    budget = Budget.objects.first() or budget_simulation.create_budget(
        SYSTEM, people.acme, scope="team", subject=str(people.core.id), amount_nano=9 * USD,
        period="month",
    )  # fmt: skip
    row = BudgetRaise.objects.create(
        budget=budget, amount_nano=USD, until=clock.now() + DAY, reason="r",
        asked_by=people.bob if who == "bob" else people.dora, **over,
    )  # fmt: skip
    page = f"/o/acme/budgets/requests/{id_text(row.id)}"
    return Shown(who, page, {
        "approve": f'action="{page}/approve"', "reject": f'formaction="{page}/deny"',
        "end": f'action="{page}/end"',
    })  # fmt: skip


@page_of
def subscription(people: cast.Cast, **over: Any) -> Shown:
    plan = SubscriptionPlan.objects.create(
        name="Gold", price_nano=USD, included_nano=USD, state="offered"
    )
    if over:
        Subscription.objects.create(
            organisation=people.acme, plan=plan, zone="UTC", started_at=clock.now(),
            month=clock.now().date().replace(day=1), **over,
        )  # fmt: skip
    page = "/o/acme/billing/plan"
    return Shown("alice", page, {
        "cancel": f'action="{page}/cancel"', "resume": f'action="{page}/resume"',
        "choose": f'value="{plan.id}"', "top up": 'href="/o/acme/billing/top-up"',
    })  # fmt: skip


@page_of
def offered_plan(people: cast.Cast, **over: Any) -> Shown:
    plan = SubscriptionPlan.objects.create(
        name=over["state"], price_nano=USD, included_nano=0, **over
    )
    page = f"/admin/subscription-plans/{plan.outer_id}"
    return Shown("dora", "/admin/subscription-plans", {
        "offer": f'action="{page}/offer"', "archive": f'action="{page}/archive"',
    })  # fmt: skip


@page_of
def key(people: cast.Cast, **over: Any) -> Shown:
    made, _ = cast.make_key(people.core, f"ci {Key.objects.count()}", user=people.bob)
    Key.objects.filter(id=made.id).update(**over)
    page = f"/o/acme/keys/{id_text(made.id)}"
    return Shown("alice", page, {
        "edit": f'href="{page}/edit"', "rotate": f'href="{page}/rotate"',
        "enable": f'action="{page}/enable"', "disable": f'action="{page}/disable"',
        "revoke": f'href="{page}/revoke"',
    })  # fmt: skip


@page_of
def export(people: cast.Cast, **over: Any) -> Shown:
    row = Export.objects.create(
        organisation=people.acme, user=people.alice, form="csv", query="range=30d", language="en",
        **over,
    )  # fmt: skip
    page = f"/o/acme/exports/{id_text(row.id)}"
    return Shown("alice", "/o/acme/exports", {
        "download": f'href="{page}/file"', "delete": f'action="{page}/delete"',
    })  # fmt: skip


@page_of
def view(people: cast.Cast, *, whose: str = "alice", **over: Any) -> Shown:
    row = SavedView.objects.create(
        organisation=people.acme, user=getattr(people, whose), name="Spend", shared=True, **over
    )
    page = f"/o/acme/views/{id_text(row.id)}"
    return Shown("alice", "/o/acme/views", {
        "edit": f'href="{page}"', "report": f'href="{page}/report"',
        "delete": f'action="{page}/delete"',
    })  # fmt: skip


@page_of
def team(people: cast.Cast, *, archived: bool = False) -> Shown:
    made = teams.create_team(people.acme, f"Second {archived}", actor=SYSTEM)
    if archived:
        teams.archive_team(made, actor=SYSTEM)
    page = f"/o/acme/teams/{made.slug}"
    return Shown("alice", page, {
        "edit": f'href="{page}/edit"', "create a project": f'href="{page}/projects/new"',
        "add a member": f'href="{page}/members/add"',
    })  # fmt: skip


_SOON: Final = clock.now() + 9 * DAY
_PAST: Final = clock.now() - 9 * DAY
STATES: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("top_up", {"state": "ordered"}, "pay, asks again"),
    ("top_up", {"state": "pending"}, "asks again"),
    ("top_up", {"state": "paid", "payment_id": "p"}, "receipt"),
    ("top_up", {"state": "failed"}, "again"),
    ("top_up", {"state": "expired"}, "again"),
    ("top_up", {"state": "cancelled"}, "again"),
    ("top_up", {"processor": "manual", "checkout_url": ""}, "cancel, reference, asks again"),
    (
        "top_up",
        {"processor": "manual", "state": "pending", "payment_id": "p", "checkout_url": ""},
        "asks again",
    ),
    ("payment", {"state": "ordered"}, "confirm, refuse"),
    ("payment", {"state": "pending", "payment_id": "p1"}, "confirm, refuse"),
    ("payment", {"state": "pending", "payment_id": "p2", "asked": True}, "decide, refuse"),
    ("payment", {"state": "paid", "payment_id": "p3"}, ""),
    ("payment", {"state": "cancelled"}, ""),
    ("payment", {"processor": "stripe", "state": "ordered"}, ""),
    ("batch", {}, "download, disable"),
    ("batch", {"downloaded_at": _PAST}, "disable"),
    ("batch", {"downloaded_at": _PAST, "killed_at": _PAST}, ""),
    ("document", {"state": "draft"}, "propose"),
    ("document", {"state": "proposed"}, ""),
    ("document", {"state": "closed"}, "note"),
    ("document", {"state": "closed", "due": True}, "note, record a payment"),
    ("increase", {}, "approve, reject"),
    ("increase", {"who": "bob"}, ""),
    ("increase", {"state": "approved"}, "end"),
    ("increase", {"state": "denied", "answer": "no"}, ""),
    ("increase", {"state": "ended"}, ""),
    ("subscription", {}, "choose"),
    ("subscription", {"state": "active"}, "cancel"),
    ("subscription", {"state": "active", "cancelled_at": _PAST}, "resume"),
    ("subscription", {"state": "unpaid", "unpaid_since": _PAST}, "cancel, top up"),
    ("offered_plan", {"state": "draft"}, "offer, archive"),
    ("offered_plan", {"state": "offered"}, "archive"),
    ("offered_plan", {"state": "archived"}, "offer"),
    ("key", {}, "edit, rotate, disable, revoke"),
    ("key", {"disabled": True}, "edit, rotate, enable, revoke"),
    ("key", {"expires_at": _PAST}, "edit, revoke"),
    ("key", {"revoked_at": _PAST}, ""),
    ("export", {"state": "queued"}, "delete"),
    ("export", {"state": "running"}, "delete"),
    ("export", {"state": "done", "expires_at": _SOON}, "download, delete"),
    ("export", {"state": "done", "expires_at": _PAST}, "delete"),
    ("export", {"state": "failed"}, "delete"),
    ("view", {"page": "usage"}, "edit, report, delete"),
    ("view", {"page": "requests"}, "edit, delete"),
    ("view", {"page": "usage", "whose": "bob"}, ""),
    ("team", {}, "edit, create a project, add a member"),
    ("team", {"archived": True}, "edit"),
]


# Their pages show one at a time.
ALONE: Final = {"subscription"}
GROUPS: Final = [
    *(
        [row for row in STATES if row[0] == thing]
        for thing in dict.fromkeys(thing for thing, _, _ in STATES)
        if thing not in ALONE
    ),
    *([row] for row in STATES if row[0] in ALONE),
]


@pytest.mark.parametrize("rows", GROUPS, ids=[f"{rows[0][0]}-{n}" for n, rows in enumerate(GROUPS)])
def test_page_offers_what_the_state_allows(
    people: cast.Cast, rows: list[tuple[str, dict[str, Any], str]]
) -> None:
    shown = [MAKERS[thing](people, **over) for thing, over, _ in rows]
    clients = {who: cast.signed_in(getattr(people, who)) for who in {one.who for one in shown}}
    pages: dict[tuple[str, str], str] = {}
    for one, (thing, over, offered) in zip(shown, rows, strict=True):
        if (one.who, one.address) not in pages:
            answer = clients[one.who].get(one.address)
            assert answer.status_code == 200
            pages[one.who, one.address] = " ".join(answer.content.decode().split())
        html = pages[one.who, one.address]
        found = {word for word, mark in one.marks.items() if mark in html}
        assert found == set(filter(None, offered.split(", "))), (thing, over)


def test_every_page_has_states() -> None:
    assert {thing for thing, _, _ in STATES} == MAKERS.keys()
