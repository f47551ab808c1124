"""Errors in the form of a task service: the service says how, in its `Family`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind


class FamilyError(NamedTuple):
    """An error to write. `number` is the service's number of it, 0 if it has none; `code` the
    provider's code that replaces ours, None if the refusal is ours."""

    message: str
    type: str
    own_code: str | None
    number: int
    code: str | None
    request_id: str

    @property
    def as_ours(self) -> dict[str, Any]:
        """The error as other endpoints write it."""
        return {"message": self.message, "type": self.type, "param": None, "code": self.own_code}


class Family(NamedTuple):
    """How a task service writes errors.

    `write` returns the body. `numbers` are the service's numbers by status; those of 400 and 500
    stand for any other client error and any server error. `filtered` is that of blocked content, 0
    for the one by status. `is_own` returns whether a code is a refusal by the service's providers:
    clients get it with status 200. With `numbered`, any number of a provider replaces ours.
    """

    name: str
    write: Callable[[FamilyError], dict[str, Any]]
    numbers: Mapping[int, int] = {}
    filtered: int = 0
    is_own: Callable[[str | None], bool] = lambda code: False
    numbered: bool = False


def render(
    family: Family,
    kind: ErrorKind,
    message: str,
    request_id: str,
    provider_code: str | None = None,
    guard_code: str | None = None,
) -> bytes:
    """Return the body of an error response below the family's paths. The provider's code replaces
    ours; None if the refusal is ours. A guard's code replaces that of the kind."""
    row = KINDS[kind]
    code = _provider_code(family, provider_code)
    relayed = code is not None and code.isascii() and code.isdigit()
    number = int(code) if code is not None and relayed else _number(family, kind)
    error = FamilyError(message, row.type, guard_code or row.code, number, code, request_id)
    return msgspec.json.encode(family.write(error))


def _provider_code(family: Family, code: str | None) -> str | None:
    if code is None or family.is_own(code):
        return code
    return code[:9] if family.numbered and code.isascii() and code.isdigit() else None


def _number(family: Family, kind: ErrorKind) -> int:
    numbers, status = family.numbers, KINDS[kind].status
    if kind == "content_filtered" and family.filtered:
        return family.filtered
    return numbers.get(status) or numbers.get(500 if status >= 500 else 400, 0)
