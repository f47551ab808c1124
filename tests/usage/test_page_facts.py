"""W30 to W85: what a page or an operation says of one budget, document, finding, view, export, key
or member, where two of them could be taken for each other; and where its links lead."""

import datetime as dt
import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.invoices.billing_details import set_seller
from billing.limits.budgets import BudgetUsage
from billing.models import Account, Budget, BudgetRaise, BudgetWindow, BuyerDetail, Invoice
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.invoicing import empty_invoice
from tests.support.lists import file_of
from tests.usage.rows import credit, happen
from usage.limits import budget_simulation
from usage.limits.views import meter_of
from usage.models import (
    AcceptedMember,
    Export,
    Feedback,
    Finding,
    ReportReceiver,
    ReportSchedule,
    SavedView,
)

pytestmark = pytest.mark.django_db

USD = 10**9
DAY = dt.timedelta(days=1)


def text_of(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def links_of(client: Client, address: str) -> list[str]:
    html = client.get(address).content.decode()
    return [unescape(one) for one in re.findall(r'href="([^"]+)"', html)]


# Budgets -----------------------------------------------------------------------------------------


def _usage(spent: int, held: int, limit: int, **over: Any) -> BudgetUsage:
    """Of a period that is half over."""
    budget = Budget(amount_nano=100, period="day", **over)
    now = clock.now()
    return BudgetUsage(budget, Span(now - DAY / 2, now + DAY / 2), spent, held, limit, now)


@pytest.mark.parametrize(
    ("spent", "held", "limit", "tone", "full"),
    [
        (79, 0, 100, "", False),
        (70, 10, 100, "warn", False),
        (94, 0, 100, "warn", False),
        (90, 5, 100, "bad", False),
        (99, 1, 100, "bad", True),
        (0, 0, 0, "bad", True),
    ],
)
def test_meter_of_a_budget_warns_from_80_and_95_percent(
    spent: int, held: int, limit: int, tone: str, full: bool
) -> None:
    meter = meter_of(_usage(spent, held, limit))
    assert (meter["used_nano"], meter["tone"], meter["full"]) == (spent + held, tone, full)


def test_disabled_budget_warns_of_nothing_and_runs_out_never() -> None:
    meter = meter_of(_usage(99, 0, 100, enabled=False))
    assert (meter["tone"], meter["forecast_at"]) == ("", None)
    assert meter_of(_usage(99, 0, 100))["forecast_at"] is not None


def test_increase_is_shown_only_while_it_is_in_effect() -> None:
    until = clock.now() + DAY
    assert meter_of(_usage(0, 0, 100, raised_until=until))["raised_until"] is None
    assert meter_of(_usage(0, 0, 101, raised_until=until))["raised_until"] == until


def test_form_of_an_end_user_opens_with_their_own_amount(people: cast.Cast) -> None:
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="end_user", subject="", amount_nano=9 * USD, period="week"
    )
    Budget.objects.filter(id=budget.id).update(own_amounts={"ana@chat": 23 * USD})
    alice = cast.signed_in(people.alice)
    page = f"/o/acme/budgets/{budget.id}/end-users"
    BudgetWindow.objects.create(
        budget=budget, end_user="ana@chat", starts_at=clock.now(), ends_at=clock.now() + DAY,
        cap_nano=23 * USD,
    )  # fmt: skip
    [link] = {one for one in links_of(alice, page) if "end_user=" in one}
    html = alice.get(link).content.decode()
    assert 'value="ana@chat"' in html
    assert 'value="23.00"' in html


# Documents ---------------------------------------------------------------------------------------


def test_month_is_proposed_only_when_its_whole_checklist_holds(people: cast.Cast) -> None:
    draft = empty_invoice(people.acme)
    dora, page = cast.signed_in(people.dora), f"/admin/invoices/{id_text(draft.id)}"
    html = dora.get(page).content.decode()
    # Some of it holds, and the seller is missing.
    assert "Yes" in text_of(dora.get(page))
    assert "No" in text_of(dora.get(page))
    assert re.search(r'<button[^>]*type="submit"[^>]*disabled[^>]*>\s*Propose', html)


def test_documents_ask_for_the_seller_until_there_is_one(people: cast.Cast) -> None:
    dora = cast.signed_in(people.dora)
    assert dora.get("/admin/invoices").content.count(b'href="/admin/invoices/seller"') == 2
    set_seller(SYSTEM, legal_name="Weir Operations")
    assert dora.get("/admin/invoices").content.count(b'href="/admin/invoices/seller"') == 1


