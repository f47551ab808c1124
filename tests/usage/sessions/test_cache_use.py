"""What of a session's input came from cache, what could have, and what it saved."""

import csv
import datetime as dt
import io

import pytest

from accounts.models import Key
from lib.ids import id_text, new_id
from tests.support import cast
from tests.usage.rows import NOON
from tests.usage.sessions.test_sessions import SESSIONS, api, page_of, turn
from usage.records.counted_meters import Tokens
from usage.sessions import cache_use
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
def test_input_the_cache_could_have_served(turns: list[CachedTurn], reachable: int) -> None:
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
    assert "44.0% achievable cache rate" in page
    assert "$0.004 saved" in page
    detail = api(people).get(f"/api/v1/sessions/{id_text(session)}").json()
    assert detail["cache"] == {"read": 2500, "cached": 900, "reachable": 1100, "saved": "0.004"}


def test_cache_use_of_too_many_turns_is_not_read(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P35: a client that names one session for all its requests makes no page without bounds."""
    session = new_id()
    for seconds in range(3):
        turn(key, session, seconds, meters={"in_text": 10, "in_cache_read": 90})
    monkeypatch.setattr(cache_use, "_ROWS", 2)
    path, client = f"/{id_text(session)}", api(people)
    assert client.get(f"/api/v1/sessions{path}").json()["cache"]["read"] == 300
    monkeypatch.setattr(cache_use, "TURNS_MAX", 2)
    assert client.get(f"/api/v1/sessions{path}").json()["cache"] is None
    page = page_of(cast.signed_in(people.alice), path)
    assert "Too many turns to sum up their input" in page
    assert "Input from cache" not in page


def test_cache_writes_sum_the_receipts(people: cast.Cast, key: Key) -> None:
    """In the list, on the page, for each agent and turn, in the export and by the API."""
    session = new_id()
    turn(key, session, 0, meters={"in_text": 5, "in_cache_write_5m": 1_200, "out_text": 3})
    meters = {"in_text": 5, "in_cache_read": 1_200, "in_cache_write_5m": 30, "out_text": 3}
    turn(key, session, 60, meters={**meters, "in_cache_write_1h": 4_000}, named={"agent": "a"})
    turn(key, session, 90, meters={"in_text": 7, "out_text": 1})
    client = api(people)
    requests = client.get(f"/api/v1/requests?session={id_text(session)}").json()["items"]
    receipts = [
        sum(units for name, units in one["meters"].items() if name.startswith("in_cache_write"))
        for one in requests
    ]
    assert sorted(receipts) == [0, 1_200, 4_030]
    (listed,) = client.get("/api/v1/sessions").json()["items"]
    detail = client.get(f"/api/v1/sessions/{id_text(session)}").json()
    assert listed["cache_written"] == detail["cache_written"] == sum(receipts)
    assert [one["cache_written"] for one in detail["agents"]] == [1_200, 4_030]
    alice = cast.signed_in(people.alice)
    assert "5,230" in page_of(alice, "?cols=name,cache_written")
    page = page_of(alice, f"/{id_text(session)}")
    assert "5,230 written to cache" in page
    for text in ("Cache writes", ">1,200<", ">4,030<"):
        assert text in page, text
    for path, column, written in (
        ("", "name,cache_written", [["5230"]]),
        (f"/{id_text(session)}", "time,cache_written", [["1200"], ["4030"], ["0"]]),
    ):
        answer = alice.get(f"{SESSIONS}{path}?cols={column}&export=csv")
        text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert [row[1:] for row in rows[1:]] == written
