"""The beginnings of what an expression matches, as another expression: what must wait for more.

The beginnings of `ab[cd]{2}` are ``, `a`, `ab`, `abc`, `abcd`, …: at each element, either a
beginning of it, or the whole of it and a beginning of what follows.
"""

import re
from importlib import import_module
from typing import Any, Final, NamedTuple

# The parser of the standard library, which typeshed does not describe.
op: Any = import_module("re._constants")
parser: Any = import_module("re._parser")
# Each repeat is a state of the automaton.
_REPEATS_MAX: Final = 100
_NEEDED_MAX: Final = 64


class UnboundedError(ValueError):
    """The expression has no longest match, or contains an anchor, a look around or a reference."""


class Bounded(NamedTuple):
    whole: str  # the expression in the forms that every engine reads
    beginnings: str  # matches each beginning of each match, nothing and the whole match too
    characters_min: int
    characters_max: int


def bounded(expression: str) -> Bounded:
    """Return what `expression` matches and how it begins; raise `re.error` or `UnboundedError`."""
    tree = parser.parse(expression)
    if tree.state.flags & ~re.UNICODE:
        raise UnboundedError("flags")
    shortest, longest = tree.getwidth()
    elements = list(tree)
    return Bounded(_text(elements), _beginnings(elements), int(shortest), int(longest))


def within(expression: str) -> str:
    """Return an expression, in the form of RE2, that every text matches which `expression` matches,
    and a few more."""
    return _wider(list(parser.parse(expression)))


def _wider(tree: list[Any]) -> str:
    return "".join(_wider_one(code, value) for code, value in tree)


def _wider_one(code: Any, value: Any) -> str:
    if code is op.AT:
        return ""
    if code is op.ANY or (code is op.IN and any(one is op.CATEGORY for one, _ in value)):
        # In RE2, letters and digits are those of ASCII.
        return "(?s:.)"
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, _, inner = value
        return f"(?:{_wider(list(inner))}){{{min(int(least), _REPEATS_MAX)},}}"
    if code is op.SUBPATTERN:
        return f"(?:{_wider(list(value[3]))})"
    if code is op.BRANCH:
        return f"(?:{'|'.join(_wider(list(one)) for one in value[1])})"
    return _text_of_one(code, value)


def needed(expression: str) -> frozenset[str]:
    """Return characters of which each match of an expression contains one, few and no letters if
    possible; none if there are no such characters, or too many."""
    return frozenset(map(chr, _needed(list(parser.parse(expression)))))


def _needed(tree: list[Any]) -> set[int]:
    known = [one for one in (_needed_by(code, value) for code, value in tree) if one]
    return min(known, key=_frequent, default=set())


def _needed_by(code: Any, value: Any) -> set[int]:
    if code is op.LITERAL:
        return {value}
    if code is op.IN:
        return _members(value)
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        return _needed(list(value[2])) if value[0] else set()
    if code is op.SUBPATTERN:
        return _needed(list(value[3]))
    if code is op.BRANCH:
        branches = [_needed(list(one)) for one in value[1]]
        return set().union(*branches) if all(branches) else set()
    return set()


def _members(members: list[Any]) -> set[int]:
    """Return the characters of a class; none of one with too many, or with those of a category."""
    characters: set[int] = set()
    for code, value in members:
        if code is op.LITERAL:
            characters.add(value)
        elif code is op.RANGE and value[1] - value[0] < _NEEDED_MAX:
            characters.update(range(value[0], value[1] + 1))
        else:
            return set()
    return characters if len(characters) <= _NEEDED_MAX else set()


def _frequent(characters: set[int]) -> int:
    """Return how often, about, characters stand in texts: letters do."""
    return sum(20 if chr(one).isalpha() else 1 for one in characters)


def _beginnings(tree: list[Any]) -> str:
    if not tree:
        return ""
    whole, rest = _text([tree[0]]), _beginnings(tree[1:])
    return f"(?:{whole}{rest}|{_beginnings_of_one(*tree[0])})"


def _beginnings_of_one(code: Any, value: Any) -> str:
    if code in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN, op.AT):
        return ""
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        _, most, inner = value
        repeated = _text(list(inner))
        if most is op.MAXREPEAT:
            raise UnboundedError("a repeat without a maximum")
        return f"(?:{repeated}){{0,{max(int(most) - 1, 0)}}}{_beginnings(list(inner))}"
    if code is op.SUBPATTERN:
        return _beginnings(list(value[3]))
    if code is op.BRANCH:
        return f"(?:{'|'.join(_beginnings(list(one)) for one in value[1])})"
    raise UnboundedError(str(code))


def _text(tree: list[Any]) -> str:
    return "".join(_text_of_one(code, value) for code, value in tree)


def _text_of_one(code: Any, value: Any) -> str:
    if code is op.LITERAL:
        return _character(value)
    if code is op.NOT_LITERAL:
        return f"[^{_character(value)}]"
    if code is op.ANY:
        return "."
    if code is op.IN:
        return f"[{''.join(_member(*one) for one in value)}]"
    if code is op.AT and value in _PLACES:
        return _PLACES[value]
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = value
        return f"(?:{_text(list(inner))}){{{least},{most}}}" + ("?" * (code is op.MIN_REPEAT))
    if code is op.SUBPATTERN:
        _, added, removed, inner = value
        if added or removed:
            raise UnboundedError("flags within an expression")
        return f"(?:{_text(list(inner))})"
    if code is op.BRANCH:
        return f"(?:{'|'.join(_text(list(one)) for one in value[1])})"
    raise UnboundedError(str(code))


_PLACES = {op.AT_BOUNDARY: r"\b", op.AT_NON_BOUNDARY: r"\B"}
_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}


def _member(code: Any, value: Any) -> str:
    if code is op.NEGATE:
        return "^"
    if code is op.LITERAL:
        return _character(value)
    if code is op.RANGE:
        return f"{_character(value[0])}-{_character(value[1])}"
    if code is op.CATEGORY:
        return _CATEGORIES[value]
    raise UnboundedError(str(code))


def _character(number: int) -> str:
    character = chr(number)
    return character if character.isalnum() or number > 127 else f"\\x{number:02x}"
