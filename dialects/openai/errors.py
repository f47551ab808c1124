"""Errors of the openai dialect: written for clients, read from upstreams. Reading removes a
provider's pages, keys and account ids: see `clean_upstream`.
"""

from functools import partial
from typing import Final

from dialects.errors.kinds import ErrorKind
from dialects.upstream_errors import api_errors
from dialects.upstream_errors.api_errors import render as render

_WORDS: Final = api_errors.Words(request=frozenset({"invalid_request_error"}))
read = partial(api_errors.read, _WORDS)
read_object = partial(api_errors.read_object, _WORDS)


def error_frame(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Write the error as the last frame of a stream; no end marker follows."""
    return b"data: " + render(kind, message, code=guard_code, request_id=request_id) + b"\n\n"
