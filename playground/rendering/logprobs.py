"""Display the probabilities of an answer's tokens."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Likelihood:
    """A token: its text, its probability in percent, and the likeliest alternatives. `shade` is the
    doubt, from 0 (certain) to 9."""

    text: str
    percent: str
    shade: int
    instead: Sequence[tuple[str, str]]


def likelihoods(tokens: Iterable[Mapping[str, Any]]) -> list[Likelihood]:
    """Return the probabilities of the tokens that a message stores (see `turns/request.py`)."""
    return [_likelihood(token["text"], token["logprob"], token["top"]) for token in tokens]


def _likelihood(text: str, logprob: float, top: Iterable[tuple[str, float]]) -> Likelihood:
    instead = [(alternative, percent_of(its)) for alternative, its in top if alternative != text]
    doubt = min(9, int((1 - math.exp(min(0.0, logprob))) * 10))
    return Likelihood(text, percent_of(logprob), doubt, instead)


def percent_of(logprob: float) -> str:
    """Return the probability of a natural logarithm in percent with one decimal, never rounded to 0
    or 100."""
    percent = 100 * math.exp(min(0.0, logprob))
    if percent < 0.05:
        return "<0.1%"
    if 99.95 <= percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%"
