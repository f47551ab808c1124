"""Budgets that a policy gives: what gets them, that they are real, that they change with the policy
and in no other way, and who may write them (P2, P12)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys
from accounts.members import members, team_members
from accounts.models import AuditEvent, Key, KeyKind, Membership, Role
from accounts.organisations import teams
from billing.balances.balances import add_opening_credit
from billing.limits import budget_alerts, budget_increases, budgets
from billing.limits.budget_rules import ALERT_PERCENTS
from billing.limits.budgets import BudgetRefused, Past
from billing.limits.policy_budgets import GIVEN_MAX, PolicyBudget
from billing.models import Budget, BudgetWindow
from config.apply.item_fields import policy_budgets
from content.models import Policy
from content.policies import policies
from content.policies.policies import Assigned
from lib import clock
from lib.ids import id_text
from tests.billing.credits.test_operator_api import api_of, post
from tests.support.cast import Cast, actor, make_key, signed_in, with_key
from tests.usage.rows import happen
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.limits.effective_limits import effective_settings

pytestmark = pytest.mark.django_db
NANO, SMALL = 10**9, 10**6
MONTH = PolicyBudget(amount_nano=20 * NANO, period="month")
DAY = PolicyBudget(amount_nano=NANO, period="day", action="slow", alert_percents=(90,))


def given(policy: Policy) -> list[tuple[str, str, str, int]]:
    """The budgets that stand for a policy."""
    rows = Budget.objects.filter(policy_id=policy.id, enabled=True)
    return sorted((row.scope, row.subject, row.period, row.amount_nano) for row in rows)


def create(
    people: Cast,
    *assigned: Assigned,
    listed: Sequence[PolicyBudget] = (MONTH,),
    name: str = "Thrift",
) -> Policy:
    alice = actor(people.alice, people.acme)
    return policies.create_policy(
        alice, people.acme, look_back, name=name, budgets=listed, assigned=assigned
    )


def change(people: Cast, policy: Policy, **fields: Any) -> Policy:
    policy.refresh_from_db()
    return policies.change_policy(actor(people.alice, people.acme), policy, look_back, **fields)


def of_key(key: Key) -> Assigned:
    return Assigned("key", str(key.id))


def window(budget: Budget) -> BudgetWindow:
    return BudgetWindow.objects.get(budget=budget)


def test_each_thing_that_a_policy_applies_to_gets_its_budgets(people: Cast) -> None:
    key = make_key(people.core)[0]
    team = Assigned("team", str(people.core.id))
    policy = create(people, Assigned("organisation"), team, of_key(key), listed=[MONTH, DAY])
    assert given(policy) == [
        ("key", str(key.id), "day", NANO), ("key", str(key.id), "month", 20 * NANO),
        ("organisation", "", "day", NANO), ("organisation", "", "month", 20 * NANO),
        ("team", str(people.core.id), "day", NANO),
        ("team", str(people.core.id), "month", 20 * NANO),
    ]  # fmt: skip
    day = Budget.objects.get(policy_id=policy.id, scope="key", period="day")
    assert (day.action, day.alert_percents, day.policy_name) == ("slow", [90], "Thrift")


def test_it_starts_with_what_was_spent_and_so_does_one_that_returns(people: Cast) -> None:
    key = make_key(people.core)[0]
    add_opening_credit(people.acme, NANO)
    happen(key, clock.now() - dt.timedelta(seconds=5), charge_nano=3 * SMALL)
    policy = create(people, of_key(key))
    (budget,) = Budget.objects.filter(policy_id=policy.id)
    assert window(budget).spent_nano == 3 * SMALL
    change(people, policy, assigned=[])
    assert given(policy) == []
    ended = Budget.with_removed.get(id=budget.id)
    assert (ended.enabled, ended.removed_at is not None) == (False, True)
    change(people, policy, assigned=[of_key(key)])
    (again,) = Budget.objects.filter(policy_id=policy.id)
    assert (again.id != budget.id, window(again).spent_nano) == (True, 3 * SMALL)


def test_a_change_fits_the_present_windows_and_keeps_their_figures(people: Cast) -> None:
    key = make_key(people.core)[0]
    policy = create(people, of_key(key), listed=[MONTH, DAY])
    month = Budget.objects.get(policy_id=policy.id, period="month")
    BudgetWindow.objects.filter(budget=month).update(spent_nano=4 * NANO, held_nano=NANO)
    less = PolicyBudget(amount_nano=6 * NANO, period="month", alert_forecast=True)
    change(people, policy, budgets=[less])
    assert given(policy) == [("key", str(key.id), "month", 6 * NANO)]
    kept = window(month)
    assert (kept.cap_nano, kept.spent_nano, kept.held_nano) == (6 * NANO, 4 * NANO, NANO)
    # Below what is used: nothing more is admitted, and the figures stay true.
    change(people, policy, budgets=[PolicyBudget(amount_nano=2 * NANO, period="month")])
    assert window(month).cap_nano == 5 * NANO
    # With another start of its periods, it is another budget.
    change(people, policy, budgets=[PolicyBudget(amount_nano=NANO, period="month", anchor=15)])
    (other,) = Budget.objects.filter(policy_id=policy.id)
    assert (other.id != month.id, other.anchor) == (True, 15)


def test_two_policies_and_an_own_budget_stand_beside_each_other(people: Cast) -> None:
    key = make_key(people.core)[0]
    own = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(key.id), amount_nano=9 * NANO, period="month"
    )
    first = create(people, of_key(key))
    second = create(people, of_key(key), name="Second")
    assert given(first) == given(second) == [("key", str(key.id), "month", 20 * NANO)]
    alice = actor(people.alice, people.acme)
    levels = [
        (str(one.level), one.value)
        for one in effective_settings(alice, key=key)
        if str(one.title) == "Budget, month"
    ]
    assert levels == [
        ("API key", 9 * NANO), ("Policy Second (API key)", 20 * NANO),
        ("Policy Thrift (API key)", 20 * NANO),
    ]  # fmt: skip
    # What changes with the key is its own budget alone.
    assert budgets.own_budgets_of_keys(alice, [key]) == {str(key.id): own}
    budgets.remove_budget(alice, own)
    assert budgets.own_budgets_of_keys(alice, [key]) == {}
    assert budgets.budgets_of_keys(alice, [key]).keys() == {str(key.id)}


def test_it_ends_with_its_policy(people: Cast) -> None:
    key = make_key(people.core)[0]
    policy = create(people, of_key(key), listed=[MONTH, DAY])
    policies.remove_policy(actor(people.alice, people.acme), policy)
    assert not Budget.objects.exists()
    assert not BudgetWindow.objects.exists()
    assert Budget.with_removed.filter(policy_id=policy.id, enabled=False).count() == 2
    actions = AuditEvent.objects.values_list("action", flat=True).order_by("-id")[:3]
    assert sorted(actions) == ["budget.removed", "budget.removed", "policy.removed"]


def test_nobody_changes_removes_or_restores_it_by_hand(people: Cast) -> None:
    key = make_key(people.core)[0]
    policy = create(people, of_key(key))
    (budget,) = Budget.objects.filter(policy_id=policy.id)
    text = "This budget belongs to the policy Thrift. Change the policy instead."
    for who in (actor(people.alice, people.acme), SYSTEM):
        with pytest.raises(BudgetRefused, match="policy Thrift"):
            budget_simulation.change_budget(who, budget, amount_nano=1)
        with pytest.raises(BudgetRefused, match="policy Thrift"):
            budgets.remove_budget(who, budget)
        assert not budgets.may_write(who, budget)
    alice = api_of(people, "alice")
    path = f"/api/v1/budgets/{budget.id}"
    shown = alice.get(path).json()
    assert (shown["policy"], shown["policy_name"]) == (id_text(policy.id), "Thrift")
    for answer in (
        alice.patch(path, {"amount": "1"}, content_type="application/json"), alice.delete(path),
    ):  # fmt: skip
        assert answer.status_code == 422
        assert text in answer.content.decode()
    browser = signed_in(people.alice)
    page = browser.get(f"/o/acme/budgets/{budget.id}").content.decode()
    assert f'href="/o/acme/policies/{id_text(policy.id)}"' in page
    assert "This budget changes with its policy." in page
    assert f"/o/acme/budgets/{budget.id}/edit" not in page
    assert "Policy Thrift" in browser.get("/o/acme/budgets").content.decode()
    form = {"amount": "1", "action": "block", "enabled": "on"}
    refused = browser.post(f"/o/acme/budgets/{budget.id}/edit", form)
    assert (refused.status_code, text in refused.content.decode()) == (422, True)
    assert given(policy) == [("key", str(key.id), "month", 20 * NANO)]
    change(people, policy, assigned=[])
    removed = post(alice, f"/budgets/{budget.id}/restore", {})
    assert (removed.status_code, text in removed.content.decode()) == (422, True)


def test_it_alerts_and_can_be_increased_like_any_other(people: Cast) -> None:
    key = make_key(people.core, user=people.bob)[0]
    policy = create(people, of_key(key))
    (budget,) = Budget.objects.filter(policy_id=policy.id)
    alice = actor(people.alice, people.acme)
    assert budget_alerts.send_test(alice, budget).kind == "test"
    asked = budget_increases.ask_for_more(
        actor(people.bob, people.acme), budget, amount_nano=5 * NANO,
        until=clock.now() + dt.timedelta(days=1), reason="A release",
    )  # fmt: skip
    budget_increases.approve(alice, asked)
    assert window(budget).cap_nano == 25 * NANO
    # It outlives a change of the policy, which sets the amount below it.
    change(people, policy, budgets=[PolicyBudget(amount_nano=10 * NANO, period="month")])
    assert window(budget).cap_nano == 15 * NANO


def test_the_name_of_the_policy_follows(people: Cast) -> None:
    policy = create(people, Assigned("organisation"))
    change(people, policy, name="Saving")
    assert Budget.objects.get(policy_id=policy.id).policy_name == "Saving"


def test_a_renamed_policy_changes_all_that_is_changed_with_its_name(people: Cast) -> None:
    """The budgets that stay get the new terms, and a new one begins, all by the new name."""
    key = make_key(people.core)[0]
    policy = create(people, of_key(key), listed=[MONTH, DAY])
    less = PolicyBudget(
        amount_nano=6 * NANO, period="month", alert_percents=(50,), alert_forecast=True
    )
    firm = PolicyBudget(amount_nano=3 * NANO, period="day", action="block")
    week = PolicyBudget(amount_nano=2 * NANO, period="week")
    change(people, policy, name="Saving", budgets=[less, firm, week])
    assert {
        row.period: (
            row.policy_name, row.action, window(row).cap_nano, row.alert_percents,
            row.alert_forecast,
        )
        for row in Budget.objects.filter(policy_id=policy.id)
    } == {
        "week": ("Saving", "block", 2 * NANO, list(ALERT_PERCENTS), False),
        "day": ("Saving", "block", 3 * NANO, list(ALERT_PERCENTS), False),
        "month": ("Saving", "block", 6 * NANO, [50], True),
    }  # fmt: skip


def test_it_stays_with_a_rotated_key_and_an_archived_team(people: Cast) -> None:
    key = make_key(people.core)[0]
    spare = teams.create_team(people.acme, "spare", actor=SYSTEM)
    policy = create(people, of_key(key), Assigned("team", str(spare.id)))
    before = given(policy)
    keys.rotate_key(actor(people.alice, people.acme), key, 24)
    teams.archive_team(spare, actor=SYSTEM)
    keys.revoke_key(SYSTEM, key)
    assert given(policy) == before
    # The form no longer offers them, so that the next one who saves it ends their budgets.
    browser = signed_in(people.alice)
    form = {"name": "Thrift", "amount_month": "20", "organisation": "on"}
    saved = browser.post(f"/o/acme/policies/{id_text(policy.id)}", form)
    assert saved.status_code == 303
    assert given(policy) == [("organisation", "", "month", 20 * NANO)]


def test_a_policy_gives_a_bounded_number(people: Cast) -> None:
    def none(budget: Budget, since: dt.datetime) -> Past:
        return Past(0, [])

    most = [Assigned("team", str(uuid4())) for _ in range(GIVEN_MAX // 2)]
    alice = actor(people.alice, people.acme)
    policy = policies.create_policy(
        alice, people.acme, none, name="Many", budgets=[MONTH, DAY], assigned=most
    )
    assert len(given(policy)) == GIVEN_MAX
    with pytest.raises(BudgetRefused, match="102 budgets"):
        policies.change_policy(alice, policy, none, assigned=[*most, Assigned("organisation")])
    assert len(given(policy)) == GIVEN_MAX
    assert policy.assignments.count() == GIVEN_MAX // 2


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([{"period": "month", "amount": "-1"}], "amount"),
        ([{"period": "year", "amount": "1"}], "period"),
        ([{"period": "day", "amount": "1", "anchor": 24}], "anchor"),
        ([{"period": "day", "amount": "1", "timezone": "Nowhere"}], "timezone"),
        ([{"period": "session", "amount": "1", "action": "warn"}], "action"),
        ([{"period": "day", "amount": "1", "alert_percents": [0]}], "alert_percents"),
        ([{"period": "day", "amount": "1", "scope": "user"}], "scope"),
        ([{"period": "day", "amount": "1"}] * 2, "budgets"),
    ],
)
def test_budgets_that_cannot_be_are_rejected(people: Cast, wrong: Any, field: str) -> None:
    body = {"name": "Thrift", "assigned": [{"scope": "organisation"}], "budgets": wrong}
    answer = post(api_of(people, "alice"), "/policies", body)
    assert answer.status_code in (400, 422)
    assert field in answer.content.decode()
    assert not Policy.objects.exists()
    assert not Budget.objects.exists()


def test_api_and_audit_show_the_budgets_before_and_after(people: Cast) -> None:
    alice = api_of(people, "alice")
    body = {
        "name": "Thrift", "assigned": [{"scope": "team", "subject": "core"}],
        "budgets": [{"amount": "20", "period": "month"}, {"amount": "1", "period": "day"}],
    }  # fmt: skip
    made = post(alice, "/policies", body).json()
    whole = {
        "timezone": "UTC", "action": "block", "alert_percents": [50, 80, 100],
        "alert_forecast": False,
    }  # fmt: skip
    day = {"amount": "1.00", "period": "day", "anchor": 0, **whole}
    month = {"amount": "20.00", "period": "month", "anchor": 1, **whole}
    assert made["budgets"] == [day, month]
    path = f"/api/v1/policies/{made['id']}"
    changed = alice.patch(path, {"budgets": [day]}, content_type="application/json")
    assert changed.json()["budgets"] == [day]
    detail = AuditEvent.objects.get(action="policy.changed").detail
    assert {when: detail[when]["budgets"] for when in ("before", "after")} == {
        "before": [day, month], "after": [day],
    }  # fmt: skip
    # A file of `apply` has them in this form, too.
    policy = Policy.objects.get(name="Thrift")
    assert policy_budgets(policies.budgets_of(policy)) == (day,)
    assert alice.patch(path, {"budgets": []}, content_type="application/json").status_code == 200
    assert not Budget.objects.exists()


def test_a_page_sets_budgets_and_keeps_their_start(people: Cast) -> None:
    week = PolicyBudget(amount_nano=NANO, period="week", anchor=3, timezone="Asia/Tokyo")
    policy = create(people, Assigned("organisation"), listed=[week])
    browser = signed_in(people.alice)
    path = f"/o/acme/policies/{id_text(policy.id)}"
    assert 'name="amount_week" value="1.00"' in browser.get(path).content.decode()
    form = {
        "name": "Thrift", "organisation": "on", "amount_week": "2.5", "action_at_week": "warn",
        "alerts_week": "40, 60", "forecast_week": "on", "amount_session": "0.25",
    }  # fmt: skip
    assert browser.post(path, form).status_code == 303
    policy.refresh_from_db()
    assert policies.budgets_of(policy) == [
        PolicyBudget(
            amount_nano=25 * NANO // 10, period="week", anchor=3, timezone="Asia/Tokyo",
            action="warn", alert_percents=(40, 60), alert_forecast=True,
        ),
        PolicyBudget(amount_nano=NANO // 4, period="session", anchor=0),
    ]  # fmt: skip
    wrong = browser.post(path, form | {"amount_week": "much"})
    assert wrong.status_code == 422
    assert "Budgets" in browser.get("/o/acme/policies").content.decode()


def test_budgets_of_a_policy_need_both_permissions(people: Cast) -> None:
    permissions = ["organisation.write", "teams.read", "keys.read"]
    role = custom_roles.create_role(people.acme, "Rules", permissions, actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    bob = actor(people.bob, people.acme)
    organisation = [Assigned("organisation")]
    with pytest.raises(AccessDenied):
        policies.create_policy(bob, people.acme, look_back, name="Own", budgets=[MONTH])
    unassigned = create(people)
    refusals: list[dict[str, Any]] = [
        {"assigned": organisation}, {"budgets": []}, {"budgets": [DAY]},
    ]  # fmt: skip
    for refused in refusals:
        with pytest.raises(AccessDenied):
            policies.change_policy(bob, unassigned, look_back, **refused)
    with pytest.raises(AccessDenied):
        policies.remove_policy(bob, unassigned)
    # What moves no budget is theirs to change, and the page leaves the budgets as they are.
    browser = signed_in(people.bob)
    path = f"/o/acme/policies/{id_text(unassigned.id)}"
    assert "amount_month" not in browser.get(path).content.decode()
    assert browser.post(path, {"name": "Renamed", "models": "gpt-*"}).status_code == 303
    unassigned.refresh_from_db()
    assert (unassigned.name, policies.budgets_of(unassigned)[0].period) == ("Renamed", "month")
    assert given(unassigned) == []


def test_the_lead_of_a_team_sees_its_budget_and_stays_below_it(people: Cast) -> None:
    bobs = Membership.objects.get(organisation=people.acme, user=people.bob)
    team_members.set_lead(SYSTEM, people.core, bobs, True)
    policy = create(people, Assigned("team", str(people.core.id)))
    (budget,) = Budget.objects.filter(policy_id=policy.id)
    bob = actor(people.bob, people.acme)
    assert list(budgets.visible_budgets(bob)) == [budget]
    assert not budgets.may_write(bob, budget)
    key = make_key(people.core, user=people.bob)[0]
    fields: dict[str, Any] = {"scope": "key", "subject": str(key.id), "period": "month"}
    with pytest.raises(BudgetRefused, match="20"):
        budget_simulation.create_budget(bob, people.acme, amount_nano=21 * NANO, **fields)
    budget_simulation.create_budget(bob, people.acme, amount_nano=20 * NANO, **fields)


def test_strangers_and_admins_write_no_policy(people: Cast) -> None:
    body = {"name": "Thrift", "budgets": [{"amount": "1", "period": "day"}]}
    manager = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.bob)[1]
    assert post(with_key(manager), "/policies", body).status_code == 403
