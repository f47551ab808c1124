"""The variables of prompts."""

import pytest

from content.prompts.rules import values_of
from content.prompts.settings import Settings
from content.prompts.variables import FILLED_MAX, fill, is_too_long


def test_values_of_a_request_precede_the_defaults() -> None:
    settings = Settings(system="{{a}} {{ b }} {{c}}", variables={"a": "1", "b": "2"})
    values, unknown, unfilled, too_long = values_of(settings, {"b": "3", "d": "4"})
    assert fill(settings.system, values) == "1 3 "
    assert (unknown, unfilled, too_long) == (("d",), ("c",), False)


@pytest.mark.parametrize(("more", "too_long"), [(0, False), (1, True)])
def test_bound_is_of_the_filled_text(more: int, too_long: bool) -> None:
    text, values = "{{ x }}{{y}}{{ x }}.", {"x": "ü" * 1_000}
    filled = len(fill(text, values))
    text += "." * (FILLED_MAX - filled + more)
    assert len(fill(text, values)) == FILLED_MAX + more
    assert is_too_long(text, values) == too_long
