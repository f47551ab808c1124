"""Budgets are made and changed between admissions: what they say is what the books have."""

import datetime as dt
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from django.db import transaction
from django.http import Http404

from accounts.access.actors import SYSTEM
from accounts.members import members, team_members
from accounts.members.pseudonym import Traces
from accounts.models import AuditEvent, Key, KeyKind, Membership, Role
from accounts.organisations import teams
from billing.balances.balances import balance
from billing.currency.money import parse_usd
from billing.limits import budget_rules as rules
from billing.limits import budgets
from billing.limits.budgets import BudgetRefused, Past
from billing.limits.erased_end_users import rename_end_users
from billing.limits.policy_budgets import PolicyBudget, in_order
from billing.models import Account, Budget, BudgetWindow, Hold
from lib import clock
from lib.ids import id_text
from tests.billing.test_guarded import asked, place, window_state
from tests.billing.test_guarded import key as key
from tests.billing.test_sql import resolve
from tests.support.cast import Cast, actor, make_key, member

pytestmark = pytest.mark.django_db


NOTHING = Past(0, [])


def nothing(budget: Budget, since: dt.datetime) -> Past:
    return NOTHING


def make(key: Key, amount_nano: int = 500, past: Past = NOTHING, **over: object) -> Budget:
    fields = {"scope": "key", "subject": str(key.id), "period": "month"} | over
    return budgets.create_budget(
        SYSTEM, key.organisation, lambda budget, since: past, amount_nano=amount_nano, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_budget_starts_with_what_was_spent_and_what_runs(key: Key) -> None:
    """Its meter is that of the ledger from the first moment; what runs settles into it."""
    running = msgspec.structs.replace(asked(key, 200), guarded=False)
    place(running)
    budget = make(key, past=Past(250, [running.attempt_id]))
    (usage,) = budgets.current_usage([budget])
    assert (usage.spent_nano, usage.held_nano, usage.left_nano) == (250, 200, 50)
    window = budget.windows.get()
    assert Hold.objects.get(id=running.attempt_id).window_ids == [window.id]
    assert place(asked(key, 51, window, guards=1))[0][0] == "insufficient"
    assert place(asked(key, 50, window, guards=1))[0][0] == "admitted"
    assert balance(key.organisation).held_nano == 250


def test_budget_below_its_spending_admits_nothing_safely(key: Key) -> None:
    budget = make(key, past=Past(900, []))
    window = budget.windows.get()
    assert (window.cap_nano, window.spent_nano, window.brought_nano) == (900, 900, 900)
    assert place(asked(key, 1, window, guards=1))[0][:2] == ("insufficient", 0)


def test_every_change_invalidates_known_budgets(key: Key) -> None:
    def guards() -> int:
        return Account.objects.get(kind="customer:available").guards

    budget = make(key)
    assert guards() == 1
    budgets.change_budget(SYSTEM, budget, nothing, enabled=False)
    assert guards() == 2
    budgets.remove_budget(SYSTEM, budget)
    assert guards() == 3


def test_raised_and_lowered_amount(key: Key) -> None:
    budget = make(key, 100)
    window = budget.windows.get()
    place(asked(key, 80, window, guards=1))
    budgets.change_budget(SYSTEM, budget, nothing, amount_nano=50)
    assert place(asked(key, 1, window, guards=2))[0][:2] == ("insufficient", 0)
    budgets.change_budget(SYSTEM, budget, nothing, amount_nano=300)
    assert place(asked(key, 220, window, guards=3))[0][0] == "admitted"
    assert window_state(window) == (300, 0)
    before, after = (
        AuditEvent.objects.filter(action="budget.changed").order_by("id")[0].detail[word]
        for word in ("before", "after")
    )
    assert (before["amount"], after["amount"]) == ("0.0000001", "0.00000005")


def test_enabled_budget_counts_what_happened_meanwhile(key: Key) -> None:
    budget = make(key, 100)
    budgets.change_budget(SYSTEM, budget, nothing, enabled=False)
    assert not BudgetWindow.objects.exists()
    budget.refresh_from_db()
    budgets.change_budget(SYSTEM, budget, lambda budget, since: Past(70, []), enabled=True)
    assert budgets.current_usage([Budget.objects.get()])[0].left_nano == 30


@pytest.mark.parametrize("away", ["off", "removed"])
@pytest.mark.parametrize("scope", ["customer", "project", "tag"])
def test_label_spending_outlives_its_budgets_absence(key: Key, scope: str, away: str) -> None:
    """Nobody kept the labels of requests: switching off and on must be no reset."""
    budget = make(key, 100, scope=scope, subject="c-1")
    spent, runs = (asked(key, 40, budget.windows.get(), guards=1) for _ in range(2))
    place(spent, runs)
    resolve(spent, "settled", 40)
    if away == "off":
        budgets.change_budget(SYSTEM, budget, nothing, enabled=False)
        resolve(runs, "settled", 30)
        budgets.change_budget(SYSTEM, Budget.objects.get(), nothing, enabled=True)
    else:
        budgets.remove_budget(SYSTEM, budget)
        resolve(runs, "settled", 30)
        alice = replace(SYSTEM, organisation=key.organisation)
        budgets.restore_budget(alice, str(budget.id), nothing)
    assert budgets.current_usage([Budget.objects.get()])[0].left_nano == 30
    window = BudgetWindow.objects.get()
    assert (window.held_nano, window.spent_nano, window.brought_nano) == (0, 70, 0)
    assert place(asked(key, 31, window, guards=3))[0][0] == "insufficient"


def test_equal_values_change_nothing(key: Key) -> None:
    budget = make(key, 100)
    budgets.change_budget(SYSTEM, budget, nothing, amount_nano=100, enabled=True)
    assert not AuditEvent.objects.filter(action="budget.changed").exists()


def test_removed_budget_frees_its_holds(key: Key) -> None:
    budget = make(key)
    place(asked(key, 100, budget.windows.get(), guards=1))
    budgets.remove_budget(SYSTEM, budget)
    assert not Budget.objects.exists()
    assert place(asked(key, 700, guards=2))[0][0] == "admitted"


def test_concurrently_removed_budget_is_missing(key: Key) -> None:
    budget = make(key)
    budgets.remove_budget(SYSTEM, budget)
    with pytest.raises(Http404):
        budgets.change_budget(SYSTEM, budget, nothing, amount_nano=1)
    with pytest.raises(Http404), transaction.atomic():
        budgets.lock_budget(budget)


def test_restored_budget_counts_what_happened_while_it_was_away(key: Key) -> None:
    budget = make(key, 100)
    budgets.remove_budget(SYSTEM, budget)
    budgets.remove_budget(SYSTEM, budget)
    assert AuditEvent.objects.filter(action="budget.removed").count() == 1
    alice = replace(SYSTEM, organisation=key.organisation)
    back = budgets.restore_budget(alice, str(budget.id), lambda budget, since: Past(70, []))
    assert budgets.current_usage([back])[0].left_nano == 30
    assert place(asked(key, 31, back.windows.get(), guards=4))[0][0] == "insufficient"
    assert place(asked(key, 30, back.windows.get(), guards=4))[0][0] == "admitted"


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"amount_nano": -1}, "amount"),
        # With a raise on top it would be more than the database can add up.
        ({"amount_nano": 2**63 - 1}, "amount"),
        ({"anchor": 32}, "anchor"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"alert_percents": [0]}, "alert_percents"),
        ({"alert_percents": [101]}, "alert_percents"),
    ],
)
def test_invalid_budgets_are_rejected(key: Key, over: dict[str, object], field: str) -> None:
    with pytest.raises(BudgetRefused) as refused:
        make(key, **over)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not Budget.objects.exists()


