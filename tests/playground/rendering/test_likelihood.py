"""Probabilities of tokens, as they are shown."""

import math

import pytest

from playground.rendering.logprobs import likelihoods, percent_of


@pytest.mark.parametrize(
    ("probability", "display"),
    [(1.0, "100.0%"), (0.99999, ">99.9%"), (0.821, "82.1%"), (0.00001, "<0.1%")],
)
def test_percent_is_never_rounded_to_none_or_all(probability: float, display: str) -> None:
    assert percent_of(math.log(probability)) == display


def test_each_token_shows_its_likely_alternatives() -> None:
    tokens = [
        {"text": "Good", "logprob": math.log(0.75), "top": [["Good", math.log(0.75)],
                                                            ["Hi", math.log(0.2)]]},
        {"text": " day", "logprob": -9_999.0, "top": []},
    ]  # fmt: skip
    good, day = likelihoods(tokens)
    assert (good.text, good.percent, good.shade, good.instead) == (
        "Good", "75.0%", 2, [("Hi", "20.0%")])  # fmt: skip
    assert (day.percent, day.shade) == ("<0.1%", 9)
