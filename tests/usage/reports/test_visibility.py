"""Which rows of requests a report is made of: by person, however their address is written."""

import datetime as dt

import pytest

from accounts.models import Key, User
from tests import cast
from tests.usage.rows import NOON, happen
from usage.reports.filters import Scope, from_query
from usage.reports.visibility import Period, run, where_of
from usage.rollups.buckets import Span

MOMENT = dt.timedelta(microseconds=1)


def counted(people: cast.Cast, scope: Scope, period: Period | Span) -> int:
    where = where_of(cast.actor(people.alice, people.acme), "requests.read", scope, period)
    text = f"SELECT count(*) FROM usage_usagerecord r WHERE {where.text}"
    ((count,),) = run(text, where.parameters)
    return int(count)


@pytest.mark.parametrize("stored", ["bob@example.org", "Bob@Example.org", "BOB@EXAMPLE.ORG"])
@pytest.mark.parametrize("asked", ["bob@example.org", "Bob@Example.ORG"])
def test_a_person_is_found_by_any_case_of_the_address(
    people: cast.Cast, key: Key, stored: str, asked: str
) -> None:
    User.objects.filter(id=people.bob.id).update(email=stored)
    happen(key, NOON)
    other, _ = cast.make_key(people.core, "alices", user=people.alice)
    happen(other, NOON)
    scope = from_query({"user": [asked]}, NOON, channels=True).scope
    assert counted(people, scope, Period()) == 1


def test_periods_that_follow_each_other_share_no_request(people: cast.Cast, key: Key) -> None:
    for at in (NOON - MOMENT, NOON, NOON + MOMENT):
        happen(key, at)
    before, after = Period(end_at=NOON), Period(start_at=NOON)
    assert (counted(people, Scope(), before), counted(people, Scope(), after)) == (1, 2)
    assert counted(people, Scope(), Period(NOON, NOON + MOMENT)) == 1
