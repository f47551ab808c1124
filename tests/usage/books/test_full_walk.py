"""The walks through the whole books take a limited share of a core."""

import datetime as dt

import pytest

from accounts.models import Key
from billing.models import BooksWalk
from lib import clock
from tests import cast
from tests.usage.rows import admit, credit, end
from usage.books import full_walk
from usage.books.full_walk import QUIET_SHARE, SHARE, TURN, check_whole
from usage.books.walk import WHOLE

pytestmark = pytest.mark.django_db
TOOK_S = 2.0


@pytest.fixture
def key(people: cast.Cast) -> Key:
    created, _ = cast.make_key(people.core, user=people.bob)
    credit(created)
    return created


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn takes as long."""
    times = iter(range(10_000))
    monkeypatch.setattr("usage.books.full_walk.time.monotonic", lambda: next(times) * TOOK_S)
    monkeypatch.setattr(full_walk, "_continue_walk", lambda stored: None)


def rest_s() -> float:
    """How long the next turn waits after this one."""
    BooksWalk.objects.filter(name=TURN).update(rest_until=clock.now())
    check_whole()
    rest = BooksWalk.objects.get(name=TURN).rest_until - clock.now()
    return rest.total_seconds()


def test_a_quiet_installation_is_walked_at_a_tenth_of_the_share(key: Key) -> None:
    busy, quiet = (
        pytest.approx(TOOK_S * (1 / share - 1), rel=0.05) for share in (SHARE, QUIET_SHARE)
    )
    assert rest_s() == busy
    assert [rest_s(), rest_s()] == [quiet, quiet]
    end(admit(key, clock.now()))
    assert rest_s() == busy
    assert rest_s() == quiet


def test_a_walk_that_began_days_ago_goes_on_at_the_whole_share(key: Key) -> None:
    rest_s()
    long_ago = clock.now() - dt.timedelta(days=2)
    BooksWalk.objects.filter(name=WHOLE).update(began_at=long_ago)
    assert rest_s() == pytest.approx(TOOK_S * (1 / SHARE - 1), rel=0.05)
