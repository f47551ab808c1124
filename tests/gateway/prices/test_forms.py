"""A version of a price while it is edited, without a page."""

import datetime as dt

import pytest

from billing.prices.conditions import PriceKey
from gateway.prices.forms import PriceEdit


@pytest.mark.parametrize(
    ("typed", "start"),
    [("", None), ("2026-01-02T03:04", dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC))],
)
def test_empty_start_is_the_publication(typed: str, start: dt.datetime | None) -> None:
    edit = PriceEdit(PriceKey("m"), [], valid_from=typed)
    assert (edit.begins_at(), edit.problems) == (start, False)


def test_start_that_is_no_time_is_reported() -> None:
    edit = PriceEdit(PriceKey("m"), [], valid_from="soon")
    assert (edit.begins_at(), edit.errors) == (None, ["The start must be a date and time."])
