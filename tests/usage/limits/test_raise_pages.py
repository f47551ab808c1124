"""Pages and API of requests for more (W54), alerts of a budget (W53) and limits (W52)."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members.members import set_member
from accounts.models import AuditEvent, Key, KeyKind, Membership, Organisation, Role, Team
from billing.limits.budget_rules import OF_SUBSCRIPTION
from billing.models import Budget, BudgetRaise
from lib import clock
from lib.ids import id_text
from outbox.models import Fact
from tests.support.cast import Cast, make_key, member, signed_in, with_key
from tests.support.lists import file_of, rows_of
from tests.support.markup import squeezed
from tests.usage.rows import credit
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db

URL = "/o/acme/budgets/requests"
USD = 10**9


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = make_key(people.core, "ci", user=people.bob)
    credit(key)
    return key


@pytest.fixture
def budget(key: Key) -> Budget:
    return budget_simulation.create_budget(
        SYSTEM, key.organisation, scope="team", subject=str(key.team_id), amount_nano=10 * USD,
        period="month", timezone="Asia/Shanghai",
    )  # fmt: skip


@pytest.fixture
def alice(people: Cast) -> Client:
    return signed_in(people.alice)


@pytest.fixture
def bob(people: Cast) -> Client:
    return signed_in(people.bob)


def form(budget: Budget) -> dict[str, str]:
    day = clock.now().date() + dt.timedelta(days=2)
    return {
        "budget": str(budget.id), "amount": "5", "until": day.isoformat(), "reason": "a launch",
    }  # fmt: skip


def test_approval_starts_from_the_link_in_an_error(
    people: Cast, budget: Budget, alice: Client, bob: Client
) -> None:
    link = f"/b/{budget.id}"
    assert bob.get(link)["Location"] == f"{URL}?budget={budget.id}"
    assert alice.get(link)["Location"] == f"/o/acme/budgets/{budget.id}"
    assert signed_in(people.dora).get(link)["Location"] == f"/o/acme/budgets/{budget.id}"
    assert signed_in(people.charlie).get(link).status_code == 404
    assert Client().get(link).status_code == 302
    page = bob.get(f"{URL}?budget={budget.id}", follow=True).content.decode()
    assert f'<option value="{budget.id}" selected>' in page
    assert bob.post(f"{URL}/new", form(budget)).status_code == 303
    asked = BudgetRaise.objects.get()
    # Until that day is over where the budget is.
    assert (asked.until.hour, asked.until.minute) == (16, 0)
    (row,) = rows_of(alice, URL)
    assert all(word in row for word in ("Team · core", "Pending", "$5.00", "bob@example.org"))
    text = alice.get(f"{URL}/{id_text(asked.id)}").content.decode()
    assert "Bob requests $5.00 more" in text
    assert "$10.00 → $15.00" in text
    assert bob.get(f"{URL}/{id_text(asked.id)}").status_code == 200
    approve = f"{URL}/{id_text(asked.id)}/approve"
    assert bob.post(approve).status_code == 403
    card = alice.post(approve, headers={"hx-request": "true"})
    assert (card.status_code, "Approved" in card.content.decode()) == (200, True)
    assert card["HX-Trigger"] == "raise-decided"
    budget.refresh_from_db()
    assert (budget.raised_nano, budget.raised_until) == (5 * USD, asked.until)
    assert "increased until" in alice.get("/o/acme/budgets").content.decode()
    assert "$0.00 of $15.00" in alice.get("/o/acme/budgets").content.decode()
    assert alice.post(approve).status_code == 303
    again = alice.post(approve, headers={"hx-request": "true"})
    assert (again.status_code, "already decided" in again.content.decode()) == (422, True)
    assert alice.post(f"{URL}/{id_text(asked.id)}/end").status_code == 303
    budget.refresh_from_db()
    assert budget.raised_nano == 0
    actions = AuditEvent.objects.filter(action__startswith="raise.").values_list(
        "action", flat=True
    )
    assert sorted(actions) == ["raise.approved", "raise.asked", "raise.ended"]


def test_link_for_anothers_budget_says_whom_to_ask(
    people: Cast, budget: Budget, bob: Client
) -> None:
    key, _ = make_key(people.core, "tiny", user=people.alice)
    other = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(key.id), amount_nano=USD, period="day",
        timezone="UTC",
    )  # fmt: skip
    page = bob.get(f"/b/{other.id}", follow=True).content.decode()
    assert "does not belong to your own keys and teams" in page
    assert "alice@example.org" in page
    assert "selected" not in page.partition('name="budget"')[2].partition("</select>")[0].replace(
        '<option value="" selected>', ""
    )
    assert "tiny" not in page


def test_link_for_a_plans_limit_says_that_the_plan_sets_it(people: Cast, bob: Client) -> None:
    limit = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="organisation", subject=OF_SUBSCRIPTION, amount_nano=USD,
        period="total",
    )  # fmt: skip
    page = squeezed(bob.get(f"/b/{limit.id}", follow=True).content.decode())
    assert "The subscription plan sets this limit." in page
    assert "To change the plan, ask alice@example.org." in page
    assert "does not belong to your own keys" not in page


def test_people_without_a_budget_see_the_shared_ones_that_apply(
    people: Cast, budget: Budget, bob: Client
) -> None:
    page = bob.get("/o/acme/budgets").content.decode()
    assert "Your spending is only limited by the balance" not in page
    assert "Your requests also count towards shared budgets" in page
    stranger = signed_in(member(people.stranger, "sam", Role.DEVELOPER))
    assert (
        "Your spending is only limited by the balance"
        in stranger.get("/o/stranger/budgets").content.decode()
    )


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"amount": "0"}, "Enter an amount above 0 and up to 1,000,000,000 USD."),
        ({"amount": "1,000,000,000.01"}, "Enter an amount above 0 and up to 1,000,000,000 USD."),
        ({"until": "2020-01-01"}, "Choose an end date in the future"),
        ({"reason": ""}, "This field is required"),
        ({"budget": "999999"}, "Choose another one"),
        ({"budget": ""}, "This field is required"),
        ({"amount": "7,5"}, "Enter an amount such as 12.50."),
    ],
)
def test_invalid_requests_are_reported_at_their_field(
    budget: Budget, bob: Client, over: dict[str, str], text: str
) -> None:
    answer = bob.post(f"{URL}/new", form(budget) | over)
    assert (answer.status_code, text in answer.content.decode()) == (422, True)
    assert not BudgetRaise.objects.exists()


def test_rejection_needs_a_reason(budget: Budget, alice: Client, bob: Client) -> None:
    bob.post(f"{URL}/new", form(budget))
    asked = BudgetRaise.objects.get()
    deny = f"{URL}/{id_text(asked.id)}/deny"
    answer = alice.post(deny, headers={"hx-request": "true"})
    assert (answer.status_code, "Enter a reason" in answer.content.decode()) == (422, True)
    assert alice.post(deny, {"answer": "next month"}).status_code == 303
    assert "next month" in bob.get(URL).content.decode()


def test_requests_each_person_sees(people: Cast, budget: Budget, bob: Client) -> None:
    bob.post(f"{URL}/new", form(budget))
    carol = signed_in(member(people.acme, "carol", Role.DEVELOPER))
    assert "bob@example.org" not in carol.get(URL).content.decode()
    assert signed_in(member(people.acme, "vera", Role.VIEWER)).get(URL).status_code == 403
    assert signed_in(people.charlie).get(URL).status_code == 404
    asked = id_text(BudgetRaise.objects.get().id)
    stranger = signed_in(people.charlie)
    assert stranger.post(f"/o/stranger/budgets/requests/{asked}/approve").status_code == 404
    assert stranger.get(f"/o/stranger/budgets/requests/{asked}").status_code == 404
    assert carol.get(f"{URL}/{asked}").status_code == 404


def test_requests_are_filtered_sorted_and_exported(
    people: Cast, budget: Budget, alice: Client, bob: Client
) -> None:
    """What waits stands first, whenever it was asked."""
    budgets = [budget] + [
        budget_simulation.create_budget(
            SYSTEM, people.acme, scope="organisation", subject="", amount_nano=10 * USD,
            period=period, timezone="UTC",
        )
        for period in ("day", "week")
    ]  # fmt: skip
    for n, one in enumerate(budgets):
        bob.post(f"{URL}/new", form(one) | {"amount": str(5 + n), "reason": f"launch {n}"})
    last = BudgetRaise.objects.get(reason="launch 2")
    alice.post(f"{URL}/{id_text(last.id)}/approve")
    reasons = f"{URL}?cols=reason"
    assert rows_of(alice, reasons) == ["launch 1", "launch 0", "launch 2"]
    assert rows_of(alice, f"{reasons}&sort=-amount") == ["launch 2", "launch 1", "launch 0"]
    assert rows_of(alice, f"{reasons}&state=approved") == ["launch 2"]
    assert rows_of(alice, f"{reasons}&q=BOB@&state=denied") == []
    exported = file_of(alice, f"{URL}?q=launch+1&cols=by,amount,state&export=csv")
    assert exported == [{"by": "bob@example.org", "amount_usd": "6.00", "state": "Pending"}]


def test_menu_decides_and_returns_to_the_list(budget: Budget, alice: Client, bob: Client) -> None:
    bob.post(f"{URL}/new", form(budget))
    approve = f"{URL}/{id_text(BudgetRaise.objects.get().id)}/approve"
    back = f"{URL}?state=waiting"
    assert f'action="{approve}"' in alice.get(back).content.decode()
    assert f'action="{approve}"' not in bob.get(back).content.decode()
    answer = alice.post(approve, {"next": back})
    assert (answer.status_code, answer["Location"]) == (303, back)
    assert "Request approved." in alice.get(back).content.decode()


def test_requests_over_the_api(people: Cast, budget: Budget) -> None:
    _, bobs = make_key(people.core, "m-bob", user=people.bob, kind=KeyKind.MANAGEMENT)
    _, alices = make_key(people.core, "m-alice", user=people.alice, kind=KeyKind.MANAGEMENT)
    until = (clock.now() + dt.timedelta(days=1)).isoformat()
    body: dict[str, Any] = {"amount": "2.50", "until": until, "reason": "a launch"}
    path = f"/api/v1/budgets/{budget.id}/requests"
    asked = with_key(bobs).post(path, body, content_type="application/json")
    assert (asked.status_code, asked.json()["state"]) == (201, "waiting")
    wrong = with_key(bobs).post(path, body | {"note": 1}, content_type="application/json")
    assert wrong.json()["error"]["code"] == "unknown_parameter"
    one = f"/api/v1/budget-requests/{asked.json()['id']}"
    assert (
        with_key(bobs).post(f"{one}/approve", {}, content_type="application/json").status_code
        == 403
    )
    done = with_key(alices).post(
        f"{one}/approve", {"answer": "fine"}, content_type="application/json"
    )
    assert (done.status_code, done.json()["decided_by"]) == (200, "alice@example.org")
    document = with_key(alices).get(f"/api/v1/budgets/{budget.id}").json()
    assert (document["amount"], document["limit"], document["left"]) == ("10.00", "12.50", "12.50")
    listed = with_key(bobs).get("/api/v1/budget-requests?state=approved").json()["items"]
    assert [row["answer"] for row in listed] == ["fine"]
    assert with_key(alices).post(f"{one}/end").json()["state"] == "ended"


# Alerts -----------------------------------------------------------------------------------------


def test_terms_of_a_budget_are_set_shown_and_tested(budget: Budget, alice: Client) -> None:
    url = f"/o/acme/budgets/{budget.id}"
    sent = {
        "amount": "10", "enabled": "on", "action": "warn", "alert_percents": "90, 40%",
        "alert_forecast": "on",
    }  # fmt: skip
    assert alice.post(f"{url}/edit", sent).status_code == 303
    budget.refresh_from_db()
    assert (budget.action, budget.alert_percents, budget.alert_forecast) == ("warn", [40, 90], True)
    for wrong in ("150", "soon", "1 2 3 4 5 6 7 8 9 10 11"):
        answer = alice.post(f"{url}/edit", sent | {"alert_percents": wrong})
        assert (answer.status_code, "percentages" in answer.content.decode()) == (422, True)
    assert "No alerts sent" in alice.get(url).content.decode()
    log = alice.post(f"{url}/test-alert", headers={"hx-request": "true"})
    assert (log.status_code, "Test" in log.content.decode()) == (200, True)
    # While it is on its way the log asks for itself.
    assert f'hx-get="{url}/_f/log"' in log.content.decode()
    assert alice.post(f"{url}/test-alert").status_code == 303
    assert Fact.objects.filter(kind="budget.tested").count() == 2


def test_alerts_over_the_api(people: Cast, budget: Budget) -> None:
    _, text = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    api, path = with_key(text), f"/api/v1/budgets/{budget.id}"
    changed = api.patch(
        path, {"action": "slow", "alert_percents": [75]}, content_type="application/json"
    ).json()
    assert (changed["action"], changed["alert_percents"]) == ("slow", [75])
    assert (
        api.patch(path, {"alert_percents": [0]}, content_type="application/json").status_code == 422
    )
    assert api.post(f"{path}/test-alert").status_code == 202
    (row,) = api.get(f"{path}/alerts").json()["items"]
    assert (row["kind"], row["limit"]) == ("test", "10.00")


# Limits -----------------------------------------------------------------------------------------


def test_limits_are_filtered_sorted_and_exported(people: Cast, alice: Client) -> None:
    for path, rpm in (("team/core", "60"), ("user/bob@example.org", "9")):
        alice.post(f"/o/acme/limits/{path}", {"rpm": rpm, "tpm": "", "parallel": ""})
    # Who has no limit is not listed.
    asked = "/o/acme/limits?cols=name,rpm"
    assert len(rows_of(alice, asked)) == 2
    assert rows_of(alice, f"{asked}&sort=rpm") == ["Bob 9", "core 60"]
    assert rows_of(alice, f"{asked}&q=bob@example") == ["Bob 9"]
    exported = file_of(alice, f"{asked}&scope=team&export=csv")
    assert exported == [{"name": "core", "rpm": "60"}]


def test_each_tab_beside_budgets_counts_pending_requests(
    budget: Budget, alice: Client, bob: Client
) -> None:
    assert bob.post(f"{URL}/new", form(budget)).status_code in (200, 303)
    for path in ("/o/acme/budgets", URL, "/o/acme/limits"):
        page = squeezed(alice.get(path).content.decode())
        assert '<span class="badge" data-tone="warn">1<span class="sr">pending' in page, path


def test_limits_are_set_on_their_page(people: Cast, alice: Client, bob: Client) -> None:
    assert "No limits yet" in alice.get("/o/acme/limits").content.decode()
    for path, limited in (
        ("organisation", Organisation.objects.filter(id=people.acme.id)),
        ("team/core", Team.objects.filter(id=people.core.id)),
        ("user/bob@example.org", Membership.objects.filter(user=people.bob)),
    ):
        sent = {"rpm": "60", "tpm": "", "parallel": "4"}
        assert alice.post(f"/o/acme/limits/{path}", sent).status_code == 303
        assert [*limited.values_list("rpm", "tpm", "parallel")] == [(60, None, 4)]
        wrong = alice.post(f"/o/acme/limits/{path}", sent | {"rpm": "0"})
        assert wrong.status_code == 422
        assert bob.post(f"/o/acme/limits/{path}", sent).status_code == 403
    assert alice.get("/o/acme/limits/user/charlie@example.org").status_code == 404
    assert squeezed(alice.get("/o/acme/limits").content.decode()).count(">60<") == 3
    actions = AuditEvent.objects.filter(action__endswith=".limited").values_list(
        "action", flat=True
    )
    assert sorted(actions) == ["member.limited", "organisation.limited", "team.limited"]


def test_limit_can_be_set_for_someone_without_one(people: Cast, alice: Client, bob: Client) -> None:
    url = "/o/acme/limits/new"
    form = alice.get(url).content.decode()
    for value, name in (("organisation ", "Acme"), ("team core", "core")):
        assert f'<option value="{value}"' in form
        assert name in form
    none = {"subject": "team core", "rpm": "", "tpm": "", "parallel": ""}
    assert "Enter at least one limit." in alice.post(url, none).content.decode()
    assert alice.post(url, none | {"subject": "team other", "rpm": "9"}).status_code == 422
    assert alice.post(url, none | {"tpm": "7"}).status_code == 303
    assert alice.post(url, none | {"rpm": "9"}).status_code == 303
    # What is left empty here stays.
    people.core.refresh_from_db()
    assert (people.core.rpm, people.core.tpm, people.core.parallel) == (9, 7, None)
    assert rows_of(alice, "/o/acme/limits?cols=name,rpm,tpm") == ["core 9 7"]
    assert bob.post(url, none | {"rpm": "9"}).status_code == 403


def test_limits_over_the_api(people: Cast) -> None:
    _, text = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    api = with_key(text)
    body = {"scope": "user", "subject": "bob@example.org", "tpm": 5000}
    document = api.patch("/api/v1/limits", body, content_type="application/json").json()
    assert document == {
        "scope": "user", "subject": "bob@example.org", "rpm": None, "tpm": 5000, "parallel": None,
    }  # fmt: skip
    document = api.patch(
        "/api/v1/limits", body | {"rpm": 9, "tpm": None}, content_type="application/json"
    ).json()
    assert (document["rpm"], document["tpm"]) == (9, None)
    gone = api.patch("/api/v1/limits", body | {"subject": "x"}, content_type="application/json")
    assert gone.status_code == 404
    assert len(api.get("/api/v1/limits").json()["items"]) == 4


def test_those_limited_to_teams_decide_within_them(people: Cast, budget: Budget) -> None:
    """P23: their own request for a budget of all is neither approved, rejected nor ended by them,
    and no button offers it."""
    carol = member(people.acme, "carol", Role.DEVELOPER)
    set_member(people.acme, carol.email, Role.ADMIN, teams=[people.core], actor=SYSTEM)
    of_all = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="organisation", subject="", amount_nano=10 * USD,
        period="month", timezone="UTC",
    )  # fmt: skip
    client, alice = signed_in(carol), signed_in(people.alice)
    for one in (of_all, budget):
        client.post(f"{URL}/new", form(one))
    beyond, within = (
        f"{URL}/{id_text(BudgetRaise.objects.get(budget=one).id)}" for one in (of_all, budget)
    )
    listed = client.get(URL).content.decode()
    assert (f"{beyond}/approve" in listed, f"{within}/approve" in listed) == (False, True)
    assert f"{beyond}/deny" not in client.get(beyond).content.decode()
    answer = client.post(f"{beyond}/deny", {"answer": "no"}, headers={"hx-request": "true"})
    assert answer.status_code == 422
    assert "only set budgets for your teams" in answer.content.decode()
    alice.post(f"{beyond}/approve")
    assert client.post(f"{beyond}/end", headers={"hx-request": "true"}).status_code == 422
    assert BudgetRaise.objects.get(budget=of_all).state == "approved"
    assert client.post(f"{within}/deny", {"answer": "no"}).status_code == 303
    assert BudgetRaise.objects.get(budget=budget).state == "denied"
