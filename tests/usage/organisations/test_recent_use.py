"""What members used: the month's spending, and when they last did anything."""

import datetime as dt
from collections.abc import Callable

from accounts.models import Key
from lib import clock
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import happen
from usage.organisations.recent_use import MemberUse, use_of_members

QUARTER = dt.timedelta(minutes=15)


def test_spending_is_the_months_and_the_last_request_of_ninety_days(
    people: Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    month = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = month - QUARTER
    happen(key, month, charge_nano=1_000)
    happen(key, before, charge_nano=20_000)
    happen(key, month - 40 * dt.timedelta(days=1), charge_nano=300_000)
    alices, _ = make_key(people.core, "alice", user=people.alice)
    happen(alices, before, charge_nano=4_000_000)
    sum_up()
    both = [people.alice.pk, people.bob.pk]
    assert use_of_members(actor(people.alice, people.acme), both) == {
        people.alice.pk: MemberUse(0, before),
        people.bob.pk: MemberUse(1_000, month),
    }
