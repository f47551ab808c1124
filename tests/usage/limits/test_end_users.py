"""P2: amounts of end users' own, by page and by API."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEvent
from billing.limits import budgets
from billing.limits.budget_rules import END_USERS_MAX, UNBOUNDED_NANO
from billing.limits.budgets import BudgetRefused
from billing.models import Budget, BudgetWindow
from tests.support import cast
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db
NANO = 10**9
ALICE, BOB = "alice@chat", "bob@chat"


@pytest.fixture
def budget(people: cast.Cast) -> Budget:
    budget = budget_simulation.create_budget(
        cast.actor(people.alice, people.acme), people.acme, scope="end_user", subject="",
        amount_nano=2 * NANO, period="month",
    )  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    for name, spent in ((ALICE, 1), (BOB, 2)):
        BudgetWindow.objects.create(
            budget=budget, end_user=name, starts_at=now - dt.timedelta(days=1),
            ends_at=now + dt.timedelta(days=1), cap_nano=2 * NANO, spent_nano=spent * NANO,
            brought_nano=spent * NANO,
        )  # fmt: skip
    return budget


def row_versions() -> dict[str, str]:
    """Where each window's row is stored: another place after each write."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT end_user, ctid::text FROM billing_budgetwindow")
        return dict(cursor.fetchall())


def caps() -> dict[str, int]:
    return dict(BudgetWindow.objects.values_list("end_user", "cap_nano"))


def test_an_own_amount_applies_at_once_and_can_be_taken_away(
    people: cast.Cast, budget: Budget
) -> None:
    actor = cast.actor(people.alice, people.acme)
    budgets.set_own_amount(actor, budget, ALICE, 5 * NANO)
    # Bob has used 2 of the 1 that he may have from now on.
    budgets.set_own_amount(actor, budget, BOB, NANO)
    assert caps() == {ALICE: 5 * NANO, BOB: 2 * NANO}
    budget_simulation.change_budget(actor, budget, amount_nano=9 * NANO)
    assert caps() == {ALICE: 5 * NANO, BOB: 2 * NANO}
    changed = budgets.set_own_amount(actor, budget, BOB, None)
    assert (caps()[BOB], changed.own_amounts) == (9 * NANO, {ALICE: 5 * NANO})
    limits = {
        name: budgets.usage_of_end_user(changed, name).limit_nano for name in (ALICE, BOB, "new")
    }
    assert limits == {ALICE: 5 * NANO, BOB: 9 * NANO, "new": 9 * NANO}


@pytest.mark.parametrize("again", ["switched on", "restored"])
def test_a_budget_that_applies_again_has_its_present_limits(
    people: cast.Cast, budget: Budget, again: str
) -> None:
    """What was set while it was off counts, for those too who have used up the limit before."""
    actor = cast.actor(people.alice, people.acme)
    budget_simulation.change_budget(actor, budget, enabled=False)
    budget_simulation.change_budget(actor, budget, amount_nano=4 * NANO)
    if again == "restored":
        budgets.remove_budget(actor, budget)
        budget_simulation.restore_budget(actor, str(budget.id))
    else:
        budget_simulation.change_budget(actor, budget, enabled=True)
    assert caps() == {ALICE: 4 * NANO, BOB: 4 * NANO}
    budget_simulation.change_budget(actor, budget, enabled=False)
    budget_simulation.change_budget(actor, budget, enabled=True, action="warn")
    assert caps() == dict.fromkeys((ALICE, BOB), UNBOUNDED_NANO)


def test_an_own_amount_writes_only_the_windows_of_its_end_user(
    people: cast.Cast, budget: Budget
) -> None:
    """The account is locked meanwhile."""
    actor = cast.actor(people.alice, people.acme)
    before = row_versions()
    budgets.set_own_amount(actor, budget, ALICE, 5 * NANO)
    after = row_versions()
    assert after[BOB] == before[BOB]
    assert after[ALICE] != before[ALICE]


