"""Map faults to answers: all errors of the relay in one place.

    fault                                          answer to the client
    -----                                          --------------------
    RequestFault: an invalid request               its kind and parameter
      LimitReached                                   with the wait, and the rest of the limit
      UsedUp: balance or budget                      402 (`limit_answers.py`)
      GuardRefused                                   400 with the guard's own code
      GuardFailed                                    503, a guard did not answer
      MethodNotAllowed                               405 with the methods that the path has
    ChannelsOut: no channel is available           429 or 503, with the wait (`channels_out.py`)
    UpstreamFailed, by attempt                     the last one, or one that the contract prefers
    a time limit of the upstream                   F11 or F13, as a failure of the attempt
    an error inside a success                      F23, in the upstream's words
    DatabaseFailed: away, or it refused            503 overloaded: never 401, 402 or 403
    the key has ended during the answer            401 authentication
    the session has been ended during the answer   403 session_ended
    the process stops                              503 server_shutting_down
    a defect of ours                               500 internal
    the client has left, or does not read          nothing; its record says 499

Statuses and phrases are in `dialects/errors/errors.py` (KINDS). What a fault means for the next
attempt, for health and for money is in `gateway/breaker/faults.py`. The form of an answer is that
of the client's dialect (`dialects/*/errors.py`).
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from dialects.chat.events import UpstreamError
from dialects.codec import Target
from dialects.errors import task_errors
from dialects.errors.errors import KINDS, RequestFault, message_of
from dialects.errors.kinds import ErrorKind
from dialects.upstream_errors.upstream_errors import provider_limit_message
from gateway.breaker.breaker import RETRY_AFTER_S_MAX
from gateway.breaker.faults import final_kind
from gateway.channels.timeouts import Timeouts
from relay.credentials.revocation import EndReason
from relay.downstream.deadline import Reason
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.limit_answers import LimitReached, UsedUp, limit_headers, session_ended
from relay.errors import DatabaseFailed
from relay.guarding.refusals import GuardRefused
from relay.health.channels_out import ChannelsOut, jittered
from relay.requests.invocation import Invocation
from relay.requests.sessions import Session
from relay.upstream.failures import UpstreamFailed, upstream_failure

_WAIT_MS: Final = 1000
# The statuses of passing errors: a slow body, and another request that is still running.
_PASSING: Final = (408, 409)


def answer_of_kind(kind: ErrorKind, *, retry_after_ms: int | None = None) -> ErrorAnswer:
    """Return the answer to an error of a kind that needs no further details."""
    return ErrorAnswer(kind, KINDS[kind].status, message_of(kind), retry_after_ms=retry_after_ms)


CLIENT_CLOSED: Final = answer_of_kind("client_closed")
INTERNAL: Final = answer_of_kind("internal")
KEY_ENDED: Final = answer_of_kind("authentication", retry_after_ms=_WAIT_MS)
OVERLOADED: Final = answer_of_kind("overloaded", retry_after_ms=_WAIT_MS)
STOPPING: Final = answer_of_kind("server_shutting_down", retry_after_ms=_WAIT_MS)


def answer_of_end(reason: EndReason, session: Session | None, public_url: str) -> ErrorAnswer:
    """Return the error for a running request whose key or session has ended."""
    return KEY_ENDED if reason == "revoked" else answer_to(session_ended(session, public_url))


def too_busy(come_again_ms: int) -> ErrorAnswer:
    """Return the error of a process that is too busy. The client should retry after
    `come_again_ms`."""
    return OVERLOADED._replace(retry_after_ms=come_again_ms)


class MethodNotAllowed(RequestFault):
    """The path does not have this method. `allow` are those that it has, separated by commas (RFC
    9110, section 15.5.6)."""

    def __init__(self, method: str, allow: str) -> None:
        super().__init__("method_not_allowed", None, method)
        self.allow = allow


def answer_to(error: RequestFault | ChannelsOut | DatabaseFailed) -> ErrorAnswer:
    """Return the error for a request that was never sent on, or whose next attempt was refused."""
    if isinstance(error, ChannelsOut):
        status, wait_ms = KINDS[error.kind].status, error.retry_after_ms
        waits = wait_ms is not None
        return ErrorAnswer(error.kind, status, error.message, retry_after_ms=wait_ms, waits=waits)
    if not isinstance(error, RequestFault):
        return OVERLOADED
    answer = ErrorAnswer(error.kind, KINDS[error.kind].status, error.message, error.param)
    if isinstance(error, UsedUp):
        return answer._replace(budget_id=error.budget_id)
    if isinstance(error, GuardRefused):
        return answer._replace(guard_code=error.code)
    if isinstance(error, MethodNotAllowed):
        return answer._replace(allow=error.allow)
    if not isinstance(error, LimitReached):
        return answer
    return answer._replace(
        retry_after_ms=error.wait_ms,
        headroom=error.headroom,
        waits=error.wait_ms is not None,
        budget_id=error.budget_id,
    )


def answer_to_failures(failures: Sequence[UpstreamFailed]) -> ErrorAnswer:
    """Return the error for a request whose attempts all failed before content: the last failure, or
    the one that the API contract prefers, with the shortest wait that an upstream asked for."""
    kind = final_kind([failure.kind for failure in failures])
    last_failure = next(failure for failure in reversed(failures) if failure.kind == kind)
    waits = [one.retry_after_ms for one in failures if one.retry_after_ms is not None]
    most_ms = int(RETRY_AFTER_S_MAX * 1000)
    wait_ms = min(jittered(min(waits)), most_ms) if waits else None
    # The wait may be that of another failure, and includes the jitter.
    limited = kind == "upstream_rate_limited"
    message = provider_limit_message(wait_ms or 0) if limited else last_failure.message
    return ErrorAnswer(
        kind, last_failure.status, message, last_failure.param, last_failure.code, wait_ms
    )


def answer_behind_content(failure: UpstreamFailed) -> ErrorAnswer:
    """Return the error that ends a stream which was already begun."""
    return ErrorAnswer(failure.kind, failure.status, failure.message)


def failure_inside(error: UpstreamError) -> UpstreamFailed:
    """Return the failure that the upstream reports inside a successful answer (F23)."""
    return UpstreamFailed("F23", error.kind, error.message, code=error.code)


def failure_of_limit(
    reason: Reason, timeouts: Timeouts, first_content_s: float
) -> UpstreamFailed | None:
    """Return the fault of a time limit; None if the upstream did not cause the wait."""
    if reason == "first_content":
        return upstream_failure("F11", seconds=max(1, int(first_content_s)))
    if reason == "idle":
        return upstream_failure("F13", seconds=max(1, int(timeouts.idle)))
    if reason == "total":
        return upstream_failure("F13", seconds=max(1, int(timeouts.total)))
    return None


# As HTTP ------------------------------------------------------------------------------------------


class ErrorResponse(NamedTuple):
    """Status, headers and body. The sender adds `x-request-id`."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes


