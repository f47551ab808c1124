"""The time of a Live session: what it is at most, by our own count, and in its stretches."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices.pricing import PriceVersion, total_of
from dialects.realtime.live import TimeReading, read_time
from dialects.usage.session_time import session_minutes
from relay.realtime.live.connection_time import SLACK_MS, ConnectionTime, part_of
from relay.realtime.live.operation import METER
from relay.realtime.live.stretches import FULL_STRETCH, StretchMeter

PRICE = PriceVersion(rates={METER: 50_000})


def parts_of(total_ms: int) -> list[int]:
    """The stretches of so much time, the last one with what remains."""
    starts = range(0, max(1, -(-total_ms // FULL_STRETCH.ms)) * FULL_STRETCH.ms, FULL_STRETCH.ms)
    return [part_of(total_ms, at, FULL_STRETCH.ms, is_last=at == starts[-1]) for at in starts]


@given(st.integers(0, 7_200_000))
def test_stretches_are_the_whole_time(total_ms: int) -> None:
    parts = parts_of(total_ms)
    assert sum(parts) == total_ms
    assert all(part == FULL_STRETCH.ms for part in parts[:-1])
    assert parts[-1] <= FULL_STRETCH.ms


@given(st.integers(0, 7_200_000))
def test_the_charges_of_all_stretches_are_that_of_the_time(total_ms: int) -> None:
    """P1: no rounding adds up: only the last stretch is rounded."""
    charged = sum(_charge(part) for part in parts_of(total_ms))
    exact = Fraction(total_ms * 50_000_000, 60_000)
    assert abs(charged - exact) <= Fraction(1, 2) + Fraction(1, 40)


@pytest.mark.parametrize(
    ("ms", "nano"),
    [
        (59_999, 49_999_167), (60_000, 50_000_000), (60_001, 50_000_833),
        (119_999, 99_999_167), (120_000, 100_000_000), (120_001, 100_000_833),
    ],
)  # fmt: skip
def test_minutes_at_their_bounds(ms: int, nano: int) -> None:
    assert sum(_charge(part) for part in parts_of(ms)) == nano


def _charge(ms: int) -> int:
    charge = total_of({METER: session_minutes(ms)}, PRICE)
    assert isinstance(charge, int)
    return charge


def test_a_stretch_has_a_new_mark_only_once_its_time_has_moved() -> None:
    hold = SimpleNamespace(attempt_id=UUID(int=1), price=SimpleNamespace(version=PRICE), cost=None)
    meter = StretchMeter(cast(Any, SimpleNamespace(hold=hold, cut_above=None)))
    marks = []
    for least_ms in (0, 30_000, 30_000, 60_000):
        meter.stretch.least_ms = least_ms
        marks.append(meter.mark())
    assert [mark is None for mark in marks] == [True, False, True, False]


def test_a_time_is_at_most_that_of_the_clock_or_of_the_sound() -> None:
    time = ConnectionTime(100.0)
    assert time.most_ms(107.5) == 7_500
    assert time.most_ms(107.5, more_ms=9_000) == 9_000
    time.add_input(20_000)
    assert time.most_ms(107.5) == 20_000
    assert time.report(6_000, 107.5) == ""
    # The clock goes on from the report, which may be behind the sound.
    assert time.most_ms(108.5) == 20_000
    assert time.most_ms(130.0) == 28_500


def test_our_own_count_is_that_of_the_sound() -> None:
    time = ConnectionTime(0.0)
    time.add_output(3_000)
    assert (time.own_ms(1.0), time.own_ms(9.0)) == (1_000, 3_000)
    time.add_input(5_000)
    assert time.own_ms(9.0) == 5_000
    time.reach(6_000)
    assert (time.own_ms(9.0), time.least_ms) == (6_000, 6_000)
    assert time.report(7_000, 9.0) == ""
    assert (time.own_ms(9.0), time.least_ms) == (7_000, 7_000)


def test_reports_that_cannot_be() -> None:
    """F27: time does not go back, nor run faster than the clock and the sound."""
    time = ConnectionTime(0.0)
    assert time.report(10_000 + SLACK_MS, 10.0) == ""
    assert time.report(10_000 + SLACK_MS - 1, 10.0) == "usage_negative"
    assert time.report(10_000 + 2 * SLACK_MS, 10.0) == ""
    assert time.report(10_000 + 3 * SLACK_MS + 1, 10.0) == "usage_huge"


@pytest.mark.parametrize(
    ("raw", "reading"),
    [
        (b'{"seconds": 7}', TimeReading(7_000, (), ())),
        (b'{"seconds": 7.0015}', TimeReading(7_002, (), ())),
        (b'{"seconds": 0.1}', TimeReading(100, (), ())),
        (b'{"seconds": 7, "standby": 1}', TimeReading(7_000, (), ("standby",))),
        (b'{"seconds": null}', TimeReading(None, ("usage_missing",), ())),
        (b"{}", TimeReading(None, ("usage_missing",), ())),
        (b"", TimeReading(None, ("usage_missing",), ())),
        (b"[7]", TimeReading(None, ("usage_unreadable",), ())),
        (b'{"seconds": true}', TimeReading(None, ("usage_not_integer",), ())),
        (b'{"seconds": "7"}', TimeReading(None, ("usage_not_integer",), ())),
        (b'{"seconds": -0.001}', TimeReading(None, ("usage_negative",), ())),
        (b'{"seconds": 20000.001}', TimeReading(None, ("usage_huge",), ())),
        (b'{"seconds": 1e400}', TimeReading(None, ("usage_unreadable",), ())),
    ],
)
def test_what_a_usage_says(raw: bytes, reading: TimeReading) -> None:
    assert read_time(msgspec.Raw(raw)) == reading


def test_last_stretch_has_what_its_provider_counted_beyond_it() -> None:
    assert part_of(60_500, 0, 60_000, is_last=True) == 60_500
    assert part_of(60_500, 0, 60_000, is_last=False) == 60_000
    assert part_of(500, 60_000, 60_000, is_last=True) == 0


def test_same_total_may_be_reported_twice_and_an_event_may_come_late() -> None:
    time = ConnectionTime(0.0)
    assert [time.report(ms, 9.0) for ms in (5_000, 5_000, 4_999)] == ["", "", "usage_negative"]
    time.reach(8_000)
    time.reach(7_000)
    assert time.least_ms == 8_000