def test_a_new_amount_writes_only_caps_that_differ(people: cast.Cast, budget: Budget) -> None:
    actor = cast.actor(people.alice, people.acme)
    budgets.set_own_amount(actor, budget, ALICE, 5 * NANO)
    before = row_versions()
    budget_simulation.change_budget(actor, budget, amount_nano=3 * NANO)
    after = row_versions()
    assert after[ALICE] == before[ALICE]
    assert after[BOB] != before[BOB]


def test_an_own_amount_is_kept_under_the_name_that_requests_have(
    people: cast.Cast, budget: Budget, client: Client
) -> None:
    actor = cast.actor(people.alice, people.acme)
    changed = budgets.set_own_amount(actor, budget, "Alice@Chat", NANO)
    assert changed.own_amounts == {ALICE: NANO}
    _, text = cast.make_key(people.core, "manage", kind="management", user=people.alice)
    answer = client.put(
        f"/api/v1/budgets/{budget.id}/end-users",
        {"end_user": "ALICE@chat", "amount": "3"},
        content_type="application/json",
        headers={"authorization": f"Bearer {text}"},
    )
    assert (answer.json()["end_user"], answer.json()["limit"]) == (ALICE, "3.00")


@pytest.mark.parametrize("name", ["", " a", "a\u202e", "a" * 257])
def test_an_unreadable_name_can_have_no_amount(
    people: cast.Cast, budget: Budget, name: str
) -> None:
    with pytest.raises(BudgetRefused):
        budgets.set_own_amount(cast.actor(people.alice, people.acme), budget, name, NANO)


def test_a_thousand_end_users_can_have_an_own_amount(people: cast.Cast, budget: Budget) -> None:
    actor = cast.actor(people.alice, people.acme)
    Budget.objects.filter(id=budget.id).update(
        own_amounts={f"u-{n}": 1 for n in range(END_USERS_MAX - 1)}
    )
    assert len(budgets.set_own_amount(actor, budget, "last", 1).own_amounts) == END_USERS_MAX
    budgets.set_own_amount(actor, budget, "last", 2)
    with pytest.raises(BudgetRefused):
        budgets.set_own_amount(actor, budget, "more", 1)


def test_the_budget_shows_whoever_has_used_the_most(people: cast.Cast, budget: Budget) -> None:
    (usage,) = budgets.current_usage([budget])
    assert (usage.end_user, usage.spent_nano, usage.limit_nano) == (BOB, 2 * NANO, 2 * NANO)


def test_names_leave_periods_that_ended_long_ago(people: cast.Cast, budget: Budget) -> None:
    now = dt.datetime.now(dt.UTC)
    for name, days in (("old@chat", 91), ("late@chat", 89)):
        BudgetWindow.objects.create(
            budget=budget, end_user=name, starts_at=now - dt.timedelta(days=120),
            ends_at=now - dt.timedelta(days=days), cap_nano=0,
        )  # fmt: skip
    budgets.drop_old_end_users()
    assert set(caps()) == {ALICE, BOB, "late@chat"}


def test_the_page_lists_end_users_and_sets_an_amount(
    people: cast.Cast, budget: Budget, client: Client
) -> None:
    client.force_login(people.alice)
    listed = reverse("end_users", args=[people.acme.slug, budget.id])
    page = client.get(listed).content.decode()
    assert page.index(BOB) < page.index(ALICE)
    dialog = reverse("end_user", args=[people.acme.slug, budget.id])
    answer = client.post(dialog, {"end_user": "new@chat", "amount": "7"})
    assert answer.status_code in (302, 303)
    budget.refresh_from_db()
    assert budget.own_amounts == {"new@chat": 7 * NANO}
    assert "new@chat" in client.get(listed).content.decode()
    assert "7" in client.get(dialog, {"end_user": "new@chat"}).content.decode()
    event = AuditEvent.objects.get(action="budget.end_user_changed")
    assert (event.detail["end_user"], event.detail["after"]) == ("new@chat", {"amount": "7.00"})


