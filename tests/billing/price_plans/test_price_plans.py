"""Price plans: which changes of a multiplier one operator makes alone."""

import pytest

from accounts.access.actors import SYSTEM, Actor
from accounts.models import Membership
from billing.models import Plan
from billing.price_plans.price_plans import (
    Holder,
    PlanRefused,
    SecondPersonNeeded,
    assign_plan,
    remove_plan,
    save_plan,
)
from billing.prices.pricing import PPM
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


def put(holder: Holder, name: str, multiplier_ppm: int) -> None:
    """Put a holder on a plan of that multiplier, as a file of the installation does."""
    save_plan(SYSTEM, name, multiplier_ppm=multiplier_ppm)
    assign_plan(SYSTEM, holder, name)


@pytest.fixture
def bob(people: Cast) -> Membership:
    return Membership.objects.get(user=people.bob, organisation=people.acme)


@pytest.mark.parametrize("level", ["organisation", "team", "member"])
def test_one_operator_halves_a_used_plan_and_two_cut_it_deeper(
    people: Cast, dora: Actor, bob: Membership, level: str
) -> None:
    holders: dict[str, Holder] = {"organisation": people.acme, "team": people.core, "member": bob}
    put(holders[level], "own", PPM)
    save_plan(dora, "own", multiplier_ppm=PPM // 2)
    with pytest.raises(SecondPersonNeeded):
        save_plan(dora, "own", multiplier_ppm=PPM // 4 - 1)
    assert Plan.objects.get().multiplier_ppm == PPM // 2
    with pytest.raises(PlanRefused, match="in use"):
        remove_plan(dora, Plan.objects.get())


def test_plan_of_a_person_is_compared_with_each_that_may_apply(
    people: Cast, dora: Actor, bob: Membership
) -> None:
    """Without one of their own, their keys may have the plan of any team, or the organisation's:
    the dearest of these before a cut, and the cheapest after it."""
    put(people.core, "dear", 3 * PPM)
    save_plan(SYSTEM, "own", multiplier_ppm=PPM * 14 // 10)
    with pytest.raises(SecondPersonNeeded):
        assign_plan(dora, bob, "own")
    put(bob, "dearest", 4 * PPM)
    with pytest.raises(SecondPersonNeeded):
        assign_plan(dora, bob, "")
    assign_plan(dora, bob, "dear")
