"""Limits on the depth of a JSON text, and on the number of its arrays and objects, checked by
operations on the whole text: no step examines single characters in Python.
"""

from array import array
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final

import msgspec

NESTING_MAX: Final = 64
# No real request has more, and parsing it would take a hundred times its size in memory.
STRUCTURES_MAX: Final = 250_000
TOO_DEEP: Final = f"nesting deeper than {NESTING_MAX}"

# Texts up to this size are parsed completely for the check.
_SMALL_BYTES: Final = 1024 * 1024
_SHORT_BYTES: Final = 2 * 1024
_BRACKET_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_ROUNDS: Final = 4
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))


def nesting_excess(raw: bytes) -> str:
    """Return which limit a valid JSON text exceeds; "" if none. Brackets inside strings do not
    count.
    """
    return _excess(raw) if _has_many_brackets(raw) else ""


def _has_many_brackets(raw: bytes) -> bool:
    """Return whether there are enough brackets to nest too deeply. `find` skips text without
    brackets; `count` would take three times as long as parsing a long text."""
    if len(raw) < _SHORT_BYTES:
        return raw.count(b"[") + raw.count(b"{") > NESTING_MAX
    count = 0
    for bracket in (b"[", b"{"):
        at = raw.find(bracket)
        while at >= 0:
            count += 1
            if count > NESTING_MAX:
                return True
            at = raw.find(bracket, at + 1)
    return False


def _excess(raw: bytes) -> str:
    """Return which limit a text exceeds. Small texts are parsed. Of larger texts only the brackets
    are examined: each round removes the innermost level, which soon leaves little."""
    if len(raw) <= _SMALL_BYTES:
        with suppress(msgspec.DecodeError, ValueError):
            return TOO_DEEP if _levels(msgspec.json.decode(raw)) > NESTING_MAX else ""
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, _NO_BRACKETS)
    if len(brackets) > 2 * STRUCTURES_MAX:
        return f"more than {STRUCTURES_MAX} arrays and objects"
    for level in range(_ROUNDS):
        if len(brackets) <= 2 * (NESTING_MAX - level):
            return ""
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    steps = array("b", brackets.translate(_BRACKET_STEPS))
    return TOO_DEEP if max(accumulate(steps), default=0) + _ROUNDS > NESTING_MAX else ""


def _levels(value: Any) -> int:
    level, count = [value], 0
    while level:
        count += 1
        inside = (inner.values() if type(inner) is dict else inner for inner in level)
        level = [inner for items in inside for inner in items if type(inner) in (dict, list)]
    return count
