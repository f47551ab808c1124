"""More of a budget for a while: asked, decided, and over by itself (W54)."""

import datetime as dt

import pytest
from django.core import mail
from django.http import Http404

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor
from accounts.members import members
from accounts.models import AuditEvent, Key, Role, User
from accounts.organisations import teams
from billing.ledger.ledger import execute
from billing.limits import budget_alerts, budget_increases, budgets
from billing.limits.budget_increases import RaiseRefused
from billing.limits.budget_rules import BUDGET_MAX_NANO, OF_SUBSCRIPTION
from billing.limits.budget_windows import WindowOpened, open_windows
from billing.models import Account, Budget, BudgetRaise, BudgetWindow
from lib import clock
from lib.ids import id_text
from notify.deliveries import deliveries, sending
from outbox.models import Fact
from tests.billing.limits.test_budgets import make
from tests.billing.test_guarded import asked, place
from tests.support import cast
from tests.support.cast import Cast
from tests.usage.rows import credit

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = cast.make_key(people.core, "ci", user=people.bob)
    credit(key)
    return key


def want(actor: Actor, budget: Budget, nano: int = 300, hours: int = 24) -> BudgetRaise:
    return budget_increases.ask_for_more(
        actor, budget, amount_nano=nano, until=clock.now() + dt.timedelta(hours=hours),
        reason="a launch",
    )  # fmt: skip


def word(key: Key, nano: int, budget: Budget) -> str:
    account = Account.objects.get(organisation=key.organisation, kind="customer:available")
    hold = asked(key, nano, budget.windows.latest("starts_at"), guards=account.guards)
    return str(place(hold)[0][0])


def letters() -> dict[str, str]:
    """Who got which subject since the last look."""
    mail.outbox.clear()
    deliveries.spread_facts(100)
    for delivery_id in deliveries.lease_due(100):
        sending.send(delivery_id)
    return {letter.to[0].split("@")[0]: str(letter.subject) for letter in mail.outbox}


def test_next_call_passes_and_the_increase_ends_on_its_date(
    key: Key, bob: Actor, alice: Actor
) -> None:
    """By the clock of the database, in the admission itself, whether or not a worker lives."""
    budget = make(key, 500)
    assert word(key, 500, budget) == "admitted"
    assert word(key, 100, budget) == "insufficient"
    one = want(bob, budget)
    assert letters() == {
        "alice": "bob@example.org requested a budget increase of 0.0000003 USD (Acme)"
    }
    assert word(key, 100, budget) == "insufficient"
    budget_increases.approve(alice, one)
    assert letters() == {
        "alice": "Budget increase of 0.0000003 USD approved (Acme)",
        "bob": "Budget increase of 0.0000003 USD approved (Acme)",
    }
    assert word(key, 100, budget) == "admitted"
    assert budgets.current_usage([Budget.objects.get()])[0].left_nano == 200
    Budget.objects.update(raised_until=clock.now())
    assert word(key, 100, budget) == "insufficient"
    assert budgets.current_usage([Budget.objects.get()])[0].limit_nano == 500
    assert [budget_increases.end_raises() for _ in range(2)] == [1, 0]
    one.refresh_from_db()
    assert one.state == "ended"
    window = BudgetWindow.objects.get()
    assert (window.cap_nano, window.held_nano) == (600, 600)
    assert {*letters()} == {"alice", "bob"}
    assert [(fact.kind, fact.body["approved"]) for fact in Fact.objects.order_by("id")] == [
        ("raise.asked", False), ("raise.decided", True), ("raise.ended", True)
    ]  # fmt: skip
    assert [*AuditEvent.objects.filter(action__startswith="raise.").order_by("id").values_list(
        "action", flat=True)] == ["raise.asked", "raise.approved", "raise.ended"]  # fmt: skip


def test_window_opening_meanwhile_has_the_increased_limit(
    key: Key, bob: Actor, alice: Actor
) -> None:
    budget = make(key, 500)
    budget_increases.approve(alice, want(bob, budget))
    BudgetWindow.objects.all().delete()
    now = int(clock.now().timestamp())
    execute(open_windows([WindowOpened(budget.id, now - 9, now + 999)]))
    assert BudgetWindow.objects.get().cap_nano == 800
    assert word(key, 800, budget) == "admitted"