def test_document_names_who_proposed_and_who_closed_it(people: cast.Cast) -> None:
    invoice = empty_invoice(people.acme, people.dora, people.alice)
    note = Invoice.objects.create(
        organisation=people.acme, kind="debit_note", month=invoice.month, zone="UTC",
        from_at=invoice.from_at, until_at=invoice.until_at, corrects=invoice, state="proposed",
    )  # fmt: skip
    dora = cast.signed_in(people.dora)
    page = f"/admin/invoices/{id_text(invoice.id)}"
    assert "by dora@example.org and alice@example.org." in text_of(dora.get(page))
    assert f"/admin/invoices/{id_text(note.id)}" in links_of(dora, page)
    assert page in links_of(dora, f"/admin/invoices/{id_text(note.id)}")


# Doubtful things ---------------------------------------------------------------------------------


def test_finding_is_acknowledged_once_though_it_is_still_wrong(people: cast.Cast) -> None:
    open_ = Finding.objects.create(invariant="a", object="1", walk="new", holds=False)
    done = Finding.objects.create(
        invariant="b", object="2", walk="new", acknowledged_at=clock.now()
    )
    links = links_of(cast.signed_in(people.dora), "/admin/findings")
    assert f"/admin/findings/{open_.id}/acknowledge" in links
    assert f"/admin/findings/{done.id}/acknowledge" not in links


def test_settled_request_says_what_was_charged_before(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core)
    credit(key)
    record = happen(key, clock.now() - DAY, 45 * 10**6, hold_nano=2 * USD, flags=["quarantine"])
    answer = cast.signed_in(people.dora).post(
        f"/api/v1/requests/{id_text(record.request_id)}/review",
        {"settle_as": "amount", "amount": "0.01", "reason": "Counted twice"},
        "application/json",
    )
    body = answer.json()
    assert body.pop("decided_at")
    assert body == {
        "request": id_text(record.request_id), "settle_as": "amount", "before": "0.045",
        "charge": "0.01", "reason": "Counted twice", "decided_by": "dora@example.org",
    }  # fmt: skip


def test_accepted_members_are_listed_newest_first_and_oldest_first_in_the_api(
    people: cast.Cast,
) -> None:
    made = [
        AcceptedMember.objects.create(
            provider=f"p{n}", wire=f"w{n}", member=f"member_{n}", reason=f"reason {n}",
            accepted_by=people.dora, accepted_at=dt.datetime(2026, n, n, n, tzinfo=dt.UTC),
        )
        for n in (1, 2)
    ]  # fmt: skip
    AcceptedMember.objects.create(
        provider="p", wire="w", member="member_3", reason="r", accepted_by=people.dora,
        revoked_by=people.dora, revoked_at=clock.now(),
    )  # fmt: skip
    dora = cast.signed_in(people.dora)
    assert re.findall(r"<code>(member_\d)", dora.get("/admin/reviews").content.decode()) == [
        "member_2", "member_1",
    ]  # fmt: skip
    assert dora.get("/api/v1/accepted-members").json()["items"] == [
        {
            "id": str(one.id), "provider": one.provider, "dialect": one.wire, "member": one.member,
            "reason": one.reason, "accepted_by": "dora@example.org",
            "accepted_at": clock.rfc3339(one.accepted_at),
        }
        for one in made
    ]  # fmt: skip


def _rated(people: cast.Cast, **over: Any) -> Feedback:
    fields = {"model": "m", "prompt": "greeting", "prompt_version": 1, "score": 90, **over}
    return Feedback.objects.create(
        organisation=people.acme, request_id=new_id(), author_key_id=new_id(),
        team_id=people.core.id, key_id=new_id(), **fields,
    )  # fmt: skip


def test_sum_of_a_prompt_leads_to_the_feedback_of_its_version(people: cast.Cast) -> None:
    _rated(people)
    _rated(people, prompt_version=2, score=10)
    alice = cast.signed_in(people.alice)
    links = links_of(alice, "/o/acme/usage/feedback/sums?by=prompt")
    found = {one for one in links if "prompt=greeting" in one}
    assert found == {
        "/o/acme/usage/feedback?prompt=greeting%401", "/o/acme/usage/feedback?prompt=greeting%402",
    }  # fmt: skip