def test_an_alert_may_be_at_the_first_percent_and_at_the_last(key: Key) -> None:
    assert make(key, alert_percents=[1, 100]).alert_percents == [1, 100]


@pytest.mark.parametrize(
    ("period", "last"), [("hour", 59), ("day", 23), ("week", 6), ("month", 31)]
)
def test_invalid_start_names_the_valid_ones(key: Key, period: rules.Period, last: int) -> None:
    with pytest.raises(BudgetRefused, match=rf"from {int(period == 'month')} to {last}\."):
        make(key, period=period, anchor=last + 1)


def test_non_spending_key_has_no_budget(people: Cast) -> None:
    """P23: a budget that holds nowhere is refused when it is made."""
    managing, _ = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.alice)
    with pytest.raises(BudgetRefused, match="spends nothing"):
        make(managing)


def test_one_subject_has_one_budget_per_period(key: Key) -> None:
    make(key)
    make(key, period="day")
    with pytest.raises(BudgetRefused, match="already"):
        make(key)


def test_current_window_is_shown_before_any_spending(key: Key) -> None:
    budget = make(key, period="day")
    BudgetWindow.objects.all().delete()
    (usage,) = budgets.current_usage([budget])
    assert (usage.spent_nano, usage.held_nano) == (0, 0)
    assert usage.resets_at == usage.span.end_at
    total = make(key, period="total")
    assert budgets.current_usage([total])[0].resets_at is None


