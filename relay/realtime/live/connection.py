"""A Live connection between a client and an upstream (GPT-Live): events pass unchanged, and its
time and what its model delegates are held before they are used.

    the clock, sound of the client --> the next stretch is held before the last one can be over
    upstream --session.usage.updated--> full stretches are settled
             --response.event, decision.event--> charged to the model that the work is delegated to
             --session.closed--> all is settled --> client
    the end by anything else --> session.close at the upstream, whose last report is awaited briefly
"""

import asyncio
import contextlib
from typing import Any, Final

from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.realtime import live
from dialects.realtime.live import ClientEvent, ServerEvent, Settings
from lib.process.waiting import timeout
from relay.content_log.spoken_minutes import SpokenMinutes
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import CLIENT_CLOSED, answer_to
from relay.health.channel_health import HealthProbe
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.realtime.connection_holds import ConnectionHolds, EventRefused, RealtimeOver
from relay.realtime.live.connection_time import ConnectionTime
from relay.realtime.live.delegations import Delegations
from relay.realtime.live.live_events import record_received, record_sent
from relay.realtime.live.stretches import LEAD_MS, MARGIN_MS, MeteredStretch, Stretches
from relay.realtime.sink import RealtimeSink
from relay.realtime.socket_connection import SocketConnection
from relay.requests.outcome import Outcome
from relay.upstream.websocket import SocketLost, UpstreamSocket

# How long a connection may take to close, and after how long a refused stretch is asked for again.
_CLOSES_S: Final = 5.0
_AGAIN_S: Final = 1.0
_TEXTS: Final = frozenset({"session.input_transcript.delta", "session.output_transcript.delta"})
_CONTEXT_EVENTS: Final = frozenset(
    {
        "response.item.create", "session.instructions.append", "session.thinking.append",
        "session.commentary.append",
    }
)  # fmt: skip


class LiveParts:
    """What a connection has at its start: the stretch whose hold was placed with the request, the
    delegated responses, the channel's name for the model that they use, the settings, and what is
    said, for the content log: None if nothing is kept."""

    def __init__(
        self,
        first: MeteredStretch,
        holds: ConnectionHolds,
        delegations: Delegations,
        settings: Settings,
        started: bytes,
        talk: SpokenMinutes | None,
    ) -> None:
        self.first = first
        self.holds = holds
        self.delegations = delegations
        self.settings = settings
        self.started = started
        self.talk = talk