def test_sums_of_feedback_count_what_was_asked_for(people: cast.Cast) -> None:
    _rated(people, created_at=clock.now() - 3 * DAY)
    _rated(people, prompt_version=2, score=10, comment="c")
    _rated(people, model="n", prompt="farewell", score=None)
    alice = cast.signed_in(people.alice)

    def sums(query: str) -> list[tuple[Any, ...]]:
        items = alice.get(f"/api/v1/feedback/sums?{query}").json()["items"]
        names = ("group", "version", "total", "scored", "good", "commented", "mean_score")
        return sorted(tuple(item[name] for name in names) for item in items)

    assert sums("by=model") == [("m", None, 2, 2, 1, 1, 50), ("n", None, 1, 0, 0, 0, None)]
    assert sums("by=prompt&prompt_version=2") == [("greeting", 2, 1, 1, 0, 1, 10)]
    since = (clock.now() - DAY).isoformat().replace("+00:00", "Z")
    assert [one[2] for one in sums(f"by=model&since={since}")] == [1, 1]
    assert sums(f"by=model&until={since}") == [("m", None, 1, 1, 1, 0, 90)]
    assert sums("by=model&prompt=farewell") == [("n", None, 1, 0, 0, 0, None)]


# What is kept ------------------------------------------------------------------------------------


def test_menu_of_a_page_has_its_own_views_with_their_filters(people: cast.Cast) -> None:
    for page, name, query in (
        ("usage", "Spend", "range=90d"), ("explore", "Teams", "group=team"),
        ("requests", "All", ""),
    ):  # fmt: skip
        SavedView.objects.create(
            organisation=people.acme, user=people.alice, page=page, name=name, query=query
        )
    alice = cast.signed_in(people.alice)
    kept = {"/o/acme/usage?range=90d", "/o/acme/usage/explore?group=team", "/o/acme/requests"}
    for page, own in (
        ("usage", "/o/acme/usage?range=90d"), ("usage/explore", "/o/acme/usage/explore?group=team"),
    ):  # fmt: skip
        html = alice.get(f"/o/acme/{page}").content.decode()
        menu = html.partition('id="saved-views"')[2].partition('href="/o/acme/views"')[0]
        links = [unescape(one) for one in re.findall(r'class="item"\s+href="([^"]+)"', menu)]
        assert [one for one in links if one in kept] == [own], page


def test_form_of_a_report_opens_with_its_schedule(people: cast.Cast) -> None:
    BuyerDetail.objects.create(organisation=people.acme, zone="Asia/Tokyo")
    view = SavedView.objects.create(
        organisation=people.acme, user=people.alice, page="usage", name="Spend"
    )
    alice, page = cast.signed_in(people.alice), f"/o/acme/views/{id_text(view.id)}/report"

    def opened() -> tuple[list[str], str]:
        html = alice.get(page).content.decode()
        marked = re.findall(r'<option value="([^"]*)"\s+selected', html)
        people_ = re.findall(r'<input[^>]*name="people"[^>]*>', html)
        ticked = [one for one in people_ if "checked" in one]
        return marked, " ".join(re.findall(r'value="(\d+)"', " ".join(ticked)))

    zone = re.search(r"Asia/Tokyo", alice.get(page).content.decode())
    assert zone, "of the organisation's invoices"
    assert opened() == (["week", "8", *opened()[0][2:]], str(people.alice.id))
    schedule = ReportSchedule.objects.create(
        view=view, every="month", hour=17, zone="America/Lima", due_at=clock.now()
    )
    ReportReceiver.objects.create(schedule=schedule, user=people.bob)
    html = alice.get(page).content.decode()
    assert "America/Lima" in html
    assert "Asia/Tokyo" not in re.sub(r"<option(?![^>]*selected)[^>]*>[^<]*", "", html)
    marked, ticked = opened()
    assert marked[:2] == ["month", "17"]
    assert ticked == str(people.bob.id)
    receivers = alice.get(f"/api/v1/saved-views/{id_text(view.id)}/report").json()
    ReportReceiver.objects.create(schedule=schedule, user=people.alice)
    again = alice.get(f"/api/v1/saved-views/{id_text(view.id)}/report").json()
    assert (receivers["people"], receivers["timezone"]) == (["bob@example.org"], "America/Lima")
    assert again["people"] == ["alice@example.org", "bob@example.org"]


def test_failed_export_says_why_and_a_running_one_how_far_it_is(people: cast.Cast) -> None:
    common: dict[str, Any] = {
        "organisation": people.acme, "user": people.alice, "language": "en", "form": "csv",
        "query": "range=30d",
    }  # fmt: skip
    Export.objects.create(state="failed", message="Interrupted", **common)
    Export.objects.create(state="running", done=31_007, total=29_000, **common)
    Export.objects.create(state="running", done=17, total=4_000, **common)
    page = text_of(cast.signed_in(people.alice).get("/o/acme/exports"))
    # More rows were written than were counted before.
    assert "31,007 of 31,007 rows" in page
    assert "17 of 4,000 rows" in page
    html = cast.signed_in(people.alice).get("/o/acme/exports").content.decode()
    assert "It was interrupted three times." in html


