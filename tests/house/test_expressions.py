"""Regular expressions mean the same in every Python from 3.11 on.

Before 3.11.5, a possessive group that fails in the middle of a repetition keeps what the failed one
has read (gh-106052). So each repetition must be one set of characters, or plain characters.
"""

import re
import sys
from importlib import import_module
from typing import Any

import pytest

from tests.house.test_style import ROOMS, ROOT, _files

_parser: Any = import_module("re._parser")
_POSSESSIVE = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+|\(\?>")
_PLAIN = {"LITERAL", "NOT_LITERAL", "IN", "ANY"}


def wrong_groups(expression: str | bytes, flags: int = 0) -> list[str]:
    """The bodies of possessive groups that read on after something that could be read otherwise."""
    return [str(body) for body in _possessive(_parser.parse(expression, flags)) if _is_wrong(body)]


def _possessive(parsed: Any) -> list[Any]:
    found = []
    for operation, value in parsed:
        parts = list(_parts(value))
        if str(operation) in {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}:
            found += parts
        for part in parts:
            found += _possessive(part)
    return found


def _parts(value: Any) -> Any:
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _parts(one)


def _is_wrong(body: Any) -> bool:
    if len(body) == 1 and str(body[0][0]) == "BRANCH":
        return any(map(_is_wrong, body[0][1][1]))
    names = [str(operation) for operation, _ in body]
    if len(names) == 1 and names[0].endswith("_REPEAT"):
        return _is_wrong(body[0][1][2])
    return not _PLAIN.issuperset(names)


def test_possessive_groups_read_nothing_that_they_give_back() -> None:
    wrong, seen = {}, 0
    for path in _files(".py", *ROOMS):
        if not _POSSESSIVE.search(path.read_text()):
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = sys.modules.get(name) or import_module(name)
        compiled = [one for one in vars(module).values() if isinstance(one, re.Pattern)]
        assert compiled, f"{name} compiles no expression at its top"
        seen += 1
        for one in compiled:
            if groups := wrong_groups(one.pattern, one.flags & ~re.UNICODE):
                wrong[f"{name}: {one.pattern!r}"] = groups
    assert wrong == {}
    assert seen


@pytest.mark.parametrize(
    ("expression", "right"),
    [
        (r"(?:[ab]++|c)*+d", True),
        (r'"(?:[^"]++|\\.)*+"', True),
        (r"(?:ab|cd)++", True),
        (r"(?>\r\n|\r|\n)", True),
        (r"(?:a[bc]+d)*+", False),
        (r"(?:a|b(?:cc|d))++", False),
        (r"(?:a{1,3}+)?+", True),
        (r"(?:a++(?=b))*+", False),
    ],
)
def test_it_knows_a_right_group_from_a_wrong_one(expression: str, right: bool) -> None:
    assert (wrong_groups(expression) == []) == right
