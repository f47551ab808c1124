"""The attempt to open a live connection at one channel. Other channels may be tried until its
provider has completed the setup; then the connection begins.
"""

import asyncio
from collections.abc import Callable

from dialects.realtime import gemini_live as live
from dialects.streams.stream import is_utf8
from relay.catalogue.snapshot import Snapshot
from relay.context.context import RequestContext
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.realtime.attempt import RealtimeAttempt
from relay.realtime.connection import RealtimeConnection
from relay.realtime.gemini_live.connection import LiveConnection
from relay.realtime.gemini_live.operation import LiveOrder
from relay.realtime.gemini_live.sink import LiveSink
from relay.realtime.response import MeteredResponse
from relay.upstream.failures import UpstreamFailed, failure_of_status, upstream_failure
from relay.upstream.websocket import SocketLost, UpstreamSocket


class LiveAttempt(RealtimeAttempt):
    """An admitted attempt; `order` is what the client's first message asks for."""

    def __init__(
        self,
        sink: LiveSink,
        newest: Callable[[], Snapshot],
        stopping: asyncio.Event,
        order: LiveOrder,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
    ) -> None:
        super().__init__(
            sink=sink,
            newest=newest,
            stopping=stopping,
            fixed=None,
            context=context,
            admitted=admitted,
            probe=probe,
        )
        self._order = order
        # The provider's first message.
        self._opening = b""

    async def _open(self) -> UpstreamSocket:
        socket, usable = await super()._open(), False
        try:
            await socket.send(self._setup())
            self._opening = await socket.receive()
            if not is_utf8(self._opening):
                raise upstream_failure("F16")
            if not live.read_server_message(self._opening).is_setup:
                raise upstream_failure("F15", "the setup was not completed")
            usable = True
        except SocketLost as lost:
            raise self._failure(lost) from None
        except ValueError:
            raise upstream_failure("F15") from None
        finally:
            if not usable:
                socket.close()
        return socket

    def _setup(self) -> bytes:
        setup, resumed = self._order.setup, self._order.resumed
        handle = None if resumed is None else resumed.handle
        cap = self._admitted.hold.size.output_cap
        limits = [limit for limit in (cap, setup.output_max) if limit is not None]
        return setup.encode(self._admitted.upstream_model, min(limits, default=None), handle)

    def _failure(self, lost: SocketLost) -> UpstreamFailed:
        status = live.status_of_close(lost.code, lost.reason)
        if not status:
            return upstream_failure("F14")
        body = live.error_body(status, lost.reason)
        return failure_of_status(status, {}, body, self._admitted.prepared.codec)

    def _new_connection(self, socket: UpstreamSocket, first: MeteredResponse) -> RealtimeConnection:
        return LiveConnection(
            context=self._context,
            admitted=self._admitted,
            probe=self._probe,
            first=first,
            socket=socket,
            sink=self._sink,
            newest=self._newest,
            stopping=self._stopping,
            order=self._order,
            opening=self._opening,
        )
