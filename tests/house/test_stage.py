"""Tests that share a scene do not meet in it."""

import pytest

from accounts.models import Membership, Organisation, Team
from tests.support.cast import Cast


@pytest.mark.parametrize("turn", [1, 2])
def test_changes_to_a_scene_are_invisible_to_other_tests(people: Cast, turn: int) -> None:
    assert (people.core.name, Team.objects.get(id=people.core.id).name) == ("core", "core")
    people.core.name = f"of test {turn}"
    people.core.save()
    assert Membership.objects.filter(user=people.bob).delete()[0] == 1


@pytest.mark.django_db
def test_no_scene_is_found_unless_requested() -> None:
    assert not Organisation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_committing_test_has_its_own_scene(people: Cast) -> None:
    people.core.name = "committed"
    people.core.save()
    assert Organisation.objects.count() == 2
