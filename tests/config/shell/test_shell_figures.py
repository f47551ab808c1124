"""Figures and lists that every page's shell shows: whose they are, and how many."""

import pytest

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Organisation, Role
from accounts.organisations import organisations
from billing.balances.balances import add_opening_credit
from config.shell import context_processors as shell
from lib import clock
from tests.support.cast import Cast, actor, make_key

pytestmark = pytest.mark.django_db


def test_switcher_lists_the_persons_organisations_by_name(people: Cast) -> None:
    """Not an archived one, nor one in which they only act as an operator."""
    for name in ("Zebra", "Alpha", "Gone"):
        made = organisations.create_organisation(name, owner=people.alice, actor=SYSTEM)
        if name == "Gone":
            Organisation.objects.filter(id=made.id).update(archived_at=clock.now())
    listed = shell._organisations(actor(people.alice, people.acme))
    assert [one.name for one in listed] == ["Acme", "Alpha", "Zebra"]
    assert shell._organisations(actor(people.dora, people.acme)) == []
    assert shell._organisations(None) == []


@pytest.mark.parametrize(("count", "text"), [(0, ""), (7, "7"), (99, "99"), (100, "99+")])
def test_open_reviews_are_counted_for_operators(
    people: Cast, monkeypatch: pytest.MonkeyPatch, count: int, text: str
) -> None:
    monkeypatch.setattr(shell, "COUNT_MAX", 99)
    monkeypatch.setattr(shell, "count_open", lambda actor: count)
    monkeypatch.setattr(shell, "count_for", lambda actor: count)
    dora, alice = actor(people.dora), actor(people.alice, people.acme)
    assert shell._reviews_open(dora) == text
    assert shell._approvals_open(dora) == str(count or "")
    assert shell._reviews_open(alice) == shell._approvals_open(alice) == ""


def test_balance_is_shown_to_those_who_may_read_it(people: Cast) -> None:
    make_key(people.core)
    add_opening_credit(people.acme, 7 * 10**9)
    members.set_member(people.acme, "bill@example.org", Role.BILLING, actor=SYSTEM)
    bill = people.acme.memberships.get(user__email="bill@example.org").user
    assert shell._balance_nano(actor(bill, people.acme)) == 7 * 10**9
    assert shell._balance_nano(actor(people.bob, people.acme)) is None
    assert shell._balance_nano(actor(people.dora)) is None
