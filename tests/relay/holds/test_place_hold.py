"""Included units of a request whose model has no price."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from billing.subscriptions.included_units import Allowance
from relay.hold_sizes.estimate import Size
from relay.holds import place_hold
from relay.holds.place_hold import NOTHING_TAKEN, take_units


def test_a_free_model_uses_no_included_units() -> None:
    allowance = Allowance(1, "out_text", ("*",))
    principal = cast(Any, SimpleNamespace(allowances=(allowance,)))
    routed = cast(Any, SimpleNamespace(estimate=None, model=SimpleNamespace(name="free")))
    size = cast(Any, SimpleNamespace(output_cap=None))
    assert take_units(principal, routed, size, {}) is NOTHING_TAKEN


@pytest.mark.parametrize(
    ("left", "units", "nano"),
    [
        # The rest of the price is held: what goes beyond the units, and the steps.
        ({}, [("out_text", 30)], 900 - 200 - 50),
        # Of units that were refused, as many as are left; the full price is held.
        ({"1": 12}, [("out_text", 12)], 0),
        ({"1": 0}, [], 0),
        ({"2": 5}, [("out_text", 30)], 0),
        ({"1": 99}, [("out_text", 30)], 0),
    ],
)
def test_included_units_pay_what_they_cover(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, int], units: Any, nano: int
) -> None:
    allowance = Allowance(1, "out_text", ("*",))
    monkeypatch.setattr(place_hold, "wanted_units", lambda ways, usable: {"out_text": 30})
    monkeypatch.setattr(place_hold, "beyond_nano", lambda ways, wanted, version: 200)
    estimate = SimpleNamespace(ways=lambda cap: ["way"], version="v", steps_nano=lambda cap: 50)
    principal = cast(Any, SimpleNamespace(allowances=(allowance,)))
    routed = cast(Any, SimpleNamespace(estimate=estimate, model=SimpleNamespace(name="m")))
    taken = take_units(principal, routed, Size(900, None), left)
    assert [(one.meter, count) for one, count in taken.units] == units
    assert taken.nano == nano
    # Never less than nothing.
    if not left:
        assert take_units(principal, routed, Size(100, None), left).nano == 0
    monkeypatch.setattr(place_hold, "wanted_units", lambda ways, usable: {})
    assert take_units(principal, routed, Size(900, None), left) is NOTHING_TAKEN