def test_only_a_budget_of_each_end_user_has_the_page(
    people: cast.Cast, budget: Budget, client: Client
) -> None:
    client.force_login(people.alice)
    other = budget_simulation.create_budget(
        cast.actor(people.alice, people.acme), people.acme, scope="organisation", subject="",
        amount_nano=NANO, period="month",
    )  # fmt: skip
    assert client.get(reverse("end_users", args=[people.acme.slug, other.id])).status_code == 404


def test_the_api_lists_and_sets_amounts(people: cast.Cast, budget: Budget, client: Client) -> None:
    _, text = cast.make_key(people.core, "manage", kind="management", user=people.alice)
    headers: dict[str, Any] = {"headers": {"authorization": f"Bearer {text}"}}
    path = f"/api/v1/budgets/{budget.id}/end-users"
    body = {"end_user": BOB, "amount": "0.5"}
    answer = client.put(path, body, content_type="application/json", **headers)
    assert answer.status_code == 200, answer.content
    assert answer.json() | {"resets_at": None} == {
        "end_user": BOB, "own_amount": "0.50", "limit": "0.50", "spent": "2.00", "held": "0.00",
        "left": "0.00", "resets_at": None,
    }  # fmt: skip
    items = client.get(path, **headers).json()["items"]
    assert [(item["end_user"], item["own_amount"]) for item in items] == [
        (ALICE, None), (BOB, "0.50"),
    ]  # fmt: skip


def test_pages_of_end_users_are_read_in_the_database(
    people: cast.Cast, budget: Budget, client: Client
) -> None:
    """Nobody reads all windows to show some of them; search finds names in any case."""
    now = dt.datetime.now(dt.UTC)
    BudgetWindow.objects.bulk_create(
        BudgetWindow(
            budget=budget, end_user=f"User-{n:03}", starts_at=now - dt.timedelta(days=1),
            ends_at=now + dt.timedelta(days=1), cap_nano=2 * NANO,
        )
        for n in range(300)
    )  # fmt: skip
    budgets.set_own_amount(cast.actor(people.alice, people.acme), budget, "Own", NANO)
    _, text = cast.make_key(people.core, "manage", kind="management", user=people.alice)
    headers: dict[str, Any] = {"headers": {"authorization": f"Bearer {text}"}}
    path, cursor, read = f"/api/v1/budgets/{budget.id}/end-users", "", list[str]()
    while True:
        page = client.get(f"{path}?limit=100{cursor}", **headers).json()
        read += [item["end_user"] for item in page["items"]]
        if page["next"] is None:
            break
        assert len(page["items"]) == 100
        cursor = f"&cursor={page['next']}"
    assert read == sorted([ALICE, BOB, "Own", *(f"User-{n:03}" for n in range(300))])
    wrong = client.get(f"{path}?cursor=no-such-cursor", **headers)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "cursor")

    client.force_login(people.alice)
    listed = reverse("end_users", args=[people.acme.slug, budget.id])
    with CaptureQueriesContext(connection) as queries:
        page = client.get(listed, {"q": "uSER-", "rows": "25", "sort": "name"}).content.decode()
    assert [page.count(f">User-{n:03}<") for n in (0, 24, 25)] == [1, 1, 0]
    windows = [one["sql"] for one in queries if "billing_budgetwindow" in one["sql"]]
    assert all("LIMIT" in text for text in windows)


@pytest.mark.parametrize("period", ["total", "session"])
def test_a_budget_of_each_end_user_has_a_period_that_ends(people: cast.Cast, period: Any) -> None:
    """Otherwise its names would stay for ever."""
    with pytest.raises(BudgetRefused):
        budget_simulation.create_budget(
            cast.actor(people.alice, people.acme), people.acme, scope="end_user", subject="",
            amount_nano=NANO, period=period,
        )  # fmt: skip