def test_budgets_each_person_sees(people: Cast) -> None:
    """The isolation matrix: members see their own, strangers nothing."""
    own, _ = make_key(people.core, "own", user=people.bob)
    other, _ = make_key(people.core, "other", user=people.alice)
    values = {
        "org": make(own, scope="organisation", subject=""),
        "own": make(own),
        "bob": make(own, scope="user", subject=str(people.bob.id)),
        "other": make(other),
    }

    def seen(who: object) -> set[int]:
        return {budget.id for budget in budgets.visible_budgets(who)}  # type: ignore[arg-type]

    everything = {budget.id for budget in values.values()}
    bob, charlie = actor(people.bob, people.acme), actor(people.charlie, people.stranger)
    assert seen(actor(people.alice, people.acme)) == everything
    assert seen(bob) == {values["own"].id, values["bob"].id}
    assert seen(charlie) == set()
    with pytest.raises(Http404):
        budgets.access_budget(bob, str(values["other"].id))
    with pytest.raises(Http404):
        budgets.access_budget(charlie, "x")


def test_subjects_are_found_by_human_readable_names(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.alice)
    alice = actor(people.alice, people.acme)
    results = {
        ("organisation", ""): "",
        ("team", "core"): str(people.core.id),
        ("key", id_text(key.id)): str(key.id),
        ("user", "BOB@example.org"): str(people.bob.id),
        ("model", "gpt-*"): "gpt-*",
        ("customer", "c-1"): "c-1",
    }
    for (scope, inputs), stored in results.items():
        assert budgets.find_subject(alice, scope, inputs) == stored
    for (scope, inputs), reason in {
        ("organisation", "x"): "An organisation budget covers the whole organisation",
        ("team", "none"): "This team does not exist",
        ("key", "k"): "This API key does not exist",
        ("key", id_text(people.core.id)): "This API key does not exist",
        ("user", "charlie@example.org"): "This person is not a member",
        ("tag", ""): "Enter what the budget applies to",
        ("tag", "a\nb"): "A label has 1 to 100 visible characters",
        ("model", "m" * 201): "Enter what the budget applies to",
    }.items():
        with pytest.raises(BudgetRefused, match=reason) as refused:
            budgets.find_subject(alice, scope, inputs)
        assert refused.value.field == "subject"


def test_team_limited_person_sets_only_their_teams_budgets(people: Cast) -> None:
    """P23: neither of the organisation, nor of a person, a model or a key of another team."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    bob = people.bob.email
    members.set_member(people.acme, bob, Role.ADMIN, teams=[second], actor=SYSTEM)
    by = actor(people.bob, people.acme)
    theirs, _ = make_key(people.core, "theirs")
    own, _ = make_key(second, "own")
    terms: dict[str, Any] = {"amount_nano": 10**9, "period": "month"}
    for scope, subject in (
        ("organisation", ""), ("user", str(people.bob.pk)), ("model", "gpt-*"),
        ("team", str(people.core.id)), ("key", str(theirs.id)),
    ):  # fmt: skip
        with pytest.raises(BudgetRefused, match="your teams and their keys"):
            budgets.create_budget(by, people.acme, nothing, scope=scope, subject=subject, **terms)
        budget = budgets.create_budget(
            SYSTEM, people.acme, nothing, scope=scope, subject=subject, **terms
        )
        with pytest.raises(BudgetRefused, match="your teams and their keys"):
            budgets.change_budget(by, budget, nothing, amount_nano=2 * 10**9)
        with pytest.raises(BudgetRefused, match="your teams and their keys"):
            budgets.remove_budget(by, budget)
        budgets.remove_budget(SYSTEM, budget)
        with pytest.raises((BudgetRefused, Http404)):
            budgets.restore_budget(by, str(budget.id), nothing)
    for scope, subject in (("team", str(second.id)), ("key", str(own.id))):
        budget = budgets.create_budget(
            by, people.acme, nothing, scope=scope, subject=subject, **terms
        )
        budgets.change_budget(by, budget, nothing, amount_nano=2 * 10**9)
        budgets.remove_budget(by, budget)
        assert budgets.restore_budget(by, str(budget.id), nothing).enabled


def test_removed_budget_of_another_team_looks_missing(people: Cast) -> None:
    """P12: who is limited to teams brings back what they saw, and hears of nothing else."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    by = actor(people.bob, people.acme)
    values = {
        team: budgets.create_budget(
            SYSTEM, people.acme, nothing, scope="team", subject=str(team.id), amount_nano=10**9,
            period="month",
        )
        for team in (people.core, second)
    }  # fmt: skip
    for budget in values.values():
        budgets.remove_budget(SYSTEM, budget)
    with pytest.raises(Http404):
        budgets.restore_budget(by, str(values[people.core].id), nothing)
    assert budgets.restore_budget(by, str(values[second].id), nothing) == values[second]


