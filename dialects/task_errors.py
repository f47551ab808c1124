"""Errors as clients of the task services read them."""

from typing import Any, Final, Literal

import msgspec

from dialects.errors import KINDS, ErrorKind

Family = Literal["mj", "suno", "kling", "jimeng"]

# What each of them calls a fault by its status; then any other of the request, and any of ours.
_CODES: Final[dict[Family, dict[int, int]]] = {
    "mj": {404: 3, 400: 4, 500: 9},
    "kling": {
        401: 1002, 402: 1102, 403: 1103, 404: 1203, 429: 1302, 503: 5001, 504: 5002, 400: 1201,
        500: 5000,
    },
    "jimeng": {429: 50429, 400: 50400, 500: 50500},
}  # fmt: skip
_FILTERED: Final[dict[Family, int]] = {"kling": 1301, "jimeng": 50412}


def render(
    family: Family, kind: ErrorKind, message: str, request_id: str, provider_code: str | None = None
) -> bytes:
    """The body of an error response below the family's paths; a number by which the provider
    refused stands in place of ours."""
    row = KINDS[kind]
    code = _code(family, kind)
    if provider_code is not None and provider_code.isascii() and provider_code.isdigit():
        code = int(provider_code[:9])
    error = {"message": message, "type": row.type, "param": None, "code": row.code}
    bodies: dict[Family, dict[str, Any]] = {
        "mj": {"code": code, "description": message, "type": row.type, "result": "",
               "request_id": request_id},
        "suno": {"code": row.code, "message": message, "data": None, "request_id": request_id},
        "kling": {"code": code, "message": message, "request_id": request_id, "error": error},
        "jimeng": {"code": code, "message": message, "data": None, "request_id": request_id,
                   "status": code, "error": error},
    }  # fmt: skip
    return msgspec.json.encode(bodies[family])


def _code(family: Family, kind: ErrorKind) -> int:
    codes, status = _CODES.get(family, {}), KINDS[kind].status
    if kind == "content_filtered" and family in _FILTERED:
        return _FILTERED[family]
    return codes.get(status) or codes.get(500 if status >= 500 else 400, 0)
