"""Ids sort by creation, and are told and read without loss."""

import datetime as dt
import os
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ids import (
    first_id_at,
    id_before,
    id_text,
    ids_near,
    new_id,
    new_ids,
    parse_id,
    parse_number,
)


def test_successive_ids_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a millisecond, too: an audit trail of one request reads in its order."""
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    items = []
    for _ in range(5_000):
        items.append(new_id())
        now_ns += 250
    assert items == sorted(items)
    assert [id_text(one) for one in items] == sorted(map(id_text, items))


def test_ids_are_of_version_7_and_of_their_instant() -> None:
    before = dt.datetime.now(dt.UTC)
    ids = new_ids(1_000)
    after = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=1)
    assert len(set(ids)) == 1_000
    for one in ids:
        assert (one.version, one.variant) == (7, uuid.RFC_4122)
        assert first_id_at(before) <= one < first_id_at(after)


def test_a_child_draws_other_numbers_than_its_parent() -> None:
    """What is drawn ahead is not drawn twice."""
    new_id()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.write(theirs, b"".join(new_id().bytes[8:] for _ in range(3)))
        os._exit(0)
    os.waitpid(child, 0)
    read = os.read(ours, 64)
    os.close(ours)
    os.close(theirs)
    drawn = {read[at : at + 8] for at in range(0, 24, 8)}
    assert len(drawn) == 3
    assert drawn.isdisjoint(new_id().bytes[8:] for _ in range(100))


@given(st.uuids())
def test_id_round_trips_in_26_letters(value: uuid.UUID) -> None:
    text = id_text(value)
    assert (len(text), parse_id(text), parse_id(text.lower())) == (26, value, value)


@pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "U" * 26, "Z" * 26, "0" * 25 + "I"])
def test_invalid_id_is_none(text: str) -> None:
    assert parse_id(text) is None


def test_number_is_read_within_a_columns_range() -> None:
    assert parse_number("007") == 7
    for text in ("", "-1", "1 ", "1\n", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 19, "9" * 5000):
        assert parse_number(text) is None


def test_ids_near_a_request_are_of_a_day_on_either_side() -> None:
    at = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
    first, last = ids_near(first_id_at(at))
    assert first == first_id_at(at - dt.timedelta(days=1))
    assert last == first_id_at(at + dt.timedelta(days=1))
    assert id_before(uuid.UUID(int=5), dt.timedelta(days=1)).int == 0