def test_a_budget_ends_once(key: Key) -> None:
    """Two who remove it at once leave one event, and restoring it brings one back."""
    budget = make(key)
    for _ in range(2):
        budgets.remove_budget(SYSTEM, budget)
    removed_at = Budget.with_removed.get(id=budget.id).removed_at
    budgets.remove_budget(SYSTEM, budget)
    assert Budget.with_removed.get(id=budget.id).removed_at == removed_at
    assert AuditEvent.objects.filter(action="budget.removed").count() == 1
    owner = replace(SYSTEM, organisation=key.organisation)
    budgets.restore_budget(owner, str(budget.id), nothing)
    with pytest.raises(Http404):
        budgets.restore_budget(owner, str(budget.id), nothing)
    assert AuditEvent.objects.filter(action="budget.restored").count() == 1


@pytest.mark.parametrize(
    "terms", [{}, {"anchor": 1}, {"timezone": "UTC"}, {"anchor": 1, "timezone": "UTC"}]
)
def test_budget_without_a_start_uses_the_default(key: Key, terms: dict[str, Any]) -> None:
    budget = make(key, **terms)
    assert (budget.anchor, budget.timezone) == (rules.default_anchor("month"), "UTC")
    other = make(key, anchor=2, scope="organisation", subject="", timezone="Asia/Shanghai")
    assert (other.anchor, other.timezone) == (2, "Asia/Shanghai")


@pytest.mark.parametrize("term", [{"nonsense": 1}, {"amount": 2}, {"removed_at": None}])
def test_budget_rejects_unknown_terms(key: Key, term: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(term))):
        make(key, **term)
    assert not Budget.objects.exists()


def test_of_several_budgets_of_a_key_the_longest_period_is_shown(key: Key) -> None:
    """In whatever order they were made, and without those that are switched off."""
    alice = replace(SYSTEM, organisation=key.organisation)
    periods = ("hour", "total", "week", "day", "month", "session")
    made = {period: make(key, period=period) for period in periods}
    for period in ("total", "month", "week", "day", "hour", "session"):
        assert budgets.budgets_of_keys(alice, [key]) == {str(key.id): made[period]}
        budgets.change_budget(SYSTEM, made[period], nothing, enabled=False)
    assert budgets.budgets_of_keys(alice, [key]) == {}


def test_the_tightest_budget_of_a_leads_teams_limits_a_person(people: Cast) -> None:
    """Of several teams the smallest; one that is switched off limits nothing."""
    side = teams.create_team(people.acme, "side", actor=SYSTEM)
    for team in (people.core, side):
        lead = Membership.objects.get(user=people.bob, organisation=people.acme)
        team_members.set_lead(SYSTEM, team, lead, True)
    eve = member(people.acme, "eve", Role.DEVELOPER)
    both = [people.core, side]
    members.set_member(people.acme, eve.email, Role.DEVELOPER, teams=both, actor=SYSTEM)
    key, _ = make_key(side, "hers", user=eve)
    small, tight, _ = (
        make(key, nano, scope="team", subject=str(team.id), period=period)
        for nano, team, period in (
            (50, people.core, "month"), (30, side, "week"), (70, side, "month"),
        )
    )  # fmt: skip
    by = actor(people.bob, people.acme)

    def most(scope: str, subject: object) -> int:
        with pytest.raises(BudgetRefused, match="The team's own budget is") as refused:
            budgets.check_reach(by, scope, str(subject), 1000)
        return parse_usd(str(refused.value).split(" is ")[1].split(" USD")[0])

    assert (most("user", eve.id), most("key", key.id)) == (30, 30)
    budgets.change_budget(SYSTEM, tight, nothing, enabled=False)
    assert (most("user", eve.id), most("key", key.id)) == (50, 70)
    budgets.change_budget(SYSTEM, small, nothing, enabled=False)
    assert (most("user", eve.id), most("key", key.id)) == (70, 70)


