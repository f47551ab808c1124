"""What the panels of home say and where they lead (W03): each figure under its own name."""

import datetime as dt
import html
import re

import pytest

from accounts.models import Key
from billing.ledger.ledger import post
from billing.ledger.posting import Entry, Posting
from lib import clock
from tests.config.home.test_home import alices, panel, sum_up
from tests.support.cast import Cast, make_key, signed_in
from tests.support.markup import squeezed
from tests.usage.rows import admit, happen

pytestmark = pytest.mark.django_db
__all__ = ["alices"]


@pytest.mark.parametrize(("name", "group"), [("keys", "key"), ("models", "model")])
def test_ranking_leads_to_usage_grouped_alike(
    people: Cast, alices: Key, name: str, group: str
) -> None:
    happen(alices, clock.now(), 10**9)
    sum_up()
    alice = signed_in(people.alice)
    match = re.search(r'href="([^"]+)">View all</a>', squeezed(panel(alice, name)))
    assert match is not None
    whole = squeezed(alice.get(html.unescape(match[1])).content.decode())
    assert f'id="group-{group}" aria-current="true"' in whole


@pytest.mark.parametrize(("name", "group"), [("keys", "key"), ("models", "model")])
def test_ranking_shows_the_largest_alone(people: Cast, alices: Key, name: str, group: str) -> None:
    for n in range(7):
        key, _ = make_key(people.core, f"own-{n}", user=people.alice)
        happen(key, clock.now(), (n + 1) * 10**9, model=f"own-{n}")
    sum_up()
    shown = panel(signed_in(people.alice), name)
    names = re.findall(r"\bown-\d\b", squeezed(shown))
    assert list(dict.fromkeys(names)) == [f"own-{n}" for n in (6, 5, 4, 3, 2)]


def test_running_request_is_shown_with_its_hold(people: Cast, alices: Key) -> None:
    admit(alices, clock.now(), hold_nano=42_000_000)
    happen(alices, clock.now(), 310_000_000)
    latest = panel(signed_in(people.alice), "latest")
    assert "$0.042 reserved" in squeezed(latest)
    assert "$0.31" in latest


def test_balance_shows_holds_or_debt(people: Cast, alices: Key) -> None:
    admit(alices, clock.now(), hold_nano=2 * 10**9)
    alice = signed_in(people.alice)
    assert "$2.00 reserved" in squeezed(panel(alice, "summary"))
    owner = people.acme.id
    owed = (
        Entry("customer:debt", owner, -3 * 10**9),
        Entry("equity:adjustment", owner, 3 * 10**9),
    )
    post(Posting("test:owed", "adjust", owed))
    assert "$3.00 owed" in squeezed(panel(alice, "summary"))


def test_the_months_stand_in_their_own_columns(people: Cast, alices: Key) -> None:
    now = clock.now()
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    happen(alices, (first - dt.timedelta(days=1)).replace(day=1), 3 * 10**9)
    happen(alices, now, 7 * 10**9)
    sum_up()
    spend = squeezed(panel(signed_in(people.alice), "spend"))
    today = re.search(r"<tr data-unfinished>(.*?)</tr>", spend)
    assert today is not None
    assert re.findall(r'data-v="(\d+)"', today[1]) == [str(3 * 10**9), str(7 * 10**9)]
