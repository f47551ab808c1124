"""What a turn is likely to cost."""

import datetime as dt

import pytest

from playground.payers.paying import likely_charge_nano
from tests import cast
from tests.usage import rows

pytestmark = pytest.mark.django_db


def test_median_of_the_persons_last_answers_to_that_model(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core, user=people.alice)
    other, _ = cast.make_key(people.core, "other", user=people.bob)
    rows.credit(key)
    alice = cast.actor(people.alice, people.acme)
    assert likely_charge_nano(alice, "gpt-5") is None
    for n, charge in enumerate((900, 100, 300, 200, 400)):
        rows.happen(key, rows.NOON + dt.timedelta(minutes=n), charge_nano=charge)
    rows.happen(key, status=502, charge_nano=0)
    rows.happen(key, model="gpt-4", charge_nano=5)
    rows.happen(other, charge_nano=5)
    assert likely_charge_nano(alice, "gpt-5") == 300
    assert likely_charge_nano(cast.actor(people.charlie, people.stranger), "gpt-5") is None