def error_response(error: ErrorAnswer, invocation: Invocation, request_id: str) -> ErrorResponse:
    """Return the error response for this request. Below the paths of a task service it has that
    service's form."""
    codec, family = invocation.codec, invocation.family
    waits = error.waits and error.status in (429, 503)
    wait_ms = None
    if waits:
        wait_ms = 1000 if error.retry_after_ms is None else max(1, error.retry_after_ms)
    fields = [(b"content-type", b"application/json")]
    own = codec.headers(error.kind, error.status, request_id, wait_ms)
    fields += [(name.encode(), value.encode()) for name, value in own.items()]
    fields += limit_headers(codec.name, error.headroom, time.time())
    if not _may_pass(error):
        # OpenAI's and Anthropic's clients retry by status unless this header says no.
        fields.append((b"x-should-retry", b"false"))
    if error.allow:
        fields.append((b"allow", error.allow.encode()))
    if error.status == 401:
        fields.append((b"www-authenticate", b"Bearer"))
    elif error.status in (413, 501):
        # The rest of the body is not read.
        fields.append((b"connection", b"close"))
    if family is not None:
        # A provider's own refusal is passed on, because clients of these services know it.
        status = 200 if family.is_own(error.code) else error.status
        body = task_errors.render(
            family, error.kind, error.message, request_id, error.code, error.guard_code
        )
        return ErrorResponse(status, fields, body)
    target = invocation.target
    body = codec.render(
        error.kind,
        error.message,
        param=error.param,
        # The provider's name of its filter is sent to clients of its own dialect only.
        code=None if error.kind == "content_filtered" else error.code,
        request_id=request_id,
        wait_ms=wait_ms,
        target=target if target.array else Target(),
        guard_code=error.guard_code,
    )
    return ErrorResponse(codec.status(error.kind, error.status), fields, body)


def _may_pass(error: ErrorAnswer) -> bool:
    """Return whether the same request may succeed later although nobody changes anything."""
    if error.status in (429, 503):
        return error.waits
    return error.status in _PASSING or (error.status >= 500 and error.kind != "not_implemented")
