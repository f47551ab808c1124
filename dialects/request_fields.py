"""The members of a request that the gateway itself acts on, in a body that goes on as it came:
model, end user, numbers that bound the cost, the most that it may cost. The rest is not read."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from dialects.body import Body
from dialects.errors import RequestFault
from dialects.max_cost import read_amount
from dialects.members import Members
from dialects.raw_json import value_of

MODEL_CHARACTERS_MAX: Final = 256
USER_CHARACTERS_MAX: Final = 256

_MODEL = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_STRING_OR_NUMBER: Final = b'"-0123456789'
_NO_STORE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_raws = msgspec.json.Decoder(list[msgspec.Raw])
# Far out of every range: what stands for a number that is too large to be read.
_OUT_OF_RANGE: Final = 10**30
# Larger than any number that the parser makes.
_ANY: Final = 10**5_000


def small_members(body: Body, names: Iterable[str]) -> Members:
    """Those members that are a word or a number each, by their names, as far as they are there."""
    members = body.members
    return Members({name: _value(body, name) for name in names if name in members})


def _value(body: Body, name: str) -> Any:
    raw = body.value(name)
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _OUT_OF_RANGE


def check_integers(members: Members, names: Iterable[str]) -> None:
    """Refuse what is no whole number, however large. Raises RequestFault."""
    for name in names:
        if members.value.get(name) is not None:
            members.integer(name, -_ANY, _ANY)


def read_integers(members: Members, **ranges: tuple[int, int]) -> dict[str, int | None]:
    """Whole numbers by their names, each from its low to its high; types are refused first."""
    check_integers(members, ranges)
    return {name: members.integer(name, low, high) for name, (low, high) in ranges.items()}


def due_value(body: Body, name: str) -> bytes:
    """The bytes of a member that must be there. Raises RequestFault."""
    raw = body.value(name)
    if raw is None:
        raise RequestFault("missing_parameter", name, f"{name} is required")
    return raw


def read_array(body: Body, name: str) -> list[msgspec.Raw]:
    """A member that must be there and be an array, none of its items read. Raises RequestFault."""
    raw = due_value(body, name)
    if not raw.startswith(b"["):
        raise RequestFault("invalid_type", name, f"{name} must be an array")
    return _raws.decode(raw)


def edit_body(
    body: Body, upstream_model: str, edits: Mapping[str, bytes | None] | None = None
) -> bytes:
    """The body for the upstream: its own name of the model, our own field taken out, `edits`.

    Nothing else changes, and a body that is right as it stands goes on byte for byte.
    """
    changed: dict[str, bytes | None] = dict(edits or {})
    if value_of(body.value("model")) != upstream_model:
        changed["model"] = msgspec.json.encode(upstream_model)
    if "max_cost" in body.members:
        changed["max_cost"] = None
    return body.splice(changed) if changed else body.raw


def check_model(model: str) -> str:
    """The name as it may reach a row and a log; no catalogue has another one."""
    if len(model) > MODEL_CHARACTERS_MAX or not _MODEL.fullmatch(model):
        raise RequestFault("model_not_found", "model", "", model=model)
    return model


def read_model(members: Members, otherwise: str | None = None) -> str:
    """The name of the model, `otherwise` where the client named none. Raises RequestFault."""
    model = members.text("model")
    if model is None:
        model = otherwise
    return check_model(members.due("model", model or None))


def read_max_cost(body: Body) -> int | None:
    """Our own field, in nano-USD: a string, or a number by its digits. Raises RequestFault."""
    raw = body.value("max_cost")
    if raw is None:
        return None
    if raw[:1] not in _STRING_OR_NUMBER:
        what = 'max_cost must be an amount in USD, as a string such as "0.25" or a number'
        raise RequestFault("invalid_type", "max_cost", what)
    text = msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
    return read_amount(text, "max_cost")


def read_user(body: Body) -> str:
    """The end user's id as it may stand on a row; what is no text is for the provider to judge."""
    raw = body.value("user")
    user = msgspec.json.decode(raw) if raw is not None and raw.startswith(b'"') else ""
    return storable_user(user)


def storable_user(user: str) -> str:
    """An end user's id as it may stand on a row: without control characters, clipped."""
    return _NO_STORE.sub("", user)[:USER_CHARACTERS_MAX]
