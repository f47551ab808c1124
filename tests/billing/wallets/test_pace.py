"""How long a balance lasts, at what was spent of late."""

import datetime as dt

import pytest

from billing.wallets.pace import Pace, pace_days, pace_of

TODAY = dt.date(2026, 3, 1)


def test_pace_uses_a_week_or_what_there_is() -> None:
    assert [pace_days(lived) for lived in (0, 1, 3, 7, 90)] == [1, 1, 3, 7, 7]


@pytest.mark.parametrize(
    ("total_nano", "spent_nano", "pace"),
    [
        (0, 70, Pace("now")),
        (-1, 0, Pace("now")),
        (1, 0, Pace("none")),
        (100, 0, Pace("none")),
        (1, 1, Pace("date", dt.date(2026, 3, 8), 7)),
        (100, 70, Pace("date", dt.date(2026, 3, 11), 10)),
        (3_650, 70, Pace("date", dt.date(2027, 3, 1), 365)),
        (3_660, 70, Pace("later")),
    ],
)
def test_balance_lasts_at_the_current_pace(total_nano: int, spent_nano: int, pace: Pace) -> None:
    assert pace_of(total_nano, spent_nano, 7, TODAY) == pace
