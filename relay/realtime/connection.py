"""A realtime connection between a client and an upstream: events pass unchanged, and each response
is held before it can begin and settled when it ends.

    client --response.create, sound--> a hold is placed --> upstream
    upstream --response.created--> uses the hold; without one, one is placed first
             --deltas--> counted, for its mark
             --response.done--> settled by its usage --> client
    the end --> running responses are cancelled at the upstream, whose usage is awaited briefly
            --> settled
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from dialects.errors.errors import RequestFault, message_of
from dialects.errors.masking import clean_upstream
from dialects.media.sound import duration_quantities, token_quantities
from dialects.realtime import realtime
from dialects.realtime.fixed_settings import OPENING_ID, FixedSettings
from dialects.realtime.realtime import ClientEvent, ServerEvent
from dialects.streams.model_alias import name_answer
from lib.process.waiting import timeout
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from relay.catalogue.snapshot import Snapshot
from relay.context.context import RequestContext
from relay.counting.own_count import UsageEvidence
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import CLIENT_CLOSED, answer_to
from relay.health.channel_health import HealthProbe
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.metering.usage_meter import count
from relay.realtime.connection_holds import ConnectionHolds, EventRefused, RealtimeOver
from relay.realtime.conversation import Conversation
from relay.realtime.hold_sizes import Used
from relay.realtime.holds import ResponseHolds
from relay.realtime.operation import Realtime
from relay.realtime.output_limit import OutputLimit
from relay.realtime.response import MeteredResponse, RunningResponses
from relay.realtime.sink import RealtimeSink
from relay.realtime.socket_connection import SocketConnection
from relay.realtime.talk_events import record_received, record_sent
from relay.requests.outcome import Outcome
from relay.upstream.failures import upstream_failure
from relay.upstream.websocket import SocketLost, UpstreamSocket

# Parallel responses; OpenAI makes one in the conversation and some outside it.
_RESPONSES_MAX: Final = 16
_HEARD: Final = "conversation.item.input_audio_transcription.completed"


class RealtimeConnection(SocketConnection):
    """Relays one connection. `first` is the response whose hold was placed with the connection's
    request. `fixed` are settings that the client may not change; they are sent before the client's
    first event."""

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
        first: MeteredResponse,
        socket: UpstreamSocket,
        sink: RealtimeSink,
        newest: Callable[[], Snapshot],
        stopping: asyncio.Event,
        fixed: FixedSettings | None,
    ) -> None:
        super().__init__(context, admitted, probe, socket, sink, stopping)
        self._first = first
        # What is said, for the content log; None if nothing is kept.
        self._talk = sink.talk
        self._conversation = Conversation()
        self._connection_holds = ConnectionHolds(
            context, admitted, probe.key, newest, _operation_of(context).with_unit
        )
        self._holds = ResponseHolds(
            context, admitted.facts.model, self._connection_holds, first, self._conversation
        )
        self._running = RunningResponses()
        # A response was requested, and no event has arrived since.
        self._asked = False
        self._output_limit = OutputLimit(context.invocation, socket)
        self._fixed = fixed
        # The provider has confirmed the fixed settings, or there are none to set.
        self._fixed_in_use = asyncio.Event()

    async def _begin_connection(self) -> None:
        await self._sink.accept(self._admitted.head(self._context, None))
        await self._send_fixed()
        await self._output_limit.set(self._first.output_cap)

    async def _send_fixed(self) -> None:
        """Send the settings of the client secret. Raises SocketLost, and RealtimeOver if the key
        may not use the transcription model here."""
        raw = None if self._fixed is None else self._fixed.opening
        if raw is None:
            self._fixed_in_use.set()
            return
        event = realtime.read_client_event(raw)
        try:
            raw = self._fit_settings(event, raw)
        except (RequestFault, ChannelsOut) as fault:
            raise RealtimeOver(answer_to(fault)) from None
        await self._socket.send(raw)
        self._conversation.note_sent(event, len(raw))
        if self._talk is not None:
            record_sent(self._talk, event, raw)

    # ---- from the client

    async def _from_client(self) -> None:
        await self._within_stall(_wait(self._fixed_in_use))
        await super()._from_client()

    async def _forward(self, raw: bytes) -> None:
        event = realtime.read_client_event(raw)
        try:
            if self._fixed is not None:
                raw = self._fixed.fit(raw)
                event = realtime.read_client_event(raw)
            raw = await self._admit(event, raw)
        except (RequestFault, ChannelsOut) as fault:
            await self._sink.send_error(answer_to(fault), event.event_id)
            return
        except EventRefused as limited:
            await self._sink.send_error(limited.error, event.event_id)
            return
        await self._send(raw)
        self._note_sent(event, len(raw))
        if self._talk is not None:
            record_sent(self._talk, event, raw)

    async def _admit(self, event: ClientEvent, raw: bytes) -> bytes:
        """Return the event to forward. Raises RequestFault if the event is refused, RealtimeOver if
        no more money can be held."""
        if event.type == "session.update":
            return self._fit_settings(event, raw)
        if event.may_be_answered and (event.type == "response.create" or not self._running):
            held = await self._holds.next(asked=True)
            await self._output_limit.set(held.output_cap)
        if event.type == "response.create":
            return self._output_limit.fit_response(raw)
        return raw

    def _fit_settings(self, event: ClientEvent, raw: bytes) -> bytes:
        """Return the settings, which may not change the model or the payer. Raises RequestFault."""
        settings = realtime.read_settings(event.session)
        named = self._admitted.prepared.traits.requested_model
        upstream_model = self._admitted.upstream_model
        if settings.model not in (None, upstream_model, self._admitted.facts.model, named):
            what = "session.model cannot be changed: open another session"
            raise RequestFault("invalid_value", "session.model", what)
        if settings.transcription is not None:
            # Transcription is charged separately.
            self._holds.check_allowed(settings.transcription)
        if settings.model is not None and named:
            raw = name_answer(raw, ("session", "model"), upstream_model)
        return self._output_limit.fit_settings(settings, raw)

    def _note_sent(self, event: ClientEvent, size: int) -> None:
        self._conversation.note_sent(event, size)
        if event.type == "response.create":
            self._asked = True
            self._context.deadline.allow("first_content", self._admitted.first_content_s)
        elif not self._asked and not self._running:
            self._touch()

    # ---- from the upstream

    async def _read(self, raw: bytes) -> str:
        return (await self._take(raw)).decode()

    async def _take(self, raw: bytes) -> bytes:
        """Read and count an event; return the event to forward. Raises ValueError for an unreadable
        one.
        """
        return await self._note(realtime.read_server_event(raw), raw)

    async def _say(self, text: str) -> None:
        await super()._say(text)
        self._asked = False
        self._touch()

    async def _note(self, event: ServerEvent, raw: bytes) -> bytes:
        """Count an event before the client receives it; return the event to forward. Raises
        ValueError for an unreadable one.
        """
        kind = event.type
        if self._talk is not None:
            record_received(self._talk, event, raw)
        if kind == "response.created":
            await self._begin(realtime.read_response(event).id)
        elif kind == "response.done":
            await self._finish(realtime.read_response(event))
        elif kind in ("session.created", "session.updated"):
            if kind == "session.updated":
                # The first one is about the first event that is sent.
                self._fixed_in_use.set()
            return self._note_settings(event, raw)
        elif kind == "error" and not self._fixed_in_use.is_set():
            _check_opening(event)
        elif kind == _HEARD:
            await self._charge_transcript(event)
        elif event.response_id is not None:
            response = self._running.get(event.response_id)
            if response is not None and not response.note(event):
                raise upstream_failure("F18", "a response is longer than its model's limit")
        return raw

    async def _begin(self, id: str) -> None:
        if not id or id in self._running or len(self._running) >= _RESPONSES_MAX:
            raise ValueError("no response, or too many at a time")
        response = await self._holds.take()
        self._running.begin(id, response)
        talk = self._conversation
        response.begin(id, input_meters=talk.begin(), said_bytes_ms=talk.said_bytes_ms)
        if self._talk is not None:
            self._talk.begin(id, response.request_id)
        self._probe.first_content()

    async def _finish(self, done: realtime.Response) -> None:
        if done.id in self._running.ended:
            # A provider may report the same response again.
            return
        if done.id not in self._running:
            await self._begin(done.id)
        response = self._running.end(done.id)
        outcome = response.finish(done)
        if self._talk is not None:
            broken = done.status == "cancelled"
            self._talk.end(done.id, response.model, outcome, broken=broken)
        self._probe.good()
        if outcome.basis in ("measured", "drained"):
            self._conversation.end(outcome.meters)

    def _note_settings(self, event: ServerEvent, raw: bytes) -> bytes:
        settings = self._conversation.note_settings(event)
        if self._talk is not None:
            self._talk.transcribes = settings.transcription is not None
        named = self._admitted.prepared.traits.requested_model
        return name_answer(raw, ("session", "model"), named) if named and settings.model else raw

    async def _charge_transcript(self, event: ServerEvent) -> None:
        """Settle a transcript of the input. It is a request of its own, of the transcription
        model."""
        usage = bytes(event.usage) or None
        quantities = duration_quantities(usage) if usage and b'"seconds"' in usage else None
        if quantities is None or quantities.missing:
            quantities = token_quantities(usage, "heard")
        talk = self._conversation
        if not talk.transcription or quantities.missing:
            return
        unit = Used(quantities.meters)
        written = await self._holds.place_used(talk.transcription, unit)
        written.begin(event.item_id or "", input_meters={}, said_bytes_ms=talk.said_bytes_ms)
        evidence = UsageEvidence(0, quantities, usage, here=lambda: dict(unit.meters))
        written.settle(
            None, count(evidence, written.meter.prices.price, written.hold_nano, "measured")
        )

    # ---- times

    @property
    def _idle_s(self) -> float:
        return self._admitted.timeouts.idle if self._running else super()._idle_s

    @property
    def _is_generating(self) -> bool:
        return bool(self._running) or self._asked

    @property
    def _ends_in_order(self) -> bool:
        return not self._running

    async def _finish_work(self) -> None:
        await self._running.none_left.wait()

    # ---- its end

    def _release(self, over: RealtimeOver, error: ErrorAnswer | None, fault: str) -> None:
        self._holds.release(error, fault)
        for response in self._running.values():
            response.end.unheard = over.error or CLIENT_CLOSED

    def _settle(self, over: RealtimeOver, fault: str) -> Outcome:
        for id, response in self._running.items():
            outcome = response.break_off(over.error, fault)
            if self._talk is not None:
                self._talk.end(id, response.model, outcome, broken=True)
        self._running.clear()
        if self._talk is not None:
            self._talk.close()
        return self._first.break_off(over.error, fault)

    async def _wind_down(self) -> None:
        if self._running:
            await self._cancel_running()

    async def _cancel_running(self) -> None:
        """Cancel the abandoned responses at the provider, and wait for their usage."""
        with contextlib.suppress(SocketLost, TimeoutError, ValueError):
            async with timeout(USAGE_AFTER_TEXT_S):
                for id in self._running:
                    await self._socket.send(realtime.cancel(id))
                while self._running:
                    event = realtime.read_server_event(await self._socket.receive())
                    if event.type != "response.done":
                        continue
                    done = realtime.read_response(event)
                    if (response := self._running.pop(done.id, None)) is not None:
                        outcome = response.finish(done)
                        if self._talk is not None:
                            self._talk.end(done.id, response.model, outcome, broken=True)


def _check_opening(error: ServerEvent) -> None:
    """Check that the provider accepted the fixed settings. Raises RealtimeOver."""
    message = error.error_about(OPENING_ID)
    if message is not None:
        what = f"the provider refused the session of the client secret: {clean_upstream(message)}"
        answer = ErrorAnswer("provider_rejected", 400, message_of("provider_rejected", what))
        raise RealtimeOver(answer)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _operation_of(context: RequestContext) -> Realtime:
    operation = context.invocation.unary
    if not isinstance(operation, Realtime):
        raise TypeError("the operation is no connection")
    return operation