def test_later_increase_replaces_the_earlier_one(
    people: Cast, key: Key, bob: Actor, alice: Actor
) -> None:
    budget = make(key, 500)
    first = budget_increases.approve(alice, want(bob, budget, 300))
    budget_increases.approve(alice, want(alice, budget, 100))
    first.refresh_from_db()
    assert first.state == "ended"
    assert budgets.current_usage([Budget.objects.get()])[0].limit_nano == 600


def test_increase_can_be_revoked_early(key: Key, bob: Actor, alice: Actor) -> None:
    budget = make(key, 500)
    one = budget_increases.approve(alice, want(bob, budget))
    budget_increases.end_raise(alice, one)
    assert word(key, 501, budget) == "insufficient"
    with pytest.raises(RaiseRefused):
        budget_increases.end_raise(alice, one)


def test_rejection_reason_reaches_the_requester(key: Key, bob: Actor, alice: Actor) -> None:
    budget = make(key, 500)
    one = want(bob, budget)
    with pytest.raises(RaiseRefused) as refused:
        budget_increases.deny(alice, one, " ")
    assert refused.value.field == "answer"
    budget_increases.deny(alice, one, "next quarter")
    letters()
    (letter,) = [letter for letter in mail.outbox if letter.to[0].startswith("bob")
                 and "rejected" in letter.subject]  # fmt: skip
    assert "next quarter" in letter.body
    assert word(key, 501, budget) == "insufficient"
    with pytest.raises(RaiseRefused):
        budget_increases.approve(alice, one)


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"amount_nano": 0}, "amount"),
        ({"until": dt.timedelta(hours=-1)}, "until"),
        ({"until": dt.timedelta(days=400)}, "until"),
        ({"reason": "  "}, "reason"),
    ],
)
def test_invalid_requests(key: Key, bob: Actor, over: dict[str, object], field: str) -> None:
    wanted: dict[str, object] = {"amount_nano": 1, "until": dt.timedelta(hours=1), "reason": "x"}
    wanted |= over
    wanted["until"] = clock.now() + wanted["until"]  # type: ignore[operator]
    with pytest.raises(RaiseRefused) as refused:
        budget_increases.ask_for_more(bob, make(key, 5), **wanted)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not BudgetRaise.objects.exists()


def test_largest_increase_can_be_requested(key: Key, bob: Actor) -> None:
    budget = make(key, 5)
    with pytest.raises(RaiseRefused) as refused:
        want(bob, budget, BUDGET_MAX_NANO + 1)
    assert refused.value.field == "amount"
    assert want(bob, budget, BUDGET_MAX_NANO).amount_nano == BUDGET_MAX_NANO


def test_each_person_has_one_pending_request(key: Key, bob: Actor) -> None:
    budget = make(key, 5)
    want(bob, budget)
    with pytest.raises(RaiseRefused):
        want(bob, budget)
    assert Fact.objects.filter(kind="raise.asked").count() == 1


def test_request_is_denied_when_its_last_day_has_passed(
    people: Cast, key: Key, bob: Actor, alice: Actor
) -> None:
    """By itself, so that its person can request more again (W54). Not twice, and no other."""
    User.objects.filter(pk=people.bob.pk).update(language="zh-hans")
    budget, gone = make(key, 5), make(key, 5, scope="model", subject="gpt-*")
    overdue, decided, of_gone = want(bob, budget), want(alice, budget), want(bob, gone)
    budget_increases.deny(alice, decided, "no")
    later = want(alice, budget, hours=48)
    budgets.remove_budget(SYSTEM, gone)
    letters()
    assert budget_increases.deny_overdue() == 0
    BudgetRaise.objects.exclude(id=later.id).update(until=clock.now())
    assert [budget_increases.deny_overdue() for _ in range(2)] == [1, 0]
    for row, state in ((overdue, "denied"), (decided, "denied"), (of_gone, "waiting")):
        row.refresh_from_db()
        assert row.state == state
    assert overdue.decided_by is None
    assert letters().keys() == {"bob"}
    (letter,) = mail.outbox
    assert overdue.answer == "申请的有效期已过。"
    assert overdue.answer in letter.body
    assert "bob@example.org 提额 0.0000003 USD 的申请已被拒绝。" in letter.body
    event = AuditEvent.objects.filter(action="raise.denied").latest("id")
    assert (event.object_id, event.actor_user) == (id_text(overdue.id), None)
    want(bob, budget)


