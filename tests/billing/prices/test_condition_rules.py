"""Hours of the day, as people write them."""

import pytest

from billing.prices.conditions import ConditionInvalid, Hours, read_hours


@pytest.mark.parametrize(
    ("text", "start_s", "end_s"),
    [
        ("00:00-00:01", 0, 60),
        ("16:30-00:30", 59_400, 1_800),
        ("23:59-01:00", 86_340, 3_600),
        ("01:00-23:00", 3_600, 82_800),
    ],
)
def test_hours_are_seconds_of_the_day(text: str, start_s: int, end_s: int) -> None:
    assert read_hours(text) == Hours(start_s, end_s)


@pytest.mark.parametrize(
    "text", ["24:00-01:00", "1:00-2:00", "01:60-02:00", "01:00", "05:00-05:00"]
)
def test_invalid_hours_are_rejected(text: str) -> None:
    with pytest.raises(ConditionInvalid):
        read_hours(text)


def test_no_hours_are_the_whole_day() -> None:
    assert read_hours("") is None


@pytest.mark.parametrize(
    ("text", "second", "holds"),
    [
        ("01:00-02:00", 3_599, False),
        ("01:00-02:00", 3_600, True),
        ("01:00-02:00", 7_199, True),
        ("01:00-02:00", 7_200, False),
        ("23:00-01:00", 82_799, False),
        ("23:00-01:00", 82_800, True),
        ("23:00-01:00", 0, True),
        ("23:00-01:00", 3_599, True),
        ("23:00-01:00", 3_600, False),
    ],
)
def test_hours_hold_from_their_start_to_before_their_end(
    text: str, second: int, holds: bool
) -> None:
    hours = read_hours(text)
    assert hours is not None
    assert hours.hold_at(second) is holds
