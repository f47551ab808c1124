"""The beginnings of what an expression matches, as another expression: what must wait for more.

The beginnings of `ab[cd]{2}` are ``, `a`, `ab`, `abc`, `abcd`, …: at each element, either a
beginning of it, or the whole of it and a beginning of what follows.
"""

from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any


class UnboundedError(ValueError):
    """The expression has no longest match, or uses what has no beginnings (anchors, references)."""


def width_max(expression: str) -> int:
    """Return how many characters the longest match of `expression` has; raise `re.error` or
    `UnboundedError`.
    """
    tree = parser.parse(expression)
    _beginnings(list(tree))
    widest = tree.getwidth()[1]
    if widest >= op.MAXREPEAT or _unbounded(list(tree)):
        raise UnboundedError(expression)
    return int(widest)


def beginnings(expression: str) -> str:
    """Return an expression that matches each beginning of each match of `expression`, nothing and
    the whole match too.
    """
    return _beginnings(list(parser.parse(expression)))


def _unbounded(tree: list[Any]) -> bool:
    for code, value in tree:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            if value[1] is op.MAXREPEAT or _unbounded(list(value[2])):
                return True
        elif code is op.SUBPATTERN:
            if _unbounded(list(value[3])):
                return True
        elif code is op.BRANCH and any(_unbounded(list(one)) for one in value[1]):
            return True
    return False


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
            raise UnboundedError(repeated)
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
