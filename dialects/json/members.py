"""Read the members of a client's JSON object by type, with the contract's errors; and the members
that the gateway itself uses in a forwarded body: model, end user, limits of the cost, the maximum
cost.

A null member counts as absent. A wrong type is `invalid_type` (400), a value out of its range or
list `invalid_value` (422), a missing required member `missing_parameter` (400); each names the
path.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from dialects.errors.errors import RequestFault
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import quote_value
from dialects.json.body import Body
from dialects.json.max_cost import read_amount
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import value_of

_T = TypeVar("_T")
# Claude's limit; other upstreams are sent shorter names (dialects/chat/tool_names.py).
_TOOL_NAME_CHARACTERS_MAX: Final = 128
MODEL_CHARACTERS_MAX: Final = 256
USER_CHARACTERS_MAX: Final = 256
OWN_FIELDS: Final = ("max_cost", "models")
"""What no upstream is sent."""

_MODEL = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_STRING_OR_NUMBER: Final = b'"-0123456789'
_NO_STORE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_raws = msgspec.json.Decoder(list[msgspec.Raw])
# Out of every range: replaces a number that is too large to parse.
_OUT_OF_RANGE: Final = 10**30
# Larger than any number that the parser returns.
_ANY: Final = 10**5_000


class Members(msgspec.Struct, frozen=True):
    """A JSON object and its path (`messages[2].content[0]`; "" for the body)."""

    value: dict[str, Any]
    path: str = ""

    def at(self, name: str) -> str:
        """Return the path of a member."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, *names: str) -> bool:
        """Return whether any of these members is present and not null."""
        return any(self.value.get(name) is not None for name in names)

    def rest(self, known: Iterable[str]) -> dict[str, Any]:
        """Return the unknown members, without null ones."""
        known = frozenset(known)
        return {k: v for k, v in self.value.items() if k not in known and v is not None}

    def text(self, name: str) -> str | None:
        """Return a string."""
        value = self.value.get(name)
        if value is None or isinstance(value, str):
            return value
        self.refuse_type(name, "a string")

    def boolean(self, name: str) -> bool | None:
        """Return true or false."""
        value = self.value.get(name)
        if value is None or isinstance(value, bool):
            return value
        self.refuse_type(name, "a boolean")

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return a number from `low` to `high`; true is not 1."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse_type(name, "a number")
        if not low <= value <= high:
            self.refuse_value(name, f"must be between {low:g} and {high:g}")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Return an integer from `low` to `high`, in any spelling (1.0)."""
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
        """Return one of the `allowed` strings."""
        value = self.text(name)
        for word in allowed:
            if value == word:
                return word
        if value is None:
            return None
        self.refuse_value(name, "must be one of " + ", ".join(map(str, allowed)))

    def tool_name(self) -> str:
        """Return the `name` of a client's function or tool."""
        name = self.required("name", self.text("name"))
        letters = name.replace("_", "a").replace("-", "a")
        if not (letters.isascii() and letters.isalnum() and len(name) <= _TOOL_NAME_CHARACTERS_MAX):
            self.refuse_value("name", "must be 1 to 128 letters, digits, _ or -")
        return name

    def object(self, name: str) -> "Members | None":
        """Return a JSON object."""
        value = self.value.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse_type(name, "an object")
        return Members(value, self.at(name))

    def json(self, name: str) -> dict[str, Any] | None:
        """Return a JSON object unchanged."""
        inner = self.object(name)
        return None if inner is None else inner.value

    def array(self, name: str) -> list[Any] | None:
        """Return a JSON array unchanged."""
        value = self.value.get(name)
        if value is None or isinstance(value, list):
            return value
        self.refuse_type(name, "an array")

    def objects(self, name: str) -> list["Members"]:
        """Return an array of objects; [] when absent."""
        items = self.array(name) or []
        for i, item in enumerate(items):
            if not isinstance(item, dict):
                self.refuse_type(f"{name}[{i}]", "an object")
        return [Members(item, f"{self.at(name)}[{i}]") for i, item in enumerate(items)]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return an array of strings; () when absent."""
        items = self.array(name) or []
        for i, item in enumerate(items):
            if not isinstance(item, str):
                self.refuse_type(f"{name}[{i}]", "a string")
        return tuple(items)

    def required(self, name: str, value: _T | None) -> _T:
        """Return the value of a required member. Raises RequestFault if it is missing."""
        if value is None:
            self.refuse("missing_parameter", name, "is required")
        return value

    def refuse_type(self, name: str, wanted: str) -> NoReturn:
        """Raise invalid_type, quoting the value."""
        inner, _, _ = name.partition("[")
        suffix = "" if inner != name else f", not {_quote(self.value.get(name))}"
        self.refuse("invalid_type", name, f"must be {wanted}{suffix}")

    def refuse_value(self, name: str, what: str) -> NoReturn:
        """Raise invalid_value."""
        self.refuse("invalid_value", name, what)

    def refuse(self, kind: ErrorKind, name: str, what: str) -> NoReturn:
        """Raise a fault for a member; `what` follows the path."""
        path = self.at(name)
        raise RequestFault(kind, path, f"{path} {what}")


def read_members(raw: bytes) -> Members:
    """Return a body that `read_body` has accepted, with all its values."""
    try:
        return Members(msgspec.json.decode(raw, type=dict[str, Any]))
    except NOT_JSON as fault:
        raise RequestFault("malformed_json", None, str(fault)) from None


def _quote(value: Any) -> str:
    return quote_value(msgspec.json.encode(value)[:200].decode(errors="replace"))


# ---- A forwarded body


def small_members(body: Body, names: Iterable[str]) -> Members:
    """Return those of the named members that are present. Each must be a short value: a word or a
    number."""
    members = body.members
    return Members({name: _value(body, name) for name in names if name in members})


def _value(body: Body, name: str) -> Any:
    raw = body.value(name)
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except NOT_JSON:
        return _OUT_OF_RANGE


def check_integers(members: Members, names: Iterable[str]) -> None:
    """Refuse anything but integers of any size. Raises RequestFault."""
    for name in names:
        if members.value.get(name) is not None:
            members.integer(name, -_ANY, _ANY)


def read_integers(members: Members, **ranges: tuple[int, int]) -> dict[str, int | None]:
    """Return integers by name, each within its range; types are checked first."""
    check_integers(members, ranges)
    return {name: members.integer(name, low, high) for name, (low, high) in ranges.items()}


def required_value(body: Body, name: str) -> bytes:
    """Return the bytes of a required member. Raises RequestFault."""
    raw = body.value(name)
    if raw is None:
        raise RequestFault("missing_parameter", name, f"{name} is required")
    return raw


def read_array(body: Body, name: str) -> list[msgspec.Raw]:
    """Return a required array, without reading its items. Raises RequestFault."""
    raw = required_value(body, name)
    if not raw.startswith(b"["):
        raise RequestFault("invalid_type", name, f"{name} must be an array")
    return _raws.decode(raw)


def edit_body(
    body: Body, upstream_model: str, edits: Mapping[str, bytes | None] | None = None
) -> bytes:
    """Return the body for the upstream: with the upstream's name of the model, without our own
    fields, with `edits`. Nothing else changes, and a body that needs no change is forwarded byte
    for byte."""
    changed: dict[str, bytes | None] = dict(edits or {})
    if value_of(body.value("model")) != upstream_model:
        changed["model"] = msgspec.json.encode(upstream_model)
    changed |= dict.fromkeys(name for name in OWN_FIELDS if name in body.members)
    return body.splice(changed) if changed else body.raw


def check_model(model: str) -> str:
    """Return the name if it is short enough for a row or a log. Raises RequestFault for a longer
    one, which no catalogue has."""
    if len(model) > MODEL_CHARACTERS_MAX or not _MODEL.fullmatch(model):
        raise RequestFault("model_not_found", "model", "", model=model)
    return model


def read_model(members: Members, otherwise: str | None = None) -> str:
    """Return the name of the model, `otherwise` if the client set none. Raises RequestFault."""
    model = members.text("model")
    if model is None:
        model = otherwise
    return check_model(members.required("model", model or None))


def read_max_cost(body: Body) -> int | None:
    """Return the maximum cost in our own field, in exact nano-USD: a string, or a number by its
    digits. Raises RequestFault."""
    raw = body.value("max_cost")
    if raw is None:
        return None
    if raw[:1] not in _STRING_OR_NUMBER:
        what = 'max_cost must be an amount in USD, as a string such as "0.25" or a number'
        raise RequestFault("invalid_type", "max_cost", what)
    text = msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
    return read_amount(text, "max_cost")


def read_user(body: Body) -> str:
    """Return the end user's id, safe to store. The provider checks a value that is not text."""
    raw = body.value("user")
    if raw is None or not raw.startswith(b'"'):
        return ""
    return storable_user(msgspec.json.decode(raw))


def storable_user(user: str) -> str:
    """Return an end user's id, safe to store: without control characters, and truncated."""
    return _NO_STORE.sub("", user)[:USER_CHARACTERS_MAX]
