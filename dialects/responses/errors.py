"""Errors of the responses dialect: written for clients, read from upstreams. An error response has
the body of OpenAI's other endpoints. Inside a stream an error is the whole response with status
`failed`, or `event: error` if no response has begun. Reading removes a provider's pages, keys and
account ids: see `clean_upstream`.
"""

from functools import partial
from typing import Final

import msgspec

from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.upstream_errors import api_errors
from dialects.upstream_errors.api_errors import name_guard_code, name_request
from dialects.upstream_errors.api_errors import render as render

_WORDS: Final = api_errors.Words(
    filtered=frozenset({"bio_policy", "image_content_policy_violation"}),
    account=frozenset({"data_residency_mismatch"}),
    # Error codes of failed responses that are the client's fault.
    request=frozenset(
        {
            "invalid_request_error",
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "invalid_image_mode",
            "image_file_too_large",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
        }
    ),
)
read = partial(api_errors.read, _WORDS)
read_object = partial(api_errors.read_object, _WORDS)
_LIMIT_KINDS: Final[frozenset[ErrorKind]] = frozenset({"rate_limited", "upstream_rate_limited"})


def error_frame(
    kind: ErrorKind, message: str, *, request_id: str = "", guard_code: str | None = None
) -> bytes:
    """Return the only event of a stream in which no response has begun. Otherwise
    `stream_encode.Encoder.fail` and `stream_decode.Decoder.fail` report the response as failed.
    """
    row = KINDS[kind]
    error = {
        "type": "error",
        "sequence_number": 0,
        "code": guard_code or row.code or row.type,
        "message": message,
        "param": None,
    }
    event = error | name_request(request_id)
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def failed_error(kind: ErrorKind, message: str, guard_code: str | None = None) -> dict[str, str]:
    """Return the `error` of a failed response. Its code is one of OpenAI's list, by which clients
    decide whether to repeat the request; a guard's code stands beside it."""
    return {"code": _failed_code(kind), "message": message, **name_guard_code(guard_code)}


def _failed_code(kind: ErrorKind) -> str:
    if kind in _LIMIT_KINDS:
        return "rate_limit_exceeded"
    return "invalid_prompt" if KINDS[kind].type == "invalid_request_error" else "server_error"