# Keys and members --------------------------------------------------------------------------------


@pytest.fixture
def own(people: cast.Cast) -> Key:
    key, _ = cast.make_key(people.core, "ci", user=people.bob)
    return key


def test_switched_key_is_switched_back_by_undo(people: cast.Cast, own: Key) -> None:
    alice, page = cast.signed_in(people.alice), f"/o/acme/keys/{id_text(own.id)}"
    for act, undo in (("disable", "enable"), ("enable", "disable")):
        answer = alice.post(f"{page}/{act}", headers={"hx-request": "true"})
        assert f"{page}/{undo}" in json.dumps(dict(answer.headers)), act
        own.refresh_from_db()
        assert own.disabled == (act == "disable")


def test_request_to_increase_leads_those_who_see_all_budgets_to_the_budget(
    people: cast.Cast,
) -> None:
    """A developer sees budgets of their own alone, and is led to the form."""
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="user", subject=str(people.bob.id), amount_nano=9 * USD,
        period="month", timezone="UTC",
    )  # fmt: skip
    leads = {
        name: cast.signed_in(getattr(people, name)).get(f"/b/{budget.id}")["Location"]
        for name in ("alice", "bob")
    }
    assert leads == {
        "alice": f"/o/acme/budgets/{budget.id}",
        "bob": f"/o/acme/budgets/requests?budget={budget.id}",
    }
    asked = BudgetRaise.objects.create(
        budget=budget, amount_nano=4 * USD, until=clock.now() + DAY, reason="r",
        asked_by=people.bob,
    )  # fmt: skip
    shown = text_of(
        cast.signed_in(people.alice).get(f"/o/acme/budgets/requests/{id_text(asked.id)}")
    )
    assert "$9.00 → $13.00" in shown
    assert isinstance(asked.id, UUID)


def test_person_without_requests_is_told_whether_a_budget_applies(
    people: cast.Cast, own: Key
) -> None:
    bob, page = cast.signed_in(people.bob), "/o/acme/budgets/requests"
    assert "No budget applies to you" in text_of(bob.get(page))
    budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(own.id), amount_nano=9 * USD, period="month"
    )
    assert "No budget applies to you" not in text_of(bob.get(page))


def test_increase_is_asked_for_until_its_last_day_is_over(people: cast.Cast, own: Key) -> None:
    """By the clock of the budget, which is nine hours ahead."""
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(own.id), amount_nano=9 * USD,
        period="month", timezone="Asia/Tokyo",
    )  # fmt: skip
    day = clock.now().date() + 5 * DAY
    sent = {"budget": str(budget.id), "amount": "4", "until": day.isoformat(), "reason": "r"}
    answer = cast.signed_in(people.bob).post("/o/acme/budgets/requests/new", sent)
    assert answer.status_code == 303
    until = BudgetRaise.objects.get().until
    assert until == dt.datetime.combine(day, dt.time(15), dt.UTC)


def test_member_was_last_active_at_the_later_of_sign_in_and_use(
    people: cast.Cast, own: Key, sum_up: Callable[[], None]
) -> None:
    gone, _ = cast.make_key(people.core, "gone", user=people.bob)
    Key.objects.filter(id=gone.id).update(revoked_at=clock.now())
    credit(own)
    at = clock.now().replace(microsecond=0) - DAY
    happen(own, at)
    sum_up()
    alice = cast.signed_in(people.alice)
    for signed_in, later in ((at - 3 * DAY, False), (at + DAY / 2, True)):
        type(people.bob).objects.filter(id=people.bob.id).update(last_login=signed_in)
        rows = file_of(alice, "/o/acme/team?export=csv&cols=email,last,keys")
        [bob] = [row for row in rows if row["email"] == "bob@example.org"]
        last = dt.datetime.fromisoformat(bob["last"])
        assert (last == signed_in, last >= at - DAY / 24) == (later, True)
        assert bob["keys"] == "1"


def test_balance_of_an_organisation_in_debt_is_less_the_debt(people: cast.Cast) -> None:
    for kind, nano in (("customer:available", 70), ("customer:debt", -5)):
        Account.objects.create(organisation=people.acme, kind=kind, balance_nano=nano * USD)
    rows = file_of(cast.signed_in(people.dora), "/admin/organisations?export=csv&cols=name,balance")
    assert {row["name"]: row["balance_usd"] for row in rows} == {
        "Acme": "65.00",
        "Stranger": "0.00",
    }
