"""Errors as clients of the task services read them."""

from typing import Any, Final, Literal

import msgspec

from dialects.errors import KINDS, ErrorKind

Family = Literal["mj", "suno", "kling", "jimeng"]

# What each of them calls a path that is not there, any other fault of the request, and ours.
_CODES: Final[dict[Family, tuple[int, int, int]]] = {
    "mj": (3, 4, 9),
    "kling": (1203, 1201, 5000),
    "jimeng": (50400, 50400, 50500),
}
_REFUSING: Final = frozenset({"3", "4", "9", "23", "24"})


def is_own(family: Family, code: str | None) -> bool:
    """Whether a code is one by which providers of the family refuse a task: their clients get it
    with status 200."""
    return code in _REFUSING if family == "mj" else family == "suno" and code is not None


def render(
    family: Family, kind: ErrorKind, message: str, request_id: str, own: str | None = None
) -> bytes:
    """The body of an error response below the family's paths; `own` is the provider's code, None
    where the refusal is ours."""
    row = KINDS[kind]
    relayed = own if own is not None and is_own(family, own) else None
    code = int(relayed) if family == "mj" and relayed else _code(family, row.status)
    error = {"message": message, "type": row.type, "param": None, "code": row.code}
    bodies: dict[Family, dict[str, Any]] = {
        "mj": {"code": code, "description": message, "type": row.type, "result": "",
               "request_id": request_id},
        "suno": {"code": relayed or row.code, "message": message, "data": None,
                 "request_id": request_id},
        "kling": {"code": code, "message": message, "request_id": request_id, "error": error},
        "jimeng": {"code": code, "message": message, "data": None, "request_id": request_id,
                   "status": code, "error": error},
    }  # fmt: skip
    return msgspec.json.encode(bodies[family])


def _code(family: Family, status: int) -> int:
    missing, wrong, failed = _CODES.get(family, (0, 0, 0))
    if status >= 500:
        return failed
    return missing if status == 404 else wrong
