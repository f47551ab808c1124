"""I10: what a request costs is its stored price times the multiplier of its plan. Whoever reads a
stored price multiplies it there, or stands in a list with who does."""

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from tests.house.sources import Scope, name_of, scopes

_CLASS: Final = "PriceVersion"
_ELSEWHERE: Final[Mapping[str, str]] = {
    "billing/prices/lookup.py:_price": "prices of a list, which PriceList.find multiplies",
    "billing/prices/pricing.py:stored_parts": "a part has the multiplier of its request's version",
    "billing/prices/prices.py:set_price": "asks whether the rates can be read",
    "billing/prices/proposals.py:draft_price": "asks whether the rates can be read",
    "config/apply/loading.py:_Checker._prices": "asks whether the rates can be read",
    "gateway/prices/forms.py:_sent_conditions": "asks whether the conditions can be read",
    "gateway/prices/previews.py:Book._learn": "asks which tier of it a request had reached",
    "usage/books/charge_check.py:wrong_charges_after": "_judge multiplies",
    "usage/management/demo_data.py:_shape": "its customers have no plan",
    "usage/management/demo_data.py:_total": "its customers have no plan",
    "usage/months/invoice_lines.py:_versions": "a line of an invoice has its multiplier apart",
}
"""Who reads a stored price and does not multiply it, and why."""


def _calls(scope: Scope, name: str) -> Iterator[ast.expr]:
    """On what a function calls a method of that name."""
    for node in scope.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == name
        ):
            yield node.func.value


def readers() -> set[str]:
    """The functions that read a stored price and do not multiply it."""
    return {
        f"{scope.path}:{scope.name}"
        for scope in scopes()
        if any(name_of(one) == _CLASS for one in _calls(scope, "from_stored"))
        and not any(True for _ in _calls(scope, "multiplied"))
    }


def test_stored_prices_are_multiplied() -> None:
    assert readers() == _ELSEWHERE.keys()


def test_prices_that_are_multiplied_are_read() -> None:
    both = [scope for scope in scopes() if any(True for _ in _calls(scope, "multiplied"))]
    assert len(both) >= 8
