"""Failures of an attempt, each by a row of the fault table (`gateway/breaker/faults.py`)."""

import time
from collections.abc import Mapping
from typing import Any

from dialects.codec import Codec
from dialects.errors.errors import KINDS, message_of
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import without_sentences
from gateway.breaker.faults import FAULTS
from relay.errors import RelayError

_LOST = "the provider closed the connection behind the request, before it answered"


class UpstreamFailed(RelayError):
    """An attempt failed. `fault` is a row of the fault table. The other fields are for the client:
    the kind with its status and message, the provider's code and param, and the wait that the
    upstream asked for. `detail` is for the operator, `upstream_status` the HTTP status, 0 for none;
    `expired`: the credentials have expired.
    """

    def __init__(
        self,
        fault: str,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
        detail: str = "",
        upstream_status: int = 0,
        expired: bool = False,
    ) -> None:
        # What logs have of it (P31).
        super().__init__(f"{fault} {without_sentences(detail or message)}")
        self.fault = fault
        self.kind = kind
        self.status = KINDS[kind].status if status is None else status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_ms = retry_after_ms
        self.detail = detail
        self.upstream_status = upstream_status
        self.expired = expired
        # The upstream's id of the request, "" if it does not report one.
        self.request_id = ""


def upstream_failure(fault: str, what: str = "", *, seconds: int = 0) -> UpstreamFailed:
    """Return the failure for a row whose kind the table names; `what` completes its phrase."""
    kind = FAULTS[fault].kind or "upstream_error"
    return UpstreamFailed(fault, kind, message_of(kind, what, seconds=seconds), detail=what)


def connection_lost(fault: str, detail: str = "") -> UpstreamFailed:
    """Return the failure of a connection that ended behind the request (F32, F33)."""
    failure = upstream_failure(fault, _LOST)
    failure.detail = detail or _LOST
    return failure


def failure_of_status(
    status: int, headers: Mapping[str, str], body: bytes, codec: Codec[Any]
) -> UpstreamFailed:
    """Return the failure for an unsuccessful answer."""
    error = codec.read_error(status, headers, body, int(time.time()))
    return UpstreamFailed(
        error.fault,
        error.kind,
        error.message,
        status=error.status,
        code=error.code,
        param=error.param,
        retry_after_ms=error.retry_after_ms,
        detail=error.detail,
        upstream_status=status,
        expired=error.expired,
    )
