"""Errors in the forms of the task services."""

from typing import Any, Final, Literal

import msgspec

from dialects.errors.errors import KINDS, ErrorKind

Family = Literal["mj", "suno", "kling", "jimeng"]

# Each service's number for a fault by its status; then for any other client error, and any server
# error.
_CODES: Final[dict[Family, dict[int, int]]] = {
    "mj": {404: 3, 400: 4, 500: 9},
    "kling": {
        401: 1002, 402: 1102, 403: 1103, 404: 1203, 429: 1302, 503: 5001, 504: 5002, 400: 1201,
        500: 5000,
    },
    "jimeng": {429: 50429, 400: 50400, 500: 50500},
}  # fmt: skip
_FILTERED: Final[dict[Family, int]] = {"kling": 1301, "jimeng": 50412}
_REFUSING: Final = frozenset({"3", "4", "9", "23", "24"})


def is_own(family: Family, code: str | None) -> bool:
    """Return whether a code is a refusal by the family's providers. Clients get such a refusal with
    status 200."""
    if family == "mj":
        return code in _REFUSING
    return family == "suno" and code is not None


def render(
    family: Family, kind: ErrorKind, message: str, request_id: str, provider_code: str | None = None
) -> bytes:
    """Return the body of an error response below the family's paths. The provider's code replaces
    ours; None if the refusal is ours."""
    row = KINDS[kind]
    relayed = _provider_code(family, provider_code)
    code = _code(family, kind) if relayed is None or family == "suno" else int(relayed)
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


def _provider_code(family: Family, code: str | None) -> str | None:
    if code is None or is_own(family, code):
        return code
    numbered = family in ("kling", "jimeng") and code.isascii() and code.isdigit()
    return code[:9] if numbered else None


def _code(family: Family, kind: ErrorKind) -> int:
    codes, status = _CODES.get(family, {}), KINDS[kind].status
    if kind == "content_filtered" and family in _FILTERED:
        return _FILTERED[family]
    return codes.get(status) or codes.get(500 if status >= 500 else 400, 0)
