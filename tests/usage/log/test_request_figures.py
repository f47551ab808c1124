"""What the pages of requests say of attempts, speed and amounts, from the figures alone."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from lib import clock
from lib.numbers.formatting import SPEED_FROM_MS
from usage.buckets.buckets import Span
from usage.filters import filters
from usage.log.log_views import _bar
from usage.log.receipt_context import _attempt, _rate, _receipt, _receipt_places
from usage.log.request_views import _outcome, _speed
from usage.requests.histogram import Bar


def bars_of(*times: tuple[int, int | None, int | None], ago_ms: int = -1) -> list[tuple[Any, ...]]:
    """Of attempts that began, got the first token and ended then; of a request that began `ago_ms`
    ago and runs, or has ended."""
    attempts = [
        SimpleNamespace(
            start_ms=start, ttft_ms=first, end_ms=end, display_kind="", basis="metered", why="",
            skipped=(), postings=(),
        )
        for start, first, end in times
    ]  # fmt: skip
    began = clock.now() - dt.timedelta(milliseconds=max(ago_ms, 0), hours=ago_ms < 0)
    row = SimpleNamespace(admitted_at=began, running=ago_ms >= 0)
    detail: Any = SimpleNamespace(attempts=attempts, row=row)
    names = ("whole", "wait_ms", "first_ms", "answer_ms", "took_ms")
    shown: list[Any] = [_attempt(detail, one) for one in attempts]  # type: ignore[arg-type]
    return [tuple(one[name] for name in names) for one in shown]


@pytest.mark.parametrize(
    ("times", "bars"),
    [
        ([(0, 300, 1000)], [(1000, 300, 300, 700, 1000)]),
        # One that failed before a first token, and the next.
        ([(0, None, 400), (400, 900, 2000)],
         [(2000, 400, None, 0, 400), (2000, 500, 900, 1100, 1600)]),
        # Clocks of two processes differ.
        ([(50, 20, 40)], [(40, 0, 50, 0, 0)]),
        ([(0, 1200, 1000)], [(1000, 1000, 1000, 0, 1000)]),
        ([(0, None, 0)], [(1, 0, None, 0, 0)]),
    ],
)  # fmt: skip
def test_attempt_is_a_bar_within_its_request(times: Any, bars: Any) -> None:
    assert bars_of(*times) == bars


def test_attempt_that_runs_lasts_until_now() -> None:
    [(whole, wait_ms, first_ms, answer_ms, took_ms)] = bars_of((100, None, None), ago_ms=60_000)
    assert 60_000 <= whole < 90_000
    assert (wait_ms, first_ms, answer_ms, took_ms) == (whole - 100, None, 0, whole - 100)


@pytest.mark.parametrize(
    ("tokens", "ttft_ms", "total_ms", "shown"),
    [
        (99, 1000, 2000, "99.0 tok/s after that"),
        (999, 1000, 11_000, "99.9 tok/s after that"),
        (1000, 1000, 11_000, "100 tok/s after that"),
        (123_456, 0, 10_000, "12345 tok/s after that"),
        (99, None, 2000, ""),
        (0, 1000, 2000, ""),
        (99, 1000, 1000 + SPEED_FROM_MS - 1, ""),
    ],
)
def test_speed_has_one_decimal_below_a_hundred(
    tokens: int, ttft_ms: int | None, total_ms: int, shown: str
) -> None:
    row: Any = SimpleNamespace(meters={"out_text": tokens}, ttft_ms=ttft_ms, total_ms=total_ms)
    assert _speed(row) == shown


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"running": True, "stopped": True}, None),
        ({"stopped": True, "rejected": True}, "Stopped"),
        (
            {"rejected": True, "unanswered": True, "display_kind": "rate_limited"},
            "Rate limit reached",
        ),
        ({"unanswered": True, "display_kind": "timeout"}, "No answer within the time limit"),
        ({"unanswered": True, "status": 418}, "418"),
        ({}, "Completed"),
    ],
)
def test_outcome_of_a_request_is_the_first_that_fits(over: Any, text: str | None) -> None:
    states = dict.fromkeys(("running", "stopped", "rejected", "unanswered"), False)
    row: Any = SimpleNamespace(**{**states, "display_kind": "", "status": 200, **over})
    badge = _outcome(row)
    assert (badge and str(badge.text)) == text


@pytest.mark.parametrize(
    ("day", "hours", "short", "text"),
    [
        ("2026-03-28", 24, "28 Mar", "28 Mar: 1,234 requests, 7 failed"),
        # A day on which the clocks are put forward.
        ("2026-03-29", 23, "29 Mar", "29 Mar: 1,234 requests, 7 failed"),
        ("2026-03-28", 6, "28 Mar, 00:00", "28 Mar, 00:00: 1,234 requests, 7 failed"),
    ],
)
def test_bar_of_a_whole_day_is_named_by_its_date(
    day: str, hours: int, short: str, text: str
) -> None:
    query = {"range": ["custom"], "from": [day], "to": [day], "tz": ["Europe/Berlin"]}
    asked = filters.from_query(query, clock.now(), channels=False, log=True)
    span = Span(asked.start_at, asked.start_at + dt.timedelta(hours=hours))
    shown = _bar(asked, Bar(span, 1234, 7), {})
    assert (shown["short"], shown["text"]) == (short, text)


def test_receipt_has_each_amount_in_its_place_and_takes_off_what_is_less() -> None:
    names = ("rounding", "above_hold", "waived", "own", "fee")
    amounts = dict(zip(names, ("0.1", "0.2", "0.3", "0.4", "0.00005"), strict=True))
    receipt: Any = SimpleNamespace(lines=(), charge_nano=6, cached=None, **amounts)
    shown = _receipt(receipt, None, 2)
    assert {name: shown[name] for name in (*names, "charge", "multiplier")} == {
        "rounding": "$0.10", "above_hold": "−$0.20", "waived": "−$0.30", "own": "−$0.40",
        "fee": "$0.00005", "charge": "$0.000000006", "multiplier": "",
    }  # fmt: skip
    detail: Any = SimpleNamespace(corrections=(), own_change_nano=0, receipt=receipt, payers=None)
    assert _receipt_places(detail) == 9
    receipt.charge_nano = 0
    assert _receipt_places(detail) == 5


@pytest.mark.parametrize(
    ("meter", "rate"),
    [
        ("in_text", "$1.25 / 1M"), ("session_minutes", "$1250.00 / min"),
        ("searches", "$0.00000125 each"),
    ],
)  # fmt: skip
def test_rate_of_a_line_is_in_the_units_of_its_meter(meter: str, rate: str) -> None:
    assert _rate(meter, 1_250_000_000) == rate
