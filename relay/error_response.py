"""An error as an HTTP response in the form that its client reads; the request's id stands in it."""

import time
from typing import NamedTuple

from dialects import task_errors
from dialects.codec import Target
from dialects.task_errors import Family
from relay.downstream import ErrorAnswer
from relay.endpoints import family_of, find_endpoint, read_invocation
from relay.limits import limit_headers
from relay.request_context import Invocation


class ErrorResponse(NamedTuple):
    """Status, header fields and body; `x-request-id` is added by whoever sends it."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes


def error_response(
    error: ErrorAnswer, invocation: Invocation, request_id: str, family: Family | None = None
) -> ErrorResponse:
    """The response to a request of which so much is known; in a task service's form where it is
    below the paths of one."""
    codec = invocation.codec
    waits = error.waits and error.status in (429, 503)
    wait_ms = max(1, error.retry_after_ms or 1000) if waits else None
    fields = [(b"content-type", b"application/json")]
    own = codec.headers(error.status, request_id, wait_ms)
    fields += [(name.encode(), value.encode()) for name, value in own.items()]
    fields += limit_headers(codec.name, error.headroom, time.time())
    if error.status == 401:
        fields.append((b"www-authenticate", b"Bearer"))
    elif error.status in (413, 501):
        # The rest of the body is not worth reading.
        fields.append((b"connection", b"close"))
    if family is not None:
        body = task_errors.render(family, error.kind, error.message, request_id)
        return ErrorResponse(error.status, fields, body)
    target = invocation.target
    body = codec.render(
        error.kind,
        error.message,
        param=error.param,
        code=error.code,
        request_id=request_id,
        wait_ms=wait_ms,
        target=target if target.array else Target(),
    )
    return ErrorResponse(codec.status(error.kind, error.status), fields, body)


def response_at(path: str, error: ErrorAnswer, request_id: str) -> ErrorResponse:
    """The response to a request of which no more is known than its path, or the beginning of it."""
    invocation = read_invocation(find_endpoint(path), path, (), b"")
    return error_response(error, invocation, request_id, family_of(path))
