"""What a row about a bound says: who takes which numbers."""

from collections.abc import Callable
from typing import NamedTuple

from tests.support.cast import Cast


class Bound(NamedTuple):
    """What takes the numbers from `least` to `most` and raises a refusal for others, or answers
    False; None where there is no bound on that side."""

    takes: Callable[[Cast, int], object]
    least: int | None
    most: int | None


def agreed(*takes: Callable[[], object]) -> bool:
    """Whether several places that have one bound take a number: all of them do, or none."""
    answers = set[bool]()
    for take in takes:
        try:
            answers.add(take() is not False)
        except ValueError:
            answers.add(False)
    assert len(answers) == 1
    return answers.pop()
