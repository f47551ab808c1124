"""Forward a request to a channel, as the channel's pass-through rules allow."""

from relay.attempts.next_attempts import NextAttempts
from relay.attempts.request_reader import RequestReader
from relay.attempts.run import Run
from relay.context.context import RequestContext
from relay.endpoints.generation import Registration
from relay.endpoints.passthrough.attempt import PassThroughAttempt
from relay.endpoints.passthrough.incoming_body import BODY_BYTES_MAX, IncomingBody
from relay.endpoints.passthrough.operation import PassThrough, read_target, route_to
from relay.front.request import Request
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.requests.headers import read_headers

# Headers about a body of ours, which the provider reads here.
_OF_THE_BODY = frozenset({b"content-type", b"content-encoding", b"idempotency-key"})


async def pass_through(request: Request) -> None:
    """Forward a request, and its answer, while they arrive."""
    lines = request.scope["headers"]
    headers = read_headers([line for line in lines if line[0] not in _OF_THE_BODY], BODY_BYTES_MAX)
    context = request.make_context(request.invocation, request.options_of(headers))
    body = None
    chunked = any(name == b"transfer-encoding" for name, _ in lines)
    if chunked or headers.length is not None:
        length = None if chunked else headers.length
        body = IncomingBody(request.receive, length, wait_s=request.life.config.body_wait_s)
    passing = _Passing(request, context, body)
    run = Run(context, passing.make_attempt)
    receive = None if body is None else body.receive_after
    with Registration(request, run, run.leave, receive):
        await run.answer_routed(passing.route)


class _Passing:
    """One request, from its path to its attempt."""

    def __init__(
        self, request: Request, context: RequestContext, body: IncomingBody | None
    ) -> None:
        self._request = request
        self._context = context
        self._body = body
        self._asked: PassThrough

    def route(self, reader: RequestReader) -> NextAttempts:
        """Raises RequestFault, ChannelsOut."""
        request = self._request
        self._asked = read_target(self._context.snapshot, request.scope, request.credentials.key)
        return route_to(self._context, self._asked, reader)

    def make_attempt(
        self, context: RequestContext, admitted: AdmittedAttempt, probe: HealthProbe
    ) -> PassThroughAttempt:
        sink = self._request.sink
        return PassThroughAttempt(self._asked, self._body, sink, context, admitted, probe)
