"""P36, P12: the names of an erased person among the end users of budgets."""

import datetime as dt
import logging
from typing import Any

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.members.pseudonym import Traces
from accounts.models import Erasure, Organisation, Role, User
from billing.models import Budget, BudgetWindow
from lib import clock
from playground.erasure import erasure_steps
from playground.erasure.address_search import sweep
from playground.erasure.erasure_requests import request_erasure
from playground.erasure.erasure_steps import erase_people
from tests.support.cast import Cast, actor
from tests.support.cast import person as make_person
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db
NANO = 10**9
ADDRESS, SPELLED = "zaphod@example.org", "Zaphod@Example.org"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.erasure.erasure_steps.seal_key", lambda: b"key of the tests")


@pytest.fixture
def zaphod(people: Cast) -> User:
    members.add_person(ADDRESS, name="", actor=SYSTEM)
    return members.set_member(people.acme, ADDRESS, Role.VIEWER, actor=SYSTEM).user


def budget_of(organisation: Organisation) -> Budget:
    """A budget of each end user in which the person has two spellings, and a colleague one."""
    budget = budget_simulation.create_budget(
        SYSTEM, organisation, scope="end_user", subject="", amount_nano=2 * NANO, period="month"
    )
    own = {ADDRESS: 5 * NANO, SPELLED: 6 * NANO, "bob@chat": 7 * NANO}
    Budget.objects.filter(id=budget.id).update(own_amounts=own)
    now = clock.now()
    for begins, ends in ((-40, -10), (-10, 20)):
        for n, name in enumerate((ADDRESS, SPELLED, "bob@chat")):
            BudgetWindow.objects.create(
                budget=budget, end_user=name, starts_at=now + dt.timedelta(days=begins),
                ends_at=now + dt.timedelta(days=ends), cap_nano=9 * NANO, spent_nano=n,
                brought_nano=n,
            )  # fmt: skip
    return budget


def names(budget: Budget) -> tuple[list[tuple[str, int]], dict[str, int]]:
    windows = budget.windows.order_by("id").values_list("end_user", "spent_nano")
    return list(windows), Budget.objects.get(id=budget.id).own_amounts


@pytest.mark.parametrize("part", [False, True])
def test_each_spelling_of_an_erased_end_user_gets_a_pseudonym_of_its_own(
    people: Cast, zaphod: User, part: bool
) -> None:
    """Also for a part of the account; budgets of other organisations are untouched."""
    here, there = budget_of(people.acme), budget_of(people.stranger)
    elsewhere = names(there)
    asker = actor(people.alice, people.acme) if part else actor(people.dora)
    name = request_erasure(asker, zaphod, reason="left").pseudonym
    assert erase_people() == 1
    both = [(f"{name} 2", 0), (name, 1)]
    windows, own = names(here)
    assert sorted(windows) == sorted([*both, ("bob@chat", 2)] * 2)
    assert own == {f"{name} 2": 5 * NANO, name: 6 * NANO, "bob@chat": 7 * NANO}
    assert names(there) == elsewhere


def test_what_returns_during_the_erasure_gets_a_pseudonym_too(people: Cast, zaphod: User) -> None:
    """The step is repeated after a kill, and the application asked again meanwhile."""
    budget = budget_of(people.acme)
    erasure = request_erasure(actor(people.dora), zaphod, reason="left")
    erasure_steps._rename_end_users(erasure)
    now = clock.now()
    BudgetWindow.objects.create(
        budget=budget, end_user=ADDRESS, starts_at=now, ends_at=now + dt.timedelta(days=9),
        cap_nano=1,
    )  # fmt: skip
    erasure_steps._rename_end_users(erasure)
    assert budget.windows.filter(end_user=f"{erasure.pseudonym} 3").count() == 1


def test_the_sweep_locks_no_budget_window(people: Cast, zaphod: User) -> None:
    """Requests wait for a window's lock, and the sweep's transaction is long."""
    budget_of(people.acme)
    ran: list[str] = []

    def look(execute: Any, sql: Any, *rest: Any) -> Any:
        ran.append(sql if isinstance(sql, str) else sql.as_string())
        return execute(sql, *rest)

    with connection.execute_wrapper(look):
        sweep(Traces("erased@erased.invalid", (ADDRESS,)), [people.acme.id], whole=True)
    assert any("usage_savedview" in sql for sql in ran)
    assert not any("billing_budgetwindow" in sql or "own_amounts" in sql for sql in ran)


def test_an_erasure_that_fails_does_not_stop_the_others(
    people: Cast, zaphod: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P36: it stays, shows that it failed, and its log entry has no words of the person."""
    other = make_person("ford")
    first, second = (
        request_erasure(actor(people.dora), user, reason="left") for user in (zaphod, other)
    )
    whole, apart = erasure_steps._STEPS["texts"]

    def fail(erasure: Erasure) -> Any:
        if erasure.pk == first.pk:
            raise ValueError(ADDRESS)
        return whole(erasure)

    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setitem(erasure_steps._STEPS, "texts", (fail, apart))
        assert erase_people() == 1
    assert "ValueError" in caplog.text
    assert ADDRESS not in caplog.text
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.done_at, first.step, first.waits_for) == (None, "texts", "failed")
    assert second.done_at is not None
    assert erase_people() == 1
