"""Format JSON values as literals of Python, JavaScript and JSON, as a code formatter would.
Control, format and direction characters are escaped, so that the visible code is what runs (a
right-to-left override cannot disguise code)."""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, Literal

Literals = Literal["python", "javascript", "json"]

WIDTH: Final = 88
_WORDS: Final[Mapping[Literals, Mapping[Any, str]]] = {
    "python": {True: "True", False: "False", None: "None"},
    "javascript": {True: "true", False: "false", None: "null"},
    "json": {True: "true", False: "false", None: "null"},
}
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_INDENT: Final[Mapping[Literals, str]] = {"python": "    ", "javascript": "  ", "json": "  "}
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def literal(value: Any, language: Literals, *, depth: int = 0, used: int = 0) -> str:
    """Format `value` (as parsed from JSON) as an expression. Its first line is indented by `depth`
    levels, with `used` characters before it and the rest of the line after it."""
    if isinstance(value, Mapping | list) and value:
        line = _write_line(value, language)
        if len(_INDENT[language]) * depth + used + len(line) < WIDTH:
            return line
        return _write_lines(value, language, depth)
    return _write_line(value, language)


def text_literal(text: str, language: Literals) -> str:
    """Return a text in double quotes."""
    return '"' + "".join(_sign(sign, language) for sign in text) + '"'


def member_name(name: str, language: Literals) -> str:
    """Return the name of an object's member, in the shortest form that the language allows."""
    if language != "javascript":
        return text_literal(name, language)
    if name == "__proto__":  # bare or quoted, it would set the prototype instead
        return '["__proto__"]'
    return name if _NAME.fullmatch(name) else text_literal(name, language)


def _sign(sign: str, language: Literals) -> str:
    if sign in '"\\':
        return "\\" + sign
    if _is_visible(sign):
        return sign
    if sign == "\n":
        return "\\n"
    if sign == "\t":
        return "\\t"
    if language == "python" and ord(sign) > 0xFFFF:
        return f"\\U{ord(sign):08x}"
    return json.dumps(sign)[1:-1]


def _is_visible(sign: str) -> bool:
    return unicodedata.category(sign) not in _UNSEEN


def _write_line(value: Any, language: Literals) -> str:
    if isinstance(value, str):
        return text_literal(value, language)
    if value is None or isinstance(value, bool):
        return _WORDS[language][value]
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"  # how JSON text can express infinity
    if isinstance(value, int | float):
        return json.dumps(value)
    if isinstance(value, Mapping):
        pad = " " if language == "javascript" and value else ""
        members = ", ".join(
            f"{member_name(name, language)}: {_write_line(inner, language)}"
            for name, inner in value.items()
        )
        return f"{{{pad}{members}{pad}}}"
    return "[" + ", ".join(_write_line(inner, language) for inner in value) + "]"


def _write_lines(value: Any, language: Literals, depth: int) -> str:
    inside = _INDENT[language] * (depth + 1)
    if isinstance(value, Mapping):
        heads = [f"{member_name(name, language)}: " for name in value]
        opened, closed, inners = "{", "}", list(value.values())
    else:
        opened, closed, inners = "[", "]", list(value)
        heads = [""] * len(inners)
    lines = [
        f"{inside}{head}{literal(inner, language, depth=depth + 1, used=len(head) + 1)},"
        for head, inner in zip(heads, inners, strict=True)
    ]
    if language == "json":
        lines[-1] = lines[-1].removesuffix(",")
    return "\n".join([opened, *lines, _INDENT[language] * depth + closed])
