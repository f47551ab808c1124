"""Tests that share a scene do not meet in it."""

import pytest
from django.db import connection

from accounts.models import Membership, Organisation, Team
from tests.runner import databases
from tests.support.cast import Cast, make_key
from tests.usage.rows import credit, happen


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


@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_committing_test_is_left(people: Cast) -> None:
    """Not in a partitioned table, nor in one that nobody may delete from, nor in one that has
    grown."""
    key, _ = make_key(people.core)
    credit(key)
    happen(key)
    tables = {*connection.introspection.django_table_names(only_existing=True), "accounts_cache"}
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_cache SELECT n, repeat('x', 100), now() "
            "FROM generate_series(1, 1000) AS n"
        )

        def filled() -> set[str]:
            results = set()
            for table in tables - databases.MADE_BY_MIGRATING:
                cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}")')
                results |= {table for (is_filled,) in cursor.fetchall() if is_filled}
            return results

        assert filled() >= {"accounts_cache", "billing_posting", "usage_usagerecord"}
        databases.empty()
        assert filled() == set()
