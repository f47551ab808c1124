"""What of a session's input came from cache, what could have, and what it saved."""

import datetime as dt

import pytest

from accounts.models import Key
from lib.ids import id_text, new_id
from tests import cast
from tests.usage.rows import NOON
from tests.usage.sessions.test_sessions import api, page_of, turn
from usage.reports.reports import Tokens
from usage.sessions.cache_use import CachedTurn, CacheUse, sum_cache_use

MAIN, SUB = ("", "m"), ("reader", "m")


def at(
    seconds: float, read: int, written: int, cached: int = 0, *, thread: tuple[str, str] = MAIN,
    long: bool = False, saved: int = 0,
) -> CachedTurn:  # fmt: skip
    """A turn that begins then and takes a second."""
    began_at = NOON + dt.timedelta(seconds=seconds)
    tokens = Tokens(sent=read - cached, cached=cached, out=written, reasoning=0)
    return CachedTurn(thread, began_at, began_at + dt.timedelta(seconds=1), tokens, long, saved)


@pytest.mark.parametrize(
    ("turns", "reachable"),
    [
        ([], 0),
        ([at(0, 100, 10)], 0),
        # The first turn found what other sessions had sent.
        ([at(0, 100, 10, 40)], 40),
        ([at(0, 100, 10), at(9, 150, 10)], 110),
        # A turn that sends less than the one before finds no more than it sends.
        ([at(0, 100, 10), at(9, 80, 10)], 80),
        # What came from cache could have, whatever the turn before was.
        ([at(0, 100, 10), at(9, 150, 10, 140)], 140),
        # The cache ends five minutes after the turn before, or an hour.
        ([at(0, 100, 10), at(301, 150, 10)], 110),
        ([at(0, 100, 10), at(301.001, 150, 10)], 0),
        ([at(0, 100, 10, long=True), at(3601, 150, 10)], 110),
        ([at(0, 100, 10, long=True), at(3601.001, 150, 10)], 0),
        # Each agent continues its own turns, and each model has a cache of its own.
        ([at(0, 100, 10), at(2, 500, 10, thread=SUB), at(9, 150, 10)], 110),
        ([at(0, 100, 10), at(9, 150, 10, thread=("", "other"))], 0),
        # A turn that failed has read nothing, so the next one continues the turn before it.
        ([at(0, 100, 10), at(2, 0, 0), at(9, 150, 10)], 110),
    ],
)
def test_input_that_could_have_come_from_cache(turns: list[CachedTurn], reachable: int) -> None:
    assert sum_cache_use(turns).reachable == reachable


def test_sums_are_over_all_turns() -> None:
    turns = [at(0, 100, 10, 20, saved=5), at(9, 150, 10, 90, saved=7)]
    assert sum_cache_use(turns) == CacheUse(read=250, cached=110, reachable=130, saved_nano=12)


def test_page_and_api_show_the_share_and_the_saving(people: cast.Cast, key: Key) -> None:
    session = new_id()
    for seconds, read, cached, saved in ((0, 1000, 0, 0), (9, 1500, 900, 4_000_000)):
        meters = {"in_text": read - cached, "in_cache_read": cached, "out_text": 100}
        turn(key, session, seconds, meters=meters, saved_nano=saved)
    page = page_of(cast.signed_in(people.alice), f"/{id_text(session)}")
    assert "36.0%" in page
    assert "44.0% if every turn found the one before" in page
    assert "$0.004 saved" in page
    detail = api(people).get(f"/api/v1/sessions/{id_text(session)}").json()
    assert detail["cache"] == {"read": 2500, "cached": 900, "reachable": 1100, "saved": "0.004"}