class LiveConnection(SocketConnection):
    """One connection, which the upstream has started."""

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
        socket: UpstreamSocket,
        sink: RealtimeSink,
        stopping: asyncio.Event,
        parts: LiveParts,
    ) -> None:
        super().__init__(context, admitted, probe, socket, sink, stopping)
        self._first = parts.first
        self._started = parts.started
        self._bytes_ms = parts.settings.bytes_ms
        self._delegations = parts.delegations
        self._time = ConnectionTime(context.time())
        self._talk = parts.talk
        self._stretches = Stretches(
            parts.first, parts.holds, admitted.facts.model, self._time, parts.talk
        )
        # The provider has closed the connection, and its last report can be used.
        self._closed = self._is_final = False

    async def _begin_connection(self) -> None:
        self._first.start(live.session_id(self._started))
        self._probe.first_content()
        self._probe.good()
        await self._say(self._show_names(self._started).decode())

    def _pumps(self) -> list[Any]:
        return [*super()._pumps(), self._keep_covered()]

    # ---- from the client

    async def _forward(self, raw: bytes) -> None:
        event = live.read_client_event(raw)
        try:
            raw = await self._admit(event, raw)
        except (RequestFault, ChannelsOut) as fault:
            await self._sink.send_error(answer_to(fault), event.event_id)
            return
        except EventRefused as limited:
            await self._sink.send_error(limited.error, event.event_id)
            return
        await self._send(raw)
        if self._talk is not None:
            record_sent(self._talk, event, raw)
        self._touch()

    async def _admit(self, event: ClientEvent, raw: bytes) -> bytes:
        """Return the event to forward. Raises RequestFault, ChannelsOut, EventRefused if the event
        is refused, RealtimeOver if no more time or money can be held."""
        kind = event.type
        if kind not in live.CLIENT_EVENTS:
            what = f"type must be an event of the Live API, and {quote_value(kind[:60])} is none"
            raise RequestFault("invalid_value", "type", what)
        if kind == live.START:
            what = "the session has started: open another connection for another session"
            raise RequestFault("invalid_value", "type", what)
        if kind == live.APPEND:
            ms = live.sound_length_ms(event.audio, self._bytes_ms)
            await self._stretches.cover(self._time.most_ms(self._now, ms) + MARGIN_MS)
            self._time.add_input(ms)
        elif kind == "session.update":
            settings = live.read_update(raw, event)
            name = self._delegations.change(settings)
            await self._delegations.prepare(asked=True)
            return live.name_models(raw, "", settings.delegate, name)
        elif kind in _CONTEXT_EVENTS:
            self._delegations.note_input(len(raw))
        elif kind == "response.create":
            await self._delegations.prepare(asked=True)
        return raw

    # ---- from the upstream

    async def _read(self, raw: bytes) -> str:
        event = live.read_server_event(raw)
        await self._count(event, raw)
        if event.type != "session.usage.updated":
            self._touch()
        return (self._show_names(raw) if bytes(event.session) else raw).decode()

    async def _count(self, event: ServerEvent, raw: bytes) -> None:
        """Count an event before the client receives it. Raises ValueError for an unreadable one,
        RealtimeOver if what it reports cannot be held."""
        kind = event.type
        if event.position_ms > self._time.position_ms:
            self._time.reach(min(event.position_ms, self._time.most_ms(self._now)))
            self._stretches.note_least()
        if self._talk is not None:
            self._talk.reach(self._time.least_ms)
            record_received(self._talk, event, raw)
        if kind == "session.usage.updated":
            self._stretches.book(live.read_time(event.usage), self._now)
        elif kind == live.CLOSED:
            self._closed = True
            self._is_final = self._stretches.book(live.read_time(event.usage), self._now)
        elif kind == "session.output_audio.delta":
            self._time.add_output(live.sound_length_ms(event.delta, self._bytes_ms))
        elif kind in _TEXTS:
            self._delegations.note_input(len(bytes(event.delta)))
        elif kind == "response.event":
            await self._delegations.note(event)
        elif kind == "decision.event":
            await self._delegations.charge_decision(event)

    def _show_names(self, raw: bytes) -> bytes:
        """Return an event with the client's names for the models."""
        named = self._admitted.prepared.traits.requested_model
        delegations = self._delegations
        return live.name_models(raw, named, delegations.delegate, delegations.client_model)

    # ---- the time

    @property
    def _now(self) -> float:
        return self._context.time()

    async def _keep_covered(self) -> None:
        """Place the hold of each stretch before the stretch before it can be over. Raises
        RealtimeOver if that is refused until then."""
        while True:
            most_ms = self._time.most_ms(self._now)
            left_ms = self._stretches.covered_ms - most_ms
            wait_s = max(0.05, (left_ms - LEAD_MS) / 1000)
            if left_ms <= LEAD_MS:
                wait_s = _AGAIN_S
                try:
                    await self._stretches.cover(self._stretches.covered_ms + 1)
                    continue
                except (EventRefused, RealtimeOver) as refused:
                    if left_ms <= MARGIN_MS:
                        raise RealtimeOver(refused.error) from None
            await asyncio.sleep(wait_s)

    # ---- its end

    @property
    def _is_generating(self) -> bool:
        return self._delegations.running

    @property
    def _ends_in_order(self) -> bool:
        return self._closed

    async def _finish_work(self) -> None:
        """End the connection immediately, because it has no end of its own to wait for."""

    def _release(self, over: RealtimeOver, error: ErrorAnswer | None, fault: str) -> None:
        self._delegations.release(error, fault, over.error or CLIENT_CLOSED)

    async def _wind_down(self) -> None:
        """Close the connection at the provider, and wait for its last report."""
        if self._closed:
            return
        with contextlib.suppress(SocketLost, TimeoutError, ValueError, RealtimeOver):
            async with timeout(_CLOSES_S):
                await self._socket.send(live.CLOSE)
                while not self._closed:
                    raw = await self._socket.receive()
                    await self._count(live.read_server_event(raw), raw)

    def _settle(self, over: RealtimeOver, fault: str) -> Outcome:
        self._delegations.settle(over.error, fault)
        if over.error is None:
            # Clients end a Live connection by leaving it, so nothing was abandoned.
            self._context.downstream.client_gone = False
        last = self._stretches.finish(over.error, fault, self._now, is_final=self._is_final)
        return self._first.end.outcome or last
