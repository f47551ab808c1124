"""A realtime session that stands between a client and an upstream: events pass as they are, and
each response is held before it can begin and settled when it ends.

    client --response.create, sound--> a hold is placed --> upstream
    upstream --response.created--> takes the hold; without one, one is placed first
             --deltas--> counted, for its mark
             --response.done--> settled by its usage --> client
    money used up, key ended, a limit of time, the process stops, either end lost
             --> the client is told and closed --> what is still made is cancelled at the upstream,
                 whose usage is waited for a little --> settled
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from dialects import realtime
from dialects.codec import Target
from dialects.errors import RequestFault, message_of, retry_after_s
from dialects.model_alias import name_answer
from dialects.realtime import ClientEvent, ServerEvent
from dialects.sound import told_ms, told_tokens
from lib.ids import new_id
from relay.admitted_attempt import AdmittedAttempt, Chosen
from relay.attempt_end import AttemptEnd
from relay.channel_health import HealthProbe
from relay.config import SESSION_IDLE_S, SESSION_S, USAGE_AFTER_TEXT_S
from relay.database import DatabaseAway, DatabaseRefused
from relay.deadline import Reason
from relay.downstream import ErrorAnswer
from relay.error_answers import (
    CLIENT_CLOSED,
    KEY_ENDED,
    OVERLOADED,
    STOPPING,
    ChannelsOut,
    answer_behind_content,
    answer_of_kind,
    answer_to,
    failure_of_limit,
)
from relay.hold_placing import HoldPlacer
from relay.limit_answers import ChannelFull, LimitReached
from relay.own_count import UsageEvidence
from relay.realtime_operation import Realtime, ResponseBound, Used, response_bound
from relay.realtime_response import MeteredResponse, ResponseMeter
from relay.realtime_sink import ClientLeft, RealtimeSink
from relay.request_context import Outcome, RequestContext
from relay.request_reader import RequestReader
from relay.routing import stay
from relay.snapshot import Snapshot
from relay.unary import Billable
from relay.upstream import UpstreamFailed, upstream_failure
from relay.usage_meter import count
from relay.websocket import SocketLost, UpstreamSocket

# Responses at a time; OpenAI makes one of the conversation and some beside it.
_RESPONSES_MAX: Final = 16
_ENDED_KEPT: Final = 64
_HEARD: Final = "conversation.item.input_audio_transcription.completed"
_FULL_WAIT_S: Final = 1.0
_CLOSE_S: Final = 1.0
# Codes of a close (RFC 6455, section 7.4).
_IN_ORDER, _TOO_LARGE = 1000, 1009
_NOT_TEXT: Final = ErrorAnswer(
    "invalid_type", 400, "API request failed: Invalid Format: events are text frames"
)


class SessionOver(Exception):
    """It ends; `error` is None where the client has left, or the upstream has closed in order."""

    def __init__(self, error: ErrorAnswer | None, failure: UpstreamFailed | None = None) -> None:
        super().__init__("" if error is None else error.message)
        self.error = error
        self.failure = failure


class _NotNow(Exception):
    """A limit of requests is reached: an event does not go on."""

    def __init__(self, error: ErrorAnswer) -> None:
        super().__init__(error.message)
        self.error = error


class RealtimeSession:
    """One session. `first` is the response whose hold was placed when it was asked for."""

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
    ) -> None:
        self._context = context
        self._admitted = admitted
        self._probe = probe
        self._first = first
        self._socket = socket
        self._sink = sink
        self._newest = newest
        self._stopping = stopping
        # Held, and not begun; one is placed at a time.
        self._free: MeteredResponse | None = first
        self._placing = asyncio.Lock()
        self._running: dict[str, MeteredResponse] = {}
        self._none_runs = asyncio.Event()
        self._none_runs.set()
        # A response was asked for, and nothing was heard since.
        self._asked = False
        # Until when nothing more is admitted, and why (loop time).
        self._limited: tuple[float, ErrorAnswer] | None = None
        # Those that have ended: a provider that tells of one again tells nothing new.
        self._ended: deque[str] = deque(maxlen=_ENDED_KEPT)
        # What a next response reads by our own count, the sound that was sent since the last one,
        # and what the formats of sound are.
        self._heard = {"in_text": 0}
        self._heard_ms = 0
        self._heard_bytes_ms = self._said_bytes_ms = 48
        # What writes down what is said; "" where nothing does.
        self._transcription = ""

    async def run(self) -> Outcome:
        """Pass events until it ends, and settle what it used. Raises nothing that either end could
        cause."""
        over = SessionOver(None)
        try:
            over = await self._pass_events()
        except asyncio.CancelledError:
            over = self._by_deadline(self._context.deadline.caught())
        except ClientLeft:
            # Before it was accepted.
            over = SessionOver(None)
        finally:
            self._context.deadline.stop()
            outcome = await self._end(over)
        return outcome

    async def _pass_events(self) -> SessionOver:
        await self._sink.accept(self._admitted.head(self._context, None))
        self._touch()
        pumps = [
            asyncio.create_task(pump)
            for pump in (self._from_client(), self._from_upstream(), self._until_stopped())
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            return _why(done)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    # ---- from the client

    async def _from_client(self) -> None:
        while True:
            text = await self._sink.receive()
            if text is None:
                await self._sink.complain(_NOT_TEXT)
                continue
            raw = text.encode()
            event = realtime.read_client_event(raw)
            try:
                raw = await self._admit(event, raw)
            except (RequestFault, ChannelsOut) as fault:
                await self._sink.complain(answer_to(fault), event.event_id)
                continue
            except _NotNow as limited:
                await self._sink.complain(limited.error, event.event_id)
                continue
            try:
                async with asyncio.timeout(self._stall_s):
                    await self._socket.send(raw)
            except TimeoutError:
                raise upstream_failure("F13", seconds=int(self._stall_s)) from None
            self._note_sent(event, raw)

    async def _admit(self, event: ClientEvent, raw: bytes) -> bytes:
        """The event as it goes on. Raises RequestFault for one that does not, SessionOver where
        nothing more can be held."""
        if event.type == "session.update":
            return self._fit_settings(event, raw)
        if event.may_be_answered and (event.type == "response.create" or not self._running):
            await self._hold_next()
        return raw

    def _fit_settings(self, event: ClientEvent, raw: bytes) -> bytes:
        """Settings that change nothing of who is asked and paid for. Raises RequestFault."""
        settings = realtime.read_settings(event.session)
        named = self._admitted.prepared.traits.requested_model
        upstream_model = self._admitted.upstream_model
        if settings.model not in (None, upstream_model, self._admitted.facts.model, named):
            what = "session.model cannot be changed: open another session"
            raise RequestFault("invalid_value", "session.model", what)
        if settings.transcription is not None:
            self._check_transcription(settings.transcription)
        if settings.model is not None and named:
            return name_answer(raw, ("session", "model"), upstream_model)
        return raw

    def _check_transcription(self, model: str) -> None:
        """Raise RequestFault for a model that this key may not use here: it is paid for apart."""
        context = self._next_context(model, Used({}))
        found = RequestReader(context).find_model(model)
        facts = Realtime(Used({})).read(b"{}", Target(found.name))
        stay(context, facts, found, self._admitted.channel.id)

    def _note_sent(self, event: ClientEvent, raw: bytes) -> None:
        if event.type == "input_audio_buffer.append":
            self._heard_ms += realtime.sound_ms(event.audio, self._heard_bytes_ms)
        else:
            self._heard["in_text"] += len(raw) // 4
        if event.type == "response.create":
            self._asked = True
            self._context.deadline.allow("first_content", self._admitted.first_content_s)
        elif not self._asked and not self._running:
            self._touch()

    # ---- from the upstream

    async def _from_upstream(self) -> None:
        while True:
            try:
                raw = await self._socket.receive()
            except SocketLost as lost:
                raise self._lost(lost) from None
            try:
                event = realtime.read_server_event(raw)
                shown = (await self._note(event, raw)).decode()
            except UnicodeDecodeError:
                raise upstream_failure("F16") from None
            except ValueError:
                raise upstream_failure("F15") from None
            try:
                async with asyncio.timeout(self._stall_s):
                    await self._sink.say(shown)
            except TimeoutError:
                raise SessionOver(None) from None
            self._asked = False
            self._touch()

    def _lost(self, lost: SocketLost) -> SessionOver:
        if lost.code == _IN_ORDER and not self._running:
            return SessionOver(None)
        return _failed(upstream_failure("F17" if lost.code == _TOO_LARGE else "F14"))

    async def _note(self, event: ServerEvent, raw: bytes) -> bytes:
        """Count an event, before its client has it; the event as it goes on. Raises ValueError for
        what cannot be read."""
        kind = event.type
        if kind == "response.created":
            await self._begin(realtime.read_response(event).id)
        elif kind == "response.done":
            await self._finish(realtime.read_response(event))
        elif kind in ("session.created", "session.updated"):
            return self._note_settings(event, raw)
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
        response = await self._hold_next(asked=False)
        self._free = None
        self._running[id] = response
        self._none_runs.clear()
        self._heard["in_audio"] = (
            self._heard.get("in_audio", 0) + self._heard_ms // realtime.HEARD_MS
        )
        self._heard_ms = 0
        response.begin(id, heard=dict(self._heard), said_bytes_ms=self._said_bytes_ms)
        self._probe.first_content()

    async def _finish(self, done: realtime.Response) -> None:
        if done.id in self._ended:
            return
        if done.id not in self._running:
            await self._begin(done.id)
        response = self._running.pop(done.id)
        outcome = response.finish(done)
        self._ended.append(done.id)
        self._probe.good()
        if not self._running:
            self._none_runs.set()
        if outcome.basis in ("measured", "drained"):
            # The conversation as it was read, with the answer behind it.
            meters = outcome.meters
            heard = {name: _side(meters, name) for name in ("in_text", "in_audio", "in_image")}
            heard["in_text"] += meters.get("out_text", 0)
            self._heard = heard

    def _note_settings(self, event: ServerEvent, raw: bytes) -> bytes:
        settings = realtime.read_settings(event.session)
        self._heard_bytes_ms = settings.heard_bytes_ms or self._heard_bytes_ms
        self._said_bytes_ms = settings.said_bytes_ms or self._said_bytes_ms
        self._transcription = settings.transcription or ""
        named = self._admitted.prepared.traits.requested_model
        return name_answer(raw, ("session", "model"), named) if named and settings.model else raw

    async def _charge_transcript(self, event: ServerEvent) -> None:
        """What was said was written down: that is a request of its own, of the model that did."""
        usage = bytes(event.usage) or None
        quantities = told_ms(usage) if usage and b'"seconds"' in usage else None
        if quantities is None or quantities.missing:
            quantities = told_tokens(usage, "heard")
        if not self._transcription or quantities.missing:
            return
        unit = Used(quantities.meters)
        try:
            written = await self._granted(
                self._place(self._transcription, unit, ResponseBound(0, 0))
            )
        except _NotNow as limited:
            raise SessionOver(limited.error) from None
        written.begin(event.item_id or "", heard={}, said_bytes_ms=self._said_bytes_ms)
        evidence = UsageEvidence(0, quantities, usage, here=lambda: dict(unit.meters))
        written.settle(
            None, count(evidence, written.meter.prices.price, written.hold_nano, "measured")
        )

    # ---- holds

    async def _hold_next(self, *, asked: bool = True) -> MeteredResponse:
        """The response that may begin next. Raises SessionOver where none may; _NotNow for a
        limit of requests, where a client has `asked`."""
        async with self._placing:
            if self._free is not None:
                return self._free
            if asked and self._limited is not None and self._context.time() < self._limited[0]:
                raise _NotNow(self._limited[1])
            model = self._admitted.facts.model
            bound = response_bound(self._newest(), model)
            try:
                placed = self._free = await self._granted(self._place(model, bound, bound))
            except _NotNow as limited:
                if asked:
                    raise
                raise SessionOver(limited.error) from None
            return placed

    async def _granted(self, placing: Awaitable[MeteredResponse]) -> MeteredResponse:
        """What is placed. Raises SessionOver, _NotNow."""
        try:
            return await placing
        except LimitReached as fault:
            error, wait_ms = answer_to(fault), fault.wait_ms
        except ChannelFull as full:
            wait_ms = full.wait_ms
            seconds = retry_after_s(wait_ms or 0)
            message = message_of("rate_limited", "the channel of the model", seconds=seconds)
            error = ErrorAnswer("rate_limited", 429, message)
        except (RequestFault, ChannelsOut) as fault:
            raise SessionOver(answer_to(fault)) from None
        except (DatabaseAway, DatabaseRefused):
            raise SessionOver(OVERLOADED) from None
        self._limited = self._context.time() + max(_FULL_WAIT_S, (wait_ms or 0) / 1000), error
        raise _NotNow(error)

    async def _place(self, model: str, unit: Billable, bound: ResponseBound) -> MeteredResponse:
        """Place the hold of another request of this session, by today's prices."""
        context, admitted = self._next_context(model, unit), self._admitted
        found = RequestReader(context).find_model(model)
        facts = Realtime(unit).read(b"{}", Target(found.name))
        routed = stay(context, facts, found, admitted.channel.id)
        channel = context.snapshot.channels[admitted.channel.id]
        if channel.key_endings != admitted.channel.key_endings:
            raise RequestFault("no_channel", None, "", model=model)
        candidate = routed.planned[0]
        placer = HoldPlacer(context, routed, found.alias)
        chosen = Chosen(candidate, candidate.why, self._probe.key, ())
        hold = await placer.place(chosen, 1, None)
        return metered(
            context,
            msgspec.structs.replace(
                admitted, number=1, facts=facts, upstream_model=candidate.upstream_model,
                price=routed.price, hold=hold,
            ),
            bound,
        )  # fmt: skip

    def _next_context(self, model: str, unit: Billable) -> RequestContext:
        context = self._context
        invocation = msgspec.structs.replace(
            context.invocation, target=Target(model), unary=Realtime(unit)
        )
        return RequestContext(
            context.parts,
            self._newest(),
            context.principal,
            context.downstream,
            context.deadline,
            invocation,
            request_id=new_id(),
            source=context.source,
            options=context.options,
        )

    # ---- times

    def _touch(self) -> None:
        """Something was heard: the next silence counts from now."""
        idle_s = self._admitted.timeouts.idle if self._running else SESSION_IDLE_S
        self._context.deadline.allow("idle", idle_s)

    @property
    def _stall_s(self) -> float:
        """How long either end may take nothing of what it is sent."""
        return self._context.parts.config.write_stall_s

    async def _until_stopped(self) -> None:
        """The process stops: what is being made may be said."""
        await self._stopping.wait()
        await self._none_runs.wait()
        raise SessionOver(STOPPING)

    def _by_deadline(self, reason: Reason | None) -> SessionOver:
        if reason is None:
            return SessionOver(STOPPING)
        if reason == "revoked":
            return SessionOver(KEY_ENDED)
        if reason == "left":
            return SessionOver(None)
        if reason == "total":
            return SessionOver(_expired(f"the session has lasted for {SESSION_S / 60:.0f} minutes"))
        if not self._running and not self._asked:
            what = f"nothing was sent for {SESSION_IDLE_S / 60:.0f} minutes"
            return SessionOver(_expired(what))
        failure = failure_of_limit(reason, self._admitted.timeouts, self._admitted.first_content_s)
        return _failed(failure or upstream_failure("F13"))

    # ---- its end

    async def _end(self, over: SessionOver) -> Outcome:
        """Tell the client, cancel what is made, settle all."""
        downstream, fault = self._context.downstream, ""
        failed = None
        if over.failure is not None:
            fault, failed = over.failure.fault, over.error
            self._probe.failed(over.failure)
        if self._free is not None:
            self._free.break_off(failed, fault)
            self._free = None
        for response in self._running.values():
            response.end.unheard = over.error or CLIENT_CLOSED
        try:
            await self._tell(over)
            downstream.client_gone = True
            if self._running and self._socket.stands:
                await self._cancel_running()
        finally:
            downstream.client_gone = True
            for response in self._running.values():
                response.break_off(over.error, fault)
            self._running.clear()
            self._socket.close()
        return self._first.break_off(over.error, fault)

    async def _tell(self, over: SessionOver) -> None:
        if over.error is not None:
            await self._sink.refuse(over.error)
            return
        with contextlib.suppress(ClientLeft, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._sink.close(_IN_ORDER)

    async def _cancel_running(self) -> None:
        """Let the provider stop what nobody hears, and tell what it comes to."""
        with contextlib.suppress(SocketLost, TimeoutError, ValueError):
            async with asyncio.timeout(USAGE_AFTER_TEXT_S):
                for id in self._running:
                    await self._socket.send(realtime.cancel(id))
                while self._running:
                    event = realtime.read_server_event(await self._socket.receive())
                    if event.type != "response.done":
                        continue
                    done = realtime.read_response(event)
                    if (response := self._running.pop(done.id, None)) is not None:
                        response.finish(done)


def metered(
    context: RequestContext, admitted: AdmittedAttempt, bound: ResponseBound
) -> MeteredResponse:
    """A response whose hold is placed."""
    meter = ResponseMeter(admitted)
    end = AttemptEnd(context, admitted, meter)
    return MeteredResponse(context, admitted, meter, end, bound.output_tokens)


def _why(done: "set[asyncio.Task[None]]") -> SessionOver:
    """What ended the first of the pumps. Raises what is a defect of ours."""
    error = next(filter(None, (task.exception() for task in done)))
    if isinstance(error, SessionOver):
        return error
    if isinstance(error, ClientLeft):
        return SessionOver(None)
    if isinstance(error, UpstreamFailed):
        return _failed(error)
    if isinstance(error, SocketLost):
        return _failed(upstream_failure("F14"))
    raise error


def _failed(failure: UpstreamFailed) -> SessionOver:
    return SessionOver(answer_behind_content(failure), failure)


def _expired(what: str) -> ErrorAnswer:
    answer = answer_of_kind("request_timeout")
    return answer._replace(
        message=f"API request failed: {what}; open another session", code="session_expired"
    )


def _side(meters: Mapping[str, int], name: str) -> int:
    """Of one kind of input, with what of it was cached."""
    cached = {"in_text": "in_cache_read"}.get(name, f"{name}_cached")
    return meters.get(name, 0) + meters.get(cached, 0)
