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