def test_budget_is_for_the_living_key_of_a_name(people: Cast) -> None:
    old, _ = make_key(people.core, "ci")
    Key.objects.filter(id=old.id).update(revoked_at=clock.now())
    alice = actor(people.alice, people.acme)
    with pytest.raises(BudgetRefused, match="This API key does not exist"):
        budgets.find_subject(alice, "key", "ci")
    new, _ = make_key(people.core, "ci")
    assert budgets.find_subject(alice, "key", "ci") == str(new.id)
    assert budgets.find_subject(alice, "key", id_text(old.id)) == str(old.id)


def test_budget_that_is_restored_switched_off_limits_nothing(key: Key) -> None:
    budget = make(key, 100)
    budgets.remove_budget(SYSTEM, budget)
    alice = replace(SYSTEM, organisation=key.organisation)
    assert not budgets.restore_budget(alice, str(budget.id), nothing, enabled=False).enabled
    assert not Budget.objects.get().enabled
    assert not BudgetWindow.objects.exists()


def test_fullest_budget_has_the_largest_used_share_of_its_limit(people: Cast) -> None:
    """Whatever the amounts; of equally full ones that which ends last is first. One that is
    switched off is not there."""
    key, _ = make_key(people.core, "ci", user=people.bob)
    bob = {"scope": "user", "subject": str(people.bob.id)}
    yesterday = (clock.now() - dt.timedelta(days=1)).day
    day = make(key, 100, Past(50, []), period="day")
    month = make(key, 1000, Past(500, []), period="month", anchor=yesterday)
    week = make(key, 10, Past(9, []), period="week")
    least = make(key, 9000, Past(600, []), period="day", **bob)
    make(key, 10, Past(10, []), period="week", **bob, enabled=False)
    nothing_left = make(key, 0, Past(0, []), period="month", **bob)
    caps = [usage.budget for usage in budgets.caps_of_key(key)]
    assert caps == [nothing_left, week, month, day, least]


def test_changed_amount_leaves_the_periods_that_ended(key: Key) -> None:
    budget = make(key, 100, period="day")
    present = budget.windows.get()
    week = dt.timedelta(days=7)
    ended = BudgetWindow.objects.create(
        budget=budget, starts_at=present.starts_at - week, ends_at=present.ends_at - week,
        cap_nano=100, refused_at=present.starts_at - week,
    )  # fmt: skip
    budgets.change_budget(SYSTEM, budget, nothing, amount_nano=50)
    caps = dict(BudgetWindow.objects.values_list("id", "cap_nano"))
    assert caps == {present.id: 50, ended.id: 100}
    assert BudgetWindow.objects.get(id=ended.id).refused_at is not None


def test_erased_person_leaves_removed_budgets_too(key: Key) -> None:
    budget = make(key, scope="end_user", subject="")
    budgets.set_own_amount(SYSTEM, budget, "ann@x.example", 5)
    budgets.remove_budget(SYSTEM, Budget.objects.get())
    rename_end_users(key.organisation_id, Traces("gone@erased.invalid", ("ann@x.example",)))
    assert list(Budget.with_removed.get().own_amounts) == ["gone@erased.invalid"]


def test_policy_lists_its_budgets_and_alerts_in_order() -> None:
    """The shortest period first, each percentage once, however they were sent."""
    sent = [
        PolicyBudget(amount_nano=1, period="month", alert_percents=(80, 50, 80)),
        PolicyBudget(amount_nano=2, period="day", anchor=6),
    ]
    assert [(one.period, one.anchor, one.alert_percents) for one in in_order(sent)] == [
        ("day", 6, (50, 80, 100)), ("month", 1, (50, 80)),
    ]  # fmt: skip
