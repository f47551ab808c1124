"""What a turn would cost over all its columns, without a database."""

from typing import Any

import pytest

from playground.sending.panel_views import BoundLine, ContextUsage, _bound_text
from playground.turns.context_window import Context
from relay.hold_sizes.bound import Bound

_USAGE = ContextUsage("m", Context(1, 2, 3, 4), 100)
_ONE = Bound(30, 7, 11, 13, 5, 100, True, expected_nano=20)


@pytest.mark.parametrize(
    ("bounds", "balance_nano", "changed"),
    [
        ([_ONE], 100, {}),
        ([_ONE], 101, {"by_budget": True}),
        ([_ONE], 99, {}),
        (
            [_ONE, _ONE._replace(hold_nano=70, input_tokens=9, output_tokens=17, output_cap=None)],
            100,
            {"hold_nano": 100, "expected_nano": 40, "output_tokens": 17},
        ),
        # One that is unknown leaves no sum.
        (
            [_ONE, _ONE._replace(expected_nano=None, input_tokens=12)],
            100,
            {"hold_nano": 60, "expected_nano": None, "input_tokens": 12},
        ),
        ([_ONE, _ONE._replace(hold_nano=71)], 100,
         {"hold_nano": 101, "expected_nano": 40, "fits": False}),
        ([_ONE, _ONE._replace(fits=False)], 100,
         {"hold_nano": 60, "expected_nano": 40, "fits": False}),
        # What holds nothing is always paid.
        ([_ONE._replace(hold_nano=0, available_nano=-1, fits=False)], -1,
         {"hold_nano": 0, "available_nano": -1}),
        ([_ONE._replace(hold_nano=1, available_nano=-1)], -1,
         {"hold_nano": 1, "available_nano": -1, "fits": False}),
    ],
)  # fmt: skip
def test_columns_are_counted_together(
    bounds: list[Bound], balance_nano: int, changed: dict[str, Any]
) -> None:
    line = {
        "hold_nano": 30, "expected_nano": 20, "available_nano": 100, "by_budget": False,
        "input_tokens": 11, "output_tokens": 13, "usage": _USAGE, "price_version_id": 5,
        "fits": True, "output_cap": 7, **changed,
    }  # fmt: skip
    assert _bound_text(bounds, _USAGE, balance_nano) == BoundLine(**line)
