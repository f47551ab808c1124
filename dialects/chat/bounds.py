"""Bounds of parameters that several dialects share. Those of sampling apply to forwarded and
decoded bodies. A body without these members costs one look at its names.
"""

from collections.abc import Mapping
from math import inf
from typing import Final, NamedTuple

from dialects.errors.errors import RequestFault
from dialects.json.body import Body
from dialects.json.members import Members, check_integers, small_members


class Bound(NamedTuple):
    """The bound of a parameter: a number from `low` to `high`, an integer if `whole`; an object of
    such numbers with `each`; up to `items` texts; or one of the `words`."""

    low: float = 0
    high: float = 0
    whole: bool = False
    items: int = 0
    each: bool = False
    words: tuple[str, ...] = ()


Bounds = Mapping[str, Bound]
TEMPERATURE: Final = Bound(0, 2)
SHARE: Final = Bound(0, 1)
PENALTY: Final = Bound(-2, 2)
LOGPROBS: Final = Bound(0, 20, whole=True)
LOGIT_BIAS: Final = Bound(-100, 100, each=True)
CHOICES_MAX: Final = 128
OUTPUT_CAP_MAX: Final = 1_000_000_000
TOOLS_MAX: Final = 128


def check_bounds(body: Body, bounds: Bounds) -> None:
    """Check the types (400) and then the bounds (422) of a body's members. Raises RequestFault."""
    names = bounds.keys() & body.members.keys()
    if names:
        check_members(small_members(body, names), bounds)


def check_members(members: Members, bounds: Bounds) -> None:
    """Check decoded members like `check_bounds`. Raises RequestFault."""
    values = members.value
    try:
        for name in values.keys() & bounds.keys():
            if values[name] is not None:
                _check(members, name, bounds[name])
    except RequestFault:
        # The contract's order: a wrong type anywhere comes before a value out of bounds.
        present = [(name, bound) for name, bound in bounds.items() if values.get(name) is not None]
        for name, bound in present:
            _check_type(members, name, bound)
        for name, bound in present:
            _check(members, name, bound)


def _check_type(members: Members, name: str, bound: Bound) -> None:
    if bound.words:
        members.text(name)
    else:
        _check(members, name, bound._replace(low=-inf, high=inf, items=bound.items and 10**9))


def _check(members: Members, name: str, bound: Bound) -> None:
    if bound.words:
        members.word(name, bound.words)
    elif bound.each:
        if (numbers := members.object(name)) is not None:
            for token in numbers.value:
                numbers.number(token, bound.low, bound.high)
    elif bound.items:
        texts = () if isinstance(members.value[name], str) else members.texts(name)
        if len(texts) > bound.items:
            members.refuse_value(name, f"must have at most {bound.items} items")
    elif not bound.whole:
        members.number(name, bound.low, bound.high)
    elif bound.high == inf:
        check_integers(members, (name,))
    else:
        members.integer(name, int(bound.low), int(bound.high))
