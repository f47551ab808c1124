"""Reading the members of a client's JSON object by type, with the contract's refusals.

A member that is null is absent. A wrong type is `invalid_type` (400), a value out of its range or
list `invalid_value` (422), what is due and absent `missing_parameter` (400); each names the path.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from dialects.errors import ErrorKind, RequestFault, quote_value

_T = TypeVar("_T")
_TOOL_NAME_CHARACTERS_MAX: Final = 64


class Members:
    """A JSON object and where it stands (`messages[2].content[0]`; "" for the body)."""

    def __init__(self, value: dict[str, Any], path: str = "") -> None:
        self.value = value
        self.path = path

    def at(self, name: str) -> str:
        """The path of a member."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, *names: str) -> bool:
        """Whether any of these is there and not null."""
        return any(self.value.get(name) is not None for name in names)

    def rest(self, known: Iterable[str]) -> dict[str, Any]:
        """The members that are not known, without null ones."""
        known = frozenset(known)
        return {k: v for k, v in self.value.items() if k not in known and v is not None}

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.value.get(name)
        if value is None or isinstance(value, str):
            return value
        self.refuse_type(name, "a string")

    def boolean(self, name: str) -> bool | None:
        """true or false."""
        value = self.value.get(name)
        if value is None or isinstance(value, bool):
            return value
        self.refuse_type(name, "a boolean")

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number from `low` to `high`; true is not 1."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse_type(name, "a number")
        if not low <= value <= high:
            self.refuse_value(name, f"must be between {low:g} and {high:g}")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, however it is spelled (1.0)."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse_type(name, "an integer")
        if not low <= value <= high:
            self.refuse_value(name, f"must be between {low} and {high}")
        return value

    def word(self, name: str, allowed: tuple[_T, ...]) -> _T | None:
        """One of the `allowed` strings."""
        value = self.text(name)
        for word in allowed:
            if value == word:
                return word
        if value is None:
            return None
        self.refuse_value(name, "must be one of " + ", ".join(map(str, allowed)))

    def tool_name(self) -> str:
        """The `name` of a function or tool of the client's."""
        name = self.due("name", self.text("name"))
        letters = name.replace("_", "a").replace("-", "a")
        if not (letters.isascii() and letters.isalnum() and len(name) <= _TOOL_NAME_CHARACTERS_MAX):
            self.refuse_value("name", "must be 1 to 64 letters, digits, _ or -")
        return name

    def object(self, name: str) -> "Members | None":
        """A JSON object."""
        value = self.value.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse_type(name, "an object")
        return Members(value, self.at(name))

    def json(self, name: str) -> dict[str, Any] | None:
        """A JSON object as it is."""
        inner = self.object(name)
        return None if inner is None else inner.value

    def array(self, name: str) -> list[Any] | None:
        """A JSON array as it is."""
        value = self.value.get(name)
        if value is None or isinstance(value, list):
            return value
        self.refuse_type(name, "an array")

    def objects(self, name: str) -> list["Members"]:
        """An array of objects; [] when absent."""
        items = self.array(name) or []
        for i, item in enumerate(items):
            if not isinstance(item, dict):
                self.refuse_type(f"{name}[{i}]", "an object")
        return [Members(item, f"{self.at(name)}[{i}]") for i, item in enumerate(items)]

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings; () when absent."""
        items = self.array(name) or []
        for i, item in enumerate(items):
            if not isinstance(item, str):
                self.refuse_type(f"{name}[{i}]", "a string")
        return tuple(items)

    def due(self, name: str, value: _T | None) -> _T:
        """What was read for a member that must be there."""
        if value is None:
            self.refuse("missing_parameter", name, "is required")
        return value

    def refuse_type(self, name: str, wanted: str) -> NoReturn:
        """Raise invalid_type, quoting what stands there."""
        inner, _, _ = name.partition("[")
        given = "" if inner != name else f", not {_quote(self.value.get(name))}"
        self.refuse("invalid_type", name, f"must be {wanted}{given}")

    def refuse_value(self, name: str, what: str) -> NoReturn:
        """Raise invalid_value."""
        self.refuse("invalid_value", name, what)

    def refuse(self, kind: ErrorKind, name: str, what: str) -> NoReturn:
        """Raise a fault at a member; `what` follows the path."""
        path = self.at(name)
        raise RequestFault(kind, path, f"{path} {what}")


def read_members(raw: bytes) -> Members:
    """A body that `read_body` has let through, with all its values."""
    try:
        return Members(msgspec.json.decode(raw, type=dict[str, Any]))
    except (msgspec.DecodeError, RecursionError) as fault:
        raise RequestFault("malformed_json", None, str(fault)) from None


def _quote(value: Any) -> str:
    return quote_value(msgspec.json.encode(value)[:200].decode(errors="replace"))
