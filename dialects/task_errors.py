"""Errors as clients of the task services read them."""

from typing import Any, Final, Literal

import msgspec

from dialects.errors import KINDS, RequestFault

Family = Literal["mj", "suno", "kling", "jimeng"]

# What each of them calls a path that is not there.
_MIDJOURNEY_NOT_FOUND: Final = 3
_KLING_NOT_FOUND: Final = 1203
_JIMENG_WRONG: Final = 50400


def render(family: Family, fault: RequestFault, request_id: str) -> bytes:
    """The body for a path of the family that is no row."""
    row = KINDS[fault.kind]
    error = {"message": fault.message, "type": row.type, "param": fault.param, "code": row.code}
    bodies: dict[Family, dict[str, Any]] = {
        "mj": {"code": _MIDJOURNEY_NOT_FOUND, "description": fault.message, "type": row.type,
               "result": ""},
        "suno": {"code": row.code, "message": fault.message, "data": None},
        "kling": {"code": _KLING_NOT_FOUND, "message": fault.message, "request_id": request_id,
                  "error": error},
        "jimeng": {"code": _JIMENG_WRONG, "message": fault.message, "data": None,
                   "request_id": request_id, "status": _JIMENG_WRONG, "error": error},
    }  # fmt: skip
    return msgspec.json.encode(bodies[family])
