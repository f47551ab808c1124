"""What the modules of a room hold besides functions, as text: tables, patterns, numbers, and the
members of records with their defaults."""

import ast
import datetime as dt
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, Literal, get_args, get_origin
from uuid import UUID
from zlib import crc32

import msgspec
from django.utils.functional import Promise
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT: Final = Path(__file__).parents[2]
LETTERS: Final = 400
"""Of a longer value the first letters are shown, and a checksum of all. Texts that are as long, or
have several lines, are statements and documents, which other tests read."""
_PLAIN: Final = (str, bytes, bool, int, float, Decimal, range, dt.timedelta, dt.date, type(None))
# What is set from outside, and what a program does when it is run.
_OTHERS: Final = ("__init__.py", "__main__.py", "settings.py", "wsgi.py", "asgi.py")
_OBJECT: Final = "object of "
_NONE: Final = (MISSING, msgspec.NODEFAULT, msgspec.UNSET, PydanticUndefined)


def data_of_room(room: str) -> dict[str, str]:
    """The data of each module of a room that has some, by its name without that of the room."""
    names = (
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in sorted((ROOT / room).rglob("*.py"))
        if file.name not in _OTHERS and "migrations" not in file.parts
    )
    texts = {name.removeprefix(f"{room}."): data_of(import_module(name)) for name in names}
    return {name: text for name, text in texts.items() if text}


def data_of(module: ModuleType) -> str:
    """A line for each value or entry of a table, and for each member of a record."""
    lines = list[str]()
    for statement in ast.parse(Path(str(module.__file__)).read_text()).body:
        for name in _assigned(statement):
            lines += _entries(name, getattr(module, name))
        if isinstance(statement, ast.ClassDef):
            lines += _class(getattr(module, statement.name), statement)
    return "\n".join(lines)


def _assigned(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement gives a value, but for tables that others fill."""
    match statement:
        case ast.AnnAssign(value=ast.Dict(keys=[])):
            pass
        case ast.Assign(targets=targets):
            nodes = (node for target in targets for node in ast.walk(target))
            yield from (node.id for node in nodes if isinstance(node, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            yield name


def _entries(name: str, value: Any) -> Iterator[str]:
    """None of a name in small letters, whose value may change, but for readers of JSON."""
    if name.islower() and not isinstance(value, msgspec.json.Decoder | str | bytes | bool):
        return
    if isinstance(value, str) and ("\n" in value or len(value) > LETTERS):
        return
    if isinstance(value, Mapping):
        yield f"{name}:"
        yield from sorted(
            f"  {_short(key)}: {_short(one)}" for key, one in value.items() if key != "__builtins__"
        )
    elif not (text := _short(value)).startswith(_OBJECT):
        yield f"{name} = {text}"


def _class(one: type, statement: ast.ClassDef) -> list[str]:
    """Its options, and its members; of a record with their types, which decide what is read."""
    options = ", ".join(ast.unparse(option) for option in statement.keywords)
    members, defaults = list[str](), _defaults(one)
    for part in statement.body:
        match part:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind) if name in defaults:
                members.append(f"{name}: {ast.unparse(kind)}{defaults[name]}")
            case _:
                known = [name for name in _assigned(part) if name in one.__dict__]
                for name in known:
                    members += _entries(name, one.__dict__[name])
    head = f"{one.__name__}({options}):"
    return [head, *(f"  {line}" for line in members)] if members else []


def _defaults(one: type) -> dict[str, str]:
    """What follows the type of each member of a record: the default, and another name in JSON."""
    if issubclass(one, msgspec.Struct):
        known = msgspec.structs.fields(one)
        return {
            field.name: _default(field.default, field.default_factory)
            + (f" as {field.encode_name}" if field.encode_name != field.name else "")
            for field in known
        }
    if is_dataclass(one):
        return {field.name: _default(field.default, field.default_factory) for field in fields(one)}
    if issubclass(one, BaseModel):
        return {
            name: _default(
                field.default, MISSING if field.default_factory is None else field.default_factory
            )
            + "".join(f" {bound!r}" for bound in field.metadata if _is_bound(bound))
            for name, field in one.model_fields.items()
        }
    if not issubclass(one, tuple):
        return {}
    plain: dict[str, Any] = getattr(one, "_field_defaults", {})
    return {
        name: _default(plain.get(name, MISSING), MISSING) for name in getattr(one, "_fields", ())
    }


def _is_bound(bound: object) -> bool:
    return type(bound).__module__ == "annotated_types"


def _default(value: Any, factory: Any) -> str:
    given = [one for one in (value, factory) if not any(one is none for none in _NONE)]
    return f" = {_short(given[0])}" if given else ""


def _short(value: Any) -> str:
    text = text_of(value)
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}… {crc32(text.encode()):x}"


def text_of(value: Any) -> str:
    """A value without what differs from run to run or between versions of Python."""
    match value:
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case int() if value.bit_length() > 64:
            return f"{value:x}"
        case re.Pattern():
            return f"/{value.pattern!r}/{value.flags:x}"
        case Mapping():
            rows = (f"{text_of(key)}: {text_of(one)}" for key, one in value.items())
            return f"{{{', '.join(sorted(rows))}}}"
        case Set():
            return f"{{{', '.join(sorted(map(text_of, value)))}}}"
        case tuple() if hasattr(value, "_fields"):
            return _record(value, dict(zip(value._fields, value, strict=True)))
        case tuple() | list():
            return f"({', '.join(map(text_of, value))})"
        case msgspec.Raw():
            return f"Raw({bytes(value)!r})"
        case msgspec.Struct():
            return _record(value, msgspec.structs.asdict(value))
        case _ if isinstance(value, _PLAIN):
            return repr(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _record(value, _own_members(value))
        case Promise():
            return repr(str(value))
        case UUID() | IPv4Network() | IPv6Network():
            return str(value)
        case msgspec.json.Decoder():
            return f"Decoder({text_of(value.type)})"
        case _ if get_origin(value) is Literal:
            return f"Literal{text_of(get_args(value))}"
        case _:
            return _name(value)


def _own_members(value: Any) -> dict[str, Any]:
    """The members of a record that have no default, or another value."""
    members = {one.name: getattr(value, one.name) for one in fields(value)}
    usual = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory()
        for one in fields(value)
    }
    return {name: member for name, member in members.items() if member != usual[name]}


def _record(value: object, members: Mapping[str, Any]) -> str:
    return f"{type(value).__name__}({', '.join(f'{n}={text_of(v)}' for n, v in members.items())})"


def _name(value: Any) -> str:
    """The name of a function or a class, or of the class of any other object; the text of a
    function that does nothing but translate it."""
    one = getattr(value, "__func__", value)
    if isinstance(one, FunctionType) and one.__code__.co_names == ("gettext",):
        return repr(str(one()))
    if isinstance(one, type | FunctionType) and get_origin(one) is None:
        return f"{one.__module__}.{one.__qualname__}"
    return f"{_OBJECT}{type(one).__qualname__}"
