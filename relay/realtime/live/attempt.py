"""The attempt to start a Live connection at one channel. Other channels may be tried until the
provider confirms the start; then the connection runs.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from dialects.errors.errors import RequestFault
from dialects.realtime import live
from dialects.realtime.live import Settings
from dialects.streams.stream import is_utf8
from relay.catalogue.snapshot import Snapshot
from relay.content_log.spoken_minutes import SpokenMinutes
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import INTERNAL, answer_to
from relay.health.channel_health import HealthProbe
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.realtime.attempt import ConnectionAttempt
from relay.realtime.connection_holds import ConnectionHolds, RealtimeOver
from relay.realtime.live.connection import LiveConnection, LiveParts
from relay.realtime.live.delegations import Delegations
from relay.realtime.live.live_events import record_start
from relay.realtime.live.operation import Live
from relay.realtime.live.stretches import FULL_STRETCH, MeteredStretch, StretchMeter
from relay.realtime.sink import RealtimeSink
from relay.realtime.socket_connection import SocketConnection
from relay.upstream.failures import failure_of_status, upstream_failure
from relay.upstream.websocket import SocketLost, UpstreamSocket

_TOO_LARGE: Final = 1009


class LiveAttempt(ConnectionAttempt):
    """An admitted attempt. `start` is the client's first event, with its `settings`."""

    def __init__(
        self,
        sink: RealtimeSink,
        newest: Callable[[], Snapshot],
        stopping: asyncio.Event,
        start: bytes,
        settings: Settings,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
    ) -> None:
        meter = StretchMeter(admitted)
        super().__init__(sink, stopping, context, admitted, probe, meter)
        self._first = MeteredStretch(context, admitted, meter, self._end, FULL_STRETCH)
        self._start = start
        self._settings = settings
        self._holds = ConnectionHolds(context, admitted, probe.key, newest, Live)
        self._talk = None if sink.talk is None else SpokenMinutes(sink.talk)
        delegated = None if self._talk is None else self._talk.delegated
        self._delegations = Delegations(context, self._holds, settings, delegated)

    async def _begin(self, socket: UpstreamSocket) -> SocketConnection:
        raw = live.name_models(
            self._start,
            self._admitted.upstream_model or self._admitted.facts.model,
            self._settings.delegate,
            self._find_backend(),
        )
        await self._delegations.prepare()
        self._delegations.note_input(len(raw))
        started = b""
        try:
            started = await self._confirm(socket, raw)
        finally:
            if not started:
                self._delegations.release(None, "", INTERNAL)
        if self._talk is not None:
            record_start(self._talk, self._start)
        parts = LiveParts(
            first=self._first,
            holds=self._holds,
            delegations=self._delegations,
            settings=self._settings,
            started=started,
            talk=self._talk,
        )
        return LiveConnection(
            context=self._context,
            admitted=self._admitted,
            probe=self._probe,
            socket=socket,
            sink=self._sink,
            stopping=self._stopping,
            parts=parts,
        )

    def _find_backend(self) -> str:
        try:
            return self._delegations.find_upstream_model()
        except (RequestFault, ChannelsOut) as fault:
            raise RealtimeOver(_at_delegation(answer_to(fault), self._settings)) from None

    async def _confirm(self, socket: UpstreamSocket, raw: bytes) -> bytes:
        """Send the start. Return the provider's event that confirms it. Raises UpstreamFailed."""
        try:
            await socket.send(raw)
            while True:
                answer = await socket.receive()
                if not is_utf8(answer):
                    raise upstream_failure("F16")
                event = live.read_server_event(answer)
                if event.type == live.STARTED:
                    return answer
                if event.type == "error":
                    codec = self._admitted.prepared.codec
                    status, body = live.error_answer(event)
                    raise failure_of_status(status, {}, body, codec)
        except SocketLost as lost:
            raise upstream_failure("F17" if lost.code == _TOO_LARGE else "F14") from None
        except ValueError:
            raise upstream_failure("F15") from None


def _at_delegation(error: ErrorAnswer, settings: Settings) -> ErrorAnswer:
    """Return an error about the model that a connection delegates to, with the member of the
    settings that names it."""
    return error._replace(param=f"{settings.path}.model")
