"""The tables of a room as text: what each constant of its modules contains, and which defaults and
members its classes have.

A golden file beside a test has them. It shows each slip in a table, of which hardly anything else
reads every entry: one that is lost, two that are swapped, a copy of the line above.
"""

import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final
from zlib import crc32

import msgspec
from django.utils.functional import Promise

_ROOT: Final = Path(__file__).parents[2]
_CONSTANT: Final = re.compile(r"^(_?[A-Z][A-Z0-9_]*)(?:: .*)? = ", re.MULTILINE)
_CLASS: Final = re.compile(r"^class (\w+)", re.MULTILINE)
# Longer texts are statements and documents: other tests read these.
_TEXT_MAX: Final = 300
_WIDTH: Final = 100
_LISTED_MAX: Final = 150
_PLAIN: Final = (bool, int, float, str, bytes, type(None), Decimal, Fraction, timedelta)


def tables(room: str, left_out: Collection[str] = ()) -> dict[str, str]:
    """Return the text of each module of a room that has a table, by its path in the room, but for
    modules of some names. A constant that is part of another one is shown there by its name."""
    modules = _modules(room, left_out)
    known: dict[int, str] = {}
    for module, text in (modules | _modules("extensions", left_out)).values():
        for name, value in _constants(module, text):
            if not isinstance(value, _PLAIN) and value not in ((), frozenset(), {}):
                known.setdefault(id(value), f"{module.__name__.rpartition('.')[2]}.{name}")
    texts = {place: "\n".join(_lines(*one, known)) for place, one in modules.items()}
    return {place: text for place, text in texts.items() if text}


def _modules(room: str, left_out: Collection[str]) -> dict[str, tuple[ModuleType, str]]:
    results = {}
    for path in sorted((_ROOT / room).rglob("*.py")):
        place = path.relative_to(_ROOT).with_suffix("").parts
        if place[1] != "models" and {"migrations", *left_out}.isdisjoint(place):
            module = import_module(".".join(part for part in place if part != "__init__"))
            results["/".join(place[1:])] = module, path.read_text()
    return results


def _lines(module: ModuleType, text: str, known: Mapping[int, str]) -> Iterator[str]:
    for name, value in _constants(module, text):
        yield from _entries(name, value, known, is_part=False)
    for name in _CLASS.findall(text):
        yield from _lines_of_class(getattr(module, name))


def _constants(module: ModuleType, text: str) -> Iterator[tuple[str, Any]]:
    for name in _CONSTANT.findall(text):
        if _is_table(value := getattr(module, name, None)):
            yield name, value


def _is_table(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _TEXT_MAX and "\n" not in value
    return not isinstance(value, type) and (
        isinstance(value, (*_PLAIN, Mapping, tuple, list, frozenset, set, re.Pattern, Promise))
        or (is_dataclass(value) and not isinstance(value, type))
    )


def _lines_of_class(cls: type) -> Iterator[str]:
    """Yield the members of an enumeration, or the defaults of a class of data."""
    if issubclass(cls, Enum):
        members = {name: one.value for name, one in cls.__members__.items()}
    elif issubclass(cls, msgspec.Struct):
        members = {one.encode_name: one.default for one in msgspec.structs.fields(cls)}
    elif is_dataclass(cls):
        members = {one.name: one.default for one in fields(cls) if one.default is not MISSING}
    else:
        members = getattr(cls, "_field_defaults", {})
    secret = [one.name for one in fields(cls) if not one.repr] if is_dataclass(cls) else []
    if secret:
        yield f"class {cls.__name__} never shows: {', '.join(secret)}"
    if members:
        shown = (
            name if value is msgspec.NODEFAULT else f"{name}={_text(value, {})}"
            for name, value in members.items()
        )
        yield f"class {cls.__name__}: {', '.join(shown)}"


def _entries(
    name: str, value: Any, known: Mapping[int, str], *, is_part: bool = True
) -> Iterator[str]:
    """Yield a constant as a paragraph, or one for each of its entries."""
    by_name = is_part and not isinstance(value, _PLAIN) and id(value) in known
    text = f"{name}: {known[id(value)] if by_name else _text(value, known)}"
    parts = [] if by_name or len(text) <= _WIDTH else _parts(name, value)
    if any(not isinstance(one, _PLAIN) and id(one) not in known for _, one in parts):
        for part, one in parts:
            yield from _entries(part, one, known)
    else:
        yield from textwrap.wrap(
            text, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )


def _parts(name: str, value: Any) -> list[tuple[str, Any]]:
    """The entries of a constant, if it has others than texts, numbers and sets of these."""
    if isinstance(value, Mapping):
        return [(f"{name}[{key!r}]", one) for key, one in value.items()]
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return [(f"{name}[{n}]", one) for n, one in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        members = _members(value)
        if any(_is_nested(one) for _, one in members):
            return [(f"{name}.{field}", one) for field, one in members]
    return []


def _is_nested(value: object) -> bool:
    if isinstance(value, tuple | list):
        return any(is_dataclass(one) for one in value)
    return isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type))


def _part(value: Any, known: Mapping[int, str]) -> str:
    is_named = id(value) in known and not isinstance(value, _PLAIN)
    return known[id(value)] if is_named else _text(value, known)


def _text(value: Any, known: Mapping[int, str]) -> str:
    if isinstance(value, Enum | Promise):
        return repr(str(value))
    if isinstance(value, re.Pattern):
        return f"/{value.pattern!r}/"
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_part(k, known)}: {_part(v, known)}' for k, v in value.items())}}}"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({_joined(_members(value), known)})"
    if hasattr(value, "_fields"):
        return f"{type(value).__name__}({_joined(zip(value._fields, value, strict=True), known)})"
    if isinstance(value, Collection):
        texts = [_part(one, known) for one in value]
        if len(texts) > _LISTED_MAX:
            return f"{len(texts)}, {crc32(repr(texts).encode()):08x}"
        return f"{{{', '.join(sorted(texts))}}}" if isinstance(value, set | frozenset) else (
            f"({', '.join(texts)})"
        )  # fmt: skip
    if isinstance(value, FunctionType | type):
        return value.__qualname__
    return type(value).__name__


def _joined(members: Any, known: Mapping[int, str]) -> str:
    return ", ".join(f"{name}={_part(one, known)}" for name, one in members)


def _members(value: Any) -> list[tuple[str, Any]]:
    """The members of a dataclass that have no default, or another value."""
    return [
        (one.name, getattr(value, one.name))
        for one in fields(value)
        if one.init and not _is_default(one, getattr(value, one.name))
    ]


def _is_default(field: Any, value: object) -> bool:
    if field.default_factory is not MISSING:
        return bool(value == field.default_factory())
    return field.default is not MISSING and bool(value == field.default)
