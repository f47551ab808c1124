"""The attempt to open a connection at one channel. Other channels may be tried until the channel's
WebSocket is open and the provider has begun; then the connection runs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from dialects.realtime.fixed_settings import FixedSettings
from lib.ids import id_text
from relay.answers.attempt_end import AttemptEnd
from relay.catalogue.snapshot import Channel, Snapshot
from relay.context.context import RequestContext
from relay.credentials.revocation import EndReason
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import (
    CLIENT_CLOSED,
    INTERNAL,
    STOPPING,
    answer_of_end,
    failure_of_limit,
)
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.ledger.settlement import Settlement
from relay.metering.usage_meter import UsageMeter, cost_of
from relay.operations.unary import UnaryFacts
from relay.realtime.connection import RealtimeConnection
from relay.realtime.connection_holds import RealtimeOver
from relay.realtime.connection_life import CONNECTION_S
from relay.realtime.hold_sizes import ResponseBound
from relay.realtime.response import NOT_USED, MeteredResponse, ResponseMeter
from relay.realtime.sink import RealtimeSink
from relay.realtime.socket_connection import SocketConnection
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.websocket import UpstreamSocket


class ConnectionAttempt(ABC):
    """An admitted attempt to open a connection, with the interface of `Attempt`. `meter` counts its
    first request; `stopping` is set when the process is about to stop."""

    def __init__(
        self,
        sink: RealtimeSink,
        stopping: asyncio.Event,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
        meter: UsageMeter,
    ) -> None:
        self._sink = sink
        self._stopping = stopping
        self._context = context
        self._admitted = admitted
        self._probe = probe
        self._prices = meter.prices
        self._end = AttemptEnd(context, admitted, meter)
        self._failed = False

    @abstractmethod
    async def _begin(self, socket: UpstreamSocket) -> SocketConnection:
        """Begin a connection on an open WebSocket. Raises UpstreamFailed, and RealtimeOver if no
        connection may begin.
        """

    @property
    def key(self) -> int:
        return self._probe.key

    @property
    def channel(self) -> Channel:
        return self._admitted.channel

    @property
    def answer_text(self) -> str:
        return ""

    def cost_of(self, outcome: Outcome) -> int | None:
        return cost_of(outcome.meters, self._prices.cost)

    def leave(self) -> None:
        self._context.deadline.interrupt("left")

    def revoke(self, reason: EndReason = "revoked") -> None:
        """End the connection, because its key has ended or a person ended its session."""
        self._context.deadline.interrupt(reason)

    def failed(self, failure: UpstreamFailed, *, final: bool) -> Settlement:
        """Return the end of this attempt, which began no connection."""
        return self._end.failed(failure, final=final)

    async def execute(self, *, fresh: bool) -> Outcome:
        """Open the connection and run it to its end. Raises UpstreamFailed if none began."""
        socket: UpstreamSocket | None = None
        try:
            socket = await self._open()
            connection = await self._begin(socket)
            return await connection.run()
        except asyncio.CancelledError:
            return await self._end_cancelled()
        except RealtimeOver as over:
            return await self._refuse(over.error or CLIENT_CLOSED)
        except UpstreamFailed as failure:
            self._failed = True
            self._probe.failed(failure)
            raise failure from None
        finally:
            self._probe.close()
            if socket is not None:
                socket.close()
            if self._end.outcome is None and not self._failed:
                self._end.settle(INTERNAL, NOT_USED)

    async def _open(self) -> UpstreamSocket:
        context, admitted = self._context, self._admitted
        context.deadline.limit("total", CONNECTION_S)
        context.deadline.allow("first_content", admitted.first_content_s)
        socket = await context.parts.upstreams.change_over(
            admitted.channel,
            context.snapshot.egress,
            admitted.prepared.outgoing(None),
            id_text(admitted.hold.attempt_id),
            key=self._probe.key,
        )
        self._probe.accepted()
        return socket

    async def _refuse(self, error: ErrorAnswer) -> Outcome:
        """Settle the attempt, because its connection may not begin."""
        outcome = self._end.settle(error, NOT_USED)
        await self._sink.refuse(error)
        return outcome

    async def _end_cancelled(self) -> Outcome:
        """Settle the attempt after a cancellation before a connection began."""
        reason = self._context.deadline.caught()
        if reason in ("first_content", "total", "idle"):
            failure = failure_of_limit(
                reason, self._admitted.timeouts, self._admitted.first_content_s
            )
            self._failed = True
            failure = failure or upstream_failure("F11")
            self._probe.failed(failure)
            raise failure from None
        error = STOPPING if reason is None else CLIENT_CLOSED
        if reason == "revoked" or reason == "session_ended":
            context = self._context
            error = answer_of_end(reason, context.session, context.parts.config.public_url)
        return await self._refuse(error)


class RealtimeAttempt(ConnectionAttempt):
    """The attempt to open a realtime connection. `newest` returns the current snapshot; `fixed` are
    settings that the client may not change."""

    def __init__(
        self,
        sink: RealtimeSink,
        newest: Callable[[], Snapshot],
        stopping: asyncio.Event,
        fixed: FixedSettings | None,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
    ) -> None:
        self._meter = ResponseMeter(admitted)
        super().__init__(sink, stopping, context, admitted, probe, self._meter)
        self._newest = newest
        self._fixed = fixed

    async def _begin(self, socket: UpstreamSocket) -> SocketConnection:
        facts = self._admitted.facts
        unit = facts.units[0] if isinstance(facts, UnaryFacts) else None
        if not isinstance(unit, ResponseBound):
            raise TypeError("the operation is no connection")
        first = MeteredResponse(self._context, self._admitted, self._meter, self._end, unit)
        return self._new_connection(socket, first)

    def _new_connection(self, socket: UpstreamSocket, first: MeteredResponse) -> RealtimeConnection:
        return RealtimeConnection(
            context=self._context,
            admitted=self._admitted,
            probe=self._probe,
            first=first,
            socket=socket,
            sink=self._sink,
            newest=self._newest,
            stopping=self._stopping,
            fixed=self._fixed,
        )
