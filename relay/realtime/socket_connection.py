"""A connection between a client's WebSocket and an upstream's, whatever its events are: what both
sides send is passed on, until one side, a limit or the process ends it.

    client   --admitted, and changed where the connection's limits require it--> upstream
    upstream --counted--> client
    money used up, key ended, a time limit, the process stops, either end lost
             --> the client gets an error and a close --> the upstream is asked to stop, and told
                 usage is awaited briefly --> settled
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, Final

from lib.process.waiting import timeout
from relay.context.context import RequestContext
from relay.downstream.deadline import Reason
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import (
    STOPPING,
    answer_behind_content,
    answer_of_end,
    answer_of_kind,
    failure_of_limit,
)
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.realtime.connection_holds import RealtimeOver
from relay.realtime.connection_life import CONNECTION_IDLE_S, CONNECTION_S
from relay.realtime.sink import ClientLeft, RealtimeSink
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.websocket import SocketLost, UpstreamSocket

_CLOSE_S: Final = 1.0
# Close codes (RFC 6455, section 7.4).
_IN_ORDER, _TOO_LARGE = 1000, 1009
_NOT_TEXT: Final = ErrorAnswer(
    "invalid_type", 400, "API request failed: Invalid Format: events are text frames"
)


class SocketConnection(ABC):
    """Relays one connection. `socket` is the open WebSocket to the upstream; `stopping` is set when
    the process is about to stop."""

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
        socket: UpstreamSocket,
        sink: RealtimeSink,
        stopping: asyncio.Event,
    ) -> None:
        self._context = context
        self._admitted = admitted
        self._probe = probe
        self._socket = socket
        self._sink = sink
        self._stopping = stopping

    async def run(self) -> Outcome:
        """Forward events until the connection ends, then settle its usage. Nothing that either side
        does makes it raise."""
        over = RealtimeOver(None)
        try:
            over = await self._pass_events()
        except asyncio.CancelledError:
            over = self._by_deadline(self._context.deadline.caught())
        except RealtimeOver as ended:
            # The connection ended before the first event was forwarded.
            over = ended
        except SocketLost as lost:
            over = self._lost(lost)
        except ClientLeft:
            # The client left before its WebSocket was accepted.
            over = RealtimeOver(None)
        finally:
            self._context.deadline.stop()
            outcome = await self._end(over)
        return outcome

    async def _pass_events(self) -> RealtimeOver:
        await self._begin_connection()
        self._touch()
        pumps = [asyncio.create_task(pump) for pump in self._pumps()]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            return _over_reason(done)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _pumps(self) -> list[Any]:
        """Return the coroutines that run until the connection ends."""
        return [self._from_client(), self._from_upstream(), self._until_stopped()]

    # ---- what a kind of connection does

    @abstractmethod
    async def _begin_connection(self) -> None:
        """Accept the client, and send what precedes its events. Raises RealtimeOver, SocketLost,
        ClientLeft.
        """

    @abstractmethod
    async def _forward(self, raw: bytes) -> None:
        """Send a client's event to the upstream, or refuse it. Raises RealtimeOver, SocketLost,
        UpstreamFailed.
        """

    @abstractmethod
    async def _read(self, raw: bytes) -> str:
        """Count an upstream's event, and return what its client gets. Raises ValueError for an
        unreadable one.
        """

    @abstractmethod
    async def _finish_work(self) -> None:
        """Wait until the upstream has finished what may still be sent before the process stops."""

    @property
    @abstractmethod
    def _is_generating(self) -> bool:
        """Whether the upstream is generating a response, or was asked for one."""

    @property
    @abstractmethod
    def _ends_in_order(self) -> bool:
        """Whether the upstream may close the connection now without an error."""

    @abstractmethod
    def _release(self, over: RealtimeOver, error: ErrorAnswer | None, fault: str) -> None:
        """Release the holds of what has not begun; `error` is the error of a failed upstream."""

    @abstractmethod
    async def _wind_down(self) -> None:
        """Ask the upstream to stop, if it is connected, and wait briefly for the usage. Never
        raises."""

    @abstractmethod
    def _settle(self, over: RealtimeOver, fault: str) -> Outcome:
        """Settle every request that is open. Return the outcome of the first request."""

    # ---- both directions

    async def _from_client(self) -> None:
        while True:
            text = await self._sink.receive()
            if text is None:
                await self._sink.send_error(_NOT_TEXT)
                continue
            await self._forward(text.encode())

    async def _send(self, raw: bytes) -> None:
        await self._within_stall(self._socket.send(raw))

    async def _within_stall(self, sending: Awaitable[None]) -> None:
        """Wait for an upstream. Raises UpstreamFailed if that takes too long."""
        try:
            async with timeout(self._stall_s):
                await sending
        except TimeoutError:
            raise upstream_failure("F13", seconds=int(self._stall_s)) from None

    async def _from_upstream(self) -> None:
        while True:
            try:
                raw = await self._socket.receive()
            except SocketLost as lost:
                raise self._lost(lost) from None
            try:
                forwarded = await self._read(raw)
            except UnicodeDecodeError:
                raise upstream_failure("F16") from None
            except ValueError:
                raise upstream_failure("F15") from None
            await self._say(forwarded)

    async def _say(self, text: str) -> None:
        """Send an event to the client. Raises RealtimeOver if the client does not read."""
        try:
            async with timeout(self._stall_s):
                await self._sink.send_text(text)
        except TimeoutError:
            raise RealtimeOver(None) from None

    def _lost(self, lost: SocketLost) -> RealtimeOver:
        if lost.code == _IN_ORDER and self._ends_in_order:
            return RealtimeOver(None)
        return over_by_failure(upstream_failure("F17" if lost.code == _TOO_LARGE else "F14"))

    # ---- times

    def _touch(self) -> None:
        """Restart the silence timer, because an event arrived."""
        self._context.deadline.allow("idle", self._idle_s)

    @property
    def _idle_s(self) -> float:
        """Return the seconds of silence after which the connection ends."""
        return CONNECTION_IDLE_S

    @property
    def _stall_s(self) -> float:
        """Return how long either end may block its input."""
        return self._context.parts.config.write_stall_s

    async def _until_stopped(self) -> None:
        """Wait until the process stops, let the current responses finish, and end the
        connection."""
        await self._stopping.wait()
        await self._finish_work()
        raise RealtimeOver(STOPPING)

    def _by_deadline(self, reason: Reason | None) -> RealtimeOver:
        if reason is None:
            return RealtimeOver(STOPPING)
        if reason == "revoked" or reason == "session_ended":
            context = self._context
            url = context.parts.config.public_url
            return RealtimeOver(answer_of_end(reason, context.session, url))
        if reason == "left":
            return RealtimeOver(None)
        if reason == "total":
            return RealtimeOver(
                _expired_answer(f"the session has lasted for {CONNECTION_S / 60:.0f} minutes")
            )
        if not self._is_generating:
            what = f"nothing was sent for {CONNECTION_IDLE_S / 60:.0f} minutes"
            return RealtimeOver(_expired_answer(what))
        failure = failure_of_limit(reason, self._admitted.timeouts, self._admitted.first_content_s)
        return over_by_failure(failure or upstream_failure("F13"))

    # ---- its end

    async def _end(self, over: RealtimeOver) -> Outcome:
        """End the connection: notify the client, stop the upstream, and settle everything."""
        downstream, fault = self._context.downstream, ""
        failed = None
        if over.failure is not None:
            fault, failed = over.failure.fault, over.error
            self._probe.failed(over.failure)
        self._release(over, failed, fault)
        try:
            await self._tell(over)
            downstream.client_gone = True
            if self._socket.is_open:
                await self._wind_down()
        finally:
            downstream.client_gone = True
            outcome = self._settle(over, fault)
            self._socket.close()
        return outcome

    async def _tell(self, over: RealtimeOver) -> None:
        if over.error is not None:
            await self._sink.refuse(over.error)
            return
        with contextlib.suppress(ClientLeft, TimeoutError):
            async with timeout(_CLOSE_S):
                await self._sink.close(_IN_ORDER)


def _over_reason(done: "set[asyncio.Task[None]]") -> RealtimeOver:
    """Return why the first pump ended. Re-raises an unexpected exception."""
    error = next(filter(None, (task.exception() for task in done)))
    if isinstance(error, RealtimeOver):
        return error
    if isinstance(error, ClientLeft):
        return RealtimeOver(None)
    if isinstance(error, UpstreamFailed):
        return over_by_failure(error)
    if isinstance(error, SocketLost):
        return over_by_failure(upstream_failure("F14"))
    raise error


def over_by_failure(failure: UpstreamFailed) -> RealtimeOver:
    """Return the end of a connection whose upstream failed."""
    return RealtimeOver(answer_behind_content(failure), failure)


def _expired_answer(what: str) -> ErrorAnswer:
    answer = answer_of_kind("request_timeout")
    return answer._replace(
        message=f"API request failed: {what}; open another session", code="session_expired"
    )