def test_request_decided_meanwhile_stays_as_it_was_decided(
    key: Key, bob: Actor, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = want(bob, make(key, 5))
    BudgetRaise.objects.update(until=clock.now())
    deny = budget_increases.deny

    def deny_second(actor: Actor, budget_raise: BudgetRaise, answer: str) -> BudgetRaise:
        deny(alice, one, "no")
        return deny(actor, budget_raise, answer)

    monkeypatch.setattr(budget_increases, "deny", deny_second)
    assert budget_increases.deny_overdue() == 0
    one.refresh_from_db()
    assert (one.answer, one.decided_by) == ("no", alice.user)


def test_emails_about_a_budget_reach_those_limited_to_teams_who_see_it(
    people: Cast, key: Key, alice: Actor
) -> None:
    """P12: by the rule of the list of budgets. What a limited admin does not see, no email says."""
    side = teams.create_team(people.acme, "side", actor=SYSTEM)
    readers = {}
    for name, team in (("carol", people.core), ("dave", side)):
        email = cast.member(people.acme, name, Role.ADMIN).email
        members.set_member(people.acme, email, Role.ADMIN, teams=[team], actor=SYSTEM)
        readers[name] = cast.actor(User.objects.get(email=email), people.acme)
    own, _ = cast.make_key(side, "own", user=people.alice)
    for scope, subject in (
        ("organisation", ""), ("team", people.core.id), ("team", side.id), ("key", key.id),
        ("key", own.id), ("user", people.bob.id), ("model", "gpt-*"), ("project", "x"),
    ):  # fmt: skip
        budget = make(key, 500, scope=scope, subject=str(subject), period="week")
        seeing = {
            name for name, reader in readers.items()
            if budgets.visible_budgets(reader).filter(id=budget.id).exists()
        }  # fmt: skip
        assert len(seeing) == (scope in ("team", "key"))
        asked = want(alice, budget)
        assert letters().keys() == {"alice"} | seeing
        budget_increases.approve(alice, asked)
        letters()
        budget_increases.end_raise(alice, asked)
        assert letters().keys() - {"bob"} == {"alice"} | seeing
        budget_alerts.send_test(alice, budget)
        assert letters().keys() - {"bob"} == {"alice"} | seeing


def test_budgets_each_person_may_request(people: Cast, key: Key, bob: Actor) -> None:
    """Those that a refusal could name: not another's own."""
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    mine, team, all_of_us = (
        make(key, 5), make(key, 5, scope="team", subject=str(people.core.id)),
        make(key, 5, scope="organisation", subject=""),
    )  # fmt: skip
    hers = make(other, 5)
    assert [*budget_increases.askable_budgets(bob)] == [mine, team, all_of_us]
    with pytest.raises(Http404):
        budget_increases.askable_budget(bob, str(hers.id))
    charlie = cast.actor(people.charlie, people.stranger)
    with pytest.raises(Http404):
        budget_increases.askable_budget(charlie, str(mine.id))
    viewer = cast.actor(cast.member(people.acme, "vera", Role.VIEWER), people.acme)
    with pytest.raises(AccessDenied):
        budget_increases.askable_budgets(viewer)
    one = want(bob, mine)
    assert [*budget_increases.visible_raises(charlie)] == []
    assert [*budget_increases.visible_raises(bob)] == [one]


def test_budget_that_is_switched_off_needs_no_increase(key: Key, bob: Actor, alice: Actor) -> None:
    budget = make(key, 5)
    budgets.change_budget(SYSTEM, budget, lambda *_: budgets.Past(0, []), enabled=False)
    for who in (bob, alice):
        assert not budget_increases.askable_budgets(who).exists()


def test_leaving_one_organisation_keeps_the_requests_in_another(
    people: Cast, key: Key, bob: Actor
) -> None:
    assert bob.user is not None
    here = want(bob, make(key, 5))
    other, _ = cast.make_key(people.stranger.teams.get(), "other")
    there = want(bob, make(other, 5))
    assert budget_increases.deny_all_of(SYSTEM, bob.user, people.acme) == 1
    states = BudgetRaise.objects.in_bulk([here.id, there.id])
    assert (states[here.id].state, states[there.id].state) == ("denied", "waiting")


def test_limit_of_a_subscription_is_never_increased(key: Key, bob: Actor, alice: Actor) -> None:
    """Not by its owners either, and not by a request from before. Only the plan sets it."""
    budget = make(key, 500, scope="organisation", subject=OF_SUBSCRIPTION)
    with pytest.raises(Http404):
        budget_increases.askable_budget(alice, str(budget.id))
    one = want(bob, budget)
    with pytest.raises(budgets.BudgetRefused, match="belongs to the subscription"):
        budget_increases.approve(alice, one)
    budget.refresh_from_db()
    assert (budget.raised_nano, budget.raised_until) == (0, None)
    assert word(key, 501, budget) == "insufficient"
    budget_increases.deny(alice, one, "The plan has this limit.")


def test_requests_each_person_sees(people: Cast, key: Key, bob: Actor, alice: Actor) -> None:
    """P12: who decides sees all that they may decide, everybody else their own."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    people_of_second = [
        cast.member(people.acme, name, Role.DEVELOPER) for name in ("carol", "dave")
    ]
    for user, role in zip(people_of_second, (Role.ADMIN, Role.DEVELOPER), strict=True):
        members.set_member(people.acme, user.email, role, teams=[second], actor=SYSTEM)
    carol, dave = (cast.actor(user, people.acme) for user in people_of_second)
    of_core = make(key, 5, scope="team", subject=str(people.core.id))
    of_second = make(key, 5, scope="team", subject=str(second.id))
    of_all = make(key, 5, scope="organisation", subject="")
    gone = make(key, 5, scope="model", subject="gpt-*")
    asked = {
        (who, budget.id): want(actor, budget)
        for who, actor, budget in (
            ("bob", bob, of_core), ("dave", dave, of_second), ("carol", carol, of_all),
            ("bob", bob, of_all), ("bob", bob, gone),
        )
    }  # fmt: skip
    budgets.remove_budget(SYSTEM, gone)

    def seen(actor: Actor) -> list[BudgetRaise]:
        return [*budget_increases.visible_raises(actor)]

    theirs = {pair: one for pair, one in asked.items() if pair[1] != gone.id}
    newest_first = sorted(theirs.values(), key=lambda one: one.id, reverse=True)
    assert seen(alice) == newest_first
    assert seen(bob) == [one for one in newest_first if one.asked_by == bob.user]
    assert seen(dave) == [theirs["dave", of_second.id]]
    visible = {one.id for one in budgets.visible_budgets(carol)}
    assert of_second.id in visible
    assert of_core.id not in visible
    assert seen(carol) == [
        one for one in newest_first
        if one.asked_by == carol.user or one.budget_id in visible
    ]  # fmt: skip
    with pytest.raises(Http404):
        budget_increases.access_raise(dave, id_text(theirs["bob", of_core.id].id))
    with pytest.raises(Http404):
        budget_increases.access_raise(bob, id_text(asked["bob", gone.id].id))
    of_dave = theirs["dave", of_second.id]
    assert budget_increases.decidable_raises(alice, seen(alice)) == {one.id for one in seen(alice)}
    assert budget_increases.decidable_raises(carol, seen(carol)) == {
        theirs["dave", of_second.id].id
    }
    assert budget_increases.raise_to_decide(carol, id_text(of_dave.id)) == of_dave
    with pytest.raises(budgets.BudgetRefused, match="only set budgets for your teams"):
        budget_increases.raise_to_decide(carol, id_text(theirs["carol", of_all.id].id))
