"""Included units of a request whose model has no price."""

from types import SimpleNamespace
from typing import Any, cast

from billing.subscriptions.included_units import Allowance
from relay.holds.place_hold import NOTHING_TAKEN, take_units


def test_a_free_model_uses_no_included_units() -> None:
    allowance = Allowance(1, "out_text", ("*",))
    principal = cast(Any, SimpleNamespace(allowances=(allowance,)))
    routed = cast(Any, SimpleNamespace(estimate=None, model=SimpleNamespace(name="free")))
    size = cast(Any, SimpleNamespace(output_cap=None))
    assert take_units(principal, routed, size, {}) is NOTHING_TAKEN
