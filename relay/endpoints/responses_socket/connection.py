"""The Responses API over a WebSocket: each `response.create` is a request like one over HTTP, with
its own admission, hold, limits and record.

    client --response.create--> its lane --in order--> Run --stream--> one text message per event
                                the lane's own WebSocket to a provider that has them, else HTTP
           --response.steer---> the running response's lane: a successor reads it, or the request
                                that brings the result of a tool
    the client leaves      running requests end as those of a client that leaves over HTTP; a
                           client that does not read what it is sent counts as one that left
    the process stops      running requests finish, what waits is refused, then the connection is
                           closed with an error
    an hour has passed     the same, with an error that tells the client to reconnect
    neither end speaks     the same, after a quarter of an hour
    the key ends           running requests are revoked, then the same
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

from dialects.chat.kept import decode_kept
from dialects.errors.errors import RequestFault
from dialects.responses import websocket
from dialects.responses.answer.response_object import ID_PREFIX
from dialects.responses.websocket import CreateEvent, SteerEvent, StreamEvent
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from lib.process.log_context import REQUEST_ID
from lib.process.waiting import timeout
from relay.attempts.attempt import Attempt
from relay.attempts.request_reader import read_name
from relay.attempts.run import Run
from relay.content_log.recorded_answer import RecordedAnswer, could_keep, handshake_notice
from relay.context.context import context_of_task
from relay.credentials.revocation import EndReason
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import (
    INTERNAL,
    KEY_ENDED,
    OVERLOADED,
    STOPPING,
    answer_to,
    too_busy,
)
from relay.endpoints.responses_socket.lane import STEERS_MAX, Lane, Steer, Turn
from relay.endpoints.responses_socket.memory import (
    MIB_MAX,
    Memory,
    Remembered,
    Waiting,
)
from relay.endpoints.responses_socket.outbox import Outbox
from relay.endpoints.responses_socket.turn_sink import TurnSink
from relay.errors import DatabaseFailed, RelayError
from relay.front.request import Request
from relay.realtime.connection_life import CONNECTION_IDLE_S, CONNECTION_S
from relay.realtime.sink import (
    CODES,
    LAST_WORDS_S,
    POLICY,
    STOPPING_EXTENSION,
    ClientLeft,
    RealtimeSink,
)
from relay.requests.headers import read_headers
from relay.requests.options import RequestOptions
from relay.requests.sessions import Session, opening_session, read_session_members
from relay.upstream.turn_socket import TurnSocket

log = logging.getLogger(__name__)

# OpenAI's limits of one connection.
_RUNNING_MAX: Final = 16
_LANES_MAX: Final = 32
_WAITING_MAX: Final = 64
# Our own.
_WAITING_BYTES_MAX: Final = MIB_MAX * 1024 * 1024
# The close code (RFC 6455, section 7.4) of a connection that may simply be opened again.
_IN_ORDER: Final = 1000
_NOT_TEXT: Final = ErrorAnswer(
    "invalid_type", 400, "API request failed: Invalid Format: events are text frames"
)
_READER_REFUSED: Final = "The response that was to read this was refused."
_NOT_CONTINUED: Final = "The lane went on with another response, so that no request can read this."
_NOT_REMEMBERED: Final = (
    f"A connection remembers {MIB_MAX} MiB of responses, and this response was forgotten for newer "
    "ones. Send the whole conversation, with this message."
)
_TOO_MANY: Final = ErrorAnswer(
    "invalid_value",
    400,
    f"API request failed: a connection has at most {_LANES_MAX} lanes and {_WAITING_MAX} waiting "
    f"requests of {MIB_MAX} MiB in all; wait for their responses, or open another connection",
    "stream_id",
    "websocket_stream_limit_reached",
)


def _expired(what: str) -> ErrorAnswer:
    message = f"API request failed: {what}; open another connection"
    return ErrorAnswer("invalid_value", 400, message, code="websocket_connection_limit_reached")


_TOO_LONG: Final = _expired(f"the connection has lasted for {CONNECTION_S / 60:.0f} minutes")
_IDLE: Final = _expired(f"nothing was sent for {CONNECTION_IDLE_S / 60:.0f} minutes")


async def open_responses(request: Request) -> None:
    """Accept a connection and answer its requests until it ends. Raises RequestFault."""
    sink = request.sink
    if not isinstance(sink, RealtimeSink):
        raise RequestFault("method_not_allowed", None, "GET")
    await _Connection(request, sink).run()


class ConnectionOver(RelayError):
    """The connection ends. The client is sent the error, then closed with the code."""

    def __init__(self, error: ErrorAnswer, code: int) -> None:
        super().__init__()
        self.error = error
        self.code = code


class _Connection:
    """One connection and its lanes."""

    def __init__(self, request: Request, sink: RealtimeSink) -> None:
        self._request = request
        self._sink = sink
        headers = read_headers(request.scope["headers"], 0)
        self._options = request.options_of(headers)
        # Whether requests may be in the content log, and the header that says so. A rule that is
        # added later keeps nothing of this connection.
        self._stores = headers.stores
        if request.principal.log_rules:
            at = request.snapshot.now()
            sink.notice = handshake_notice(request.principal, at, stores=headers.stores)
        self._outbox = Outbox(sink, request.life.config.write_stall_s)
        self._memory = Memory()
        self._lanes: dict[str | None, Lane] = {}
        # The channels that refused a WebSocket.
        self._without: set[str] = set()
        self._slots = asyncio.Semaphore(_RUNNING_MAX)
        self._steers = 0
        # Why the connection accepts no more requests, once it does not.
        self._over: ConnectionOver | None = None
        self._key_ended = asyncio.Event()
        # When either end was last active, by the event loop's clock.
        self._active_at = request.began

    # ---- `Revocable`: it ends with its key, also while nothing runs

    @property
    def session_id(self) -> None:
        """A session that ends refuses its requests, and not those of other sessions."""
        return None

    def revoke(self, reason: EndReason = "revoked") -> None:
        self._key_ended.set()

    # ---- its life

    async def run(self) -> None:
        """Answer requests until the connection ends."""
        running = self._request.life.running
        self._sink.listen(self._request.receive)
        running.enter(self, self._request.principal)
        try:
            await self._sink.open()
            await self._close(await self._converse())
        except ClientLeft:
            pass
        except asyncio.CancelledError:
            for lane in self._lanes.values():
                lane.cancel()
            raise
        finally:
            running.leave(self)
            self._outbox.close()
            for lane in self._lanes.values():
                lane.leave()
            await self._join()
            for lane in self._lanes.values():
                lane.upstream.close()

    async def _converse(self) -> ConnectionOver:
        """Receive events until the connection ends, and return why. Raises ClientLeft."""
        ends = (self._until_stopped, self._until_key_ended, self._until_too_long, self._until_idle)
        pumps = [
            asyncio.create_task(pump())
            for pump in (self._receive_each, self._outbox.send_each, *ends)
        ]
        try:
            await self._wait_for_end(pumps)
            over = self._over
            if over is None:
                raise ClientLeft
            await self._finish(pumps)
            for stream_id, steer in self._memory.forget_all():
                self._give_back(stream_id, steer, "successor_creation_failed", over.error.message)
            await self._send_error(over.error)
            return over
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _wait_for_end(self, pumps: Iterable["asyncio.Task[None]"]) -> None:
        """Wait until one of these ends, and record the first reason. Raises ClientLeft."""
        done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for error in filter(None, (task.exception() for task in done)):
            if not isinstance(error, ConnectionOver):
                raise error
            self._over = self._over or error

    async def _finish(self, pumps: Iterable["asyncio.Task[None]"]) -> None:
        """Refuse the requests that wait, and wait until the running ones have ended, or have been
        told that their key has. Raises ClientLeft."""
        for lane in self._lanes.values():
            for turn in lane.drop_waiting():
                await self._refuse(turn)
        joining = asyncio.create_task(self._join())
        # The provider of a revoked request may still be read for its usage.
        seconds = LAST_WORDS_S if self._key_ended.is_set() else None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not joining.done():
                        rest = (pump for pump in pumps if not pump.done())
                        await self._wait_for_end([joining, *rest])
        finally:
            joining.cancel()

    async def _close(self, over: ConnectionOver) -> None:
        """Send what is left, and close the connection."""
        with contextlib.suppress(ClientLeft, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._outbox.send_rest()
                await self._sink.close(over.code, over.error.message)

    async def _until_stopped(self) -> None:
        stopping = self._request.scope.get("extensions", {}).get(STOPPING_EXTENSION)
        await (stopping or asyncio.Event()).wait()
        raise ConnectionOver(STOPPING, CODES[STOPPING.kind])

    async def _until_key_ended(self) -> None:
        await self._key_ended.wait()
        raise ConnectionOver(KEY_ENDED, POLICY)

    async def _until_too_long(self) -> None:
        await asyncio.sleep(CONNECTION_S)
        raise ConnectionOver(_TOO_LONG, _IN_ORDER)

    async def _until_idle(self) -> None:
        """Wait until neither end has been active for long."""
        loop = self._request.life.parts.loop
        while True:
            if any(lane.turn for lane in self._lanes.values()):
                self._active_at = loop.time()
            left_s = self._active_at + CONNECTION_IDLE_S - loop.time()
            if left_s <= 0:
                raise ConnectionOver(_IDLE, _IN_ORDER)
            with contextlib.suppress(TimeoutError):
                async with timeout(left_s):
                    await loop.create_future()

    async def _join(self) -> None:
        for lane in self._lanes.values():
            await lane.join()

    # ---- events of the client

    async def _receive_each(self) -> None:
        """Handle events until the client leaves. Raises ClientLeft."""
        while True:
            text = await self._sink.receive()
            self._active_at = self._request.life.parts.loop.time()
            try:
                await self._take(text)
            except RequestFault as fault:
                await self._send_error(answer_to(fault))

    async def _take(self, text: str | None) -> None:
        """Handle one event. Raises RequestFault."""
        if text is None:
            await self._send_error(_NOT_TEXT)
            return
        event = websocket.read_client_event(text.encode(errors="surrogatepass"))
        if isinstance(event, SteerEvent):
            self._steer(event)
            return
        if self._over is not None:
            await self._refuse(Turn(event))
            return
        lane = self._lanes.get(event.stream_id)
        if not self._has_room(event, new_lane=lane is None):
            await self._send_error(_TOO_MANY, event.stream_id)
            return
        if lane is None:
            upstream = TurnSocket(self._request.life.parts.upstreams, self._without)
            lane = self._lanes[event.stream_id] = Lane(self._answer, upstream)
        lane.add(Turn(event))

    def _has_room(self, event: CreateEvent, *, new_lane: bool) -> bool:
        waiting = sum(len(lane.waiting) for lane in self._lanes.values())
        if waiting >= _WAITING_MAX or (new_lane and len(self._lanes) >= _LANES_MAX):
            return False
        return self._waiting_bytes() + len(event.body.raw) <= _WAITING_BYTES_MAX

    def _waiting_bytes(self) -> int:
        """Return how many bytes of requests and of steering wait for running responses."""
        return sum(lane.waiting_bytes() for lane in self._lanes.values())

    async def _send_error(self, error: ErrorAnswer, stream_id: str | None = None) -> None:
        """Send an error that does not belong to a running request."""
        sink = self._make_sink(RequestId(new_id()), stream_id)
        await sink.refuse(error)

    async def _refuse(self, turn: Turn) -> None:
        """Refuse a request because the connection ends."""
        if self._over is not None:
            await self._send_error(self._over.error, turn.event.stream_id)
            self._give_back_at_end(turn, turn.commits, self._over)

    def _make_sink(
        self, request_id: RequestId, stream_id: str | None, turn: Turn | None = None
    ) -> TurnSink:
        begin = _ignore if turn is None else turn.begin
        invocation = self._request.invocation
        return TurnSink(self._outbox, invocation, request_id, stream_id, begin)

    # ---- one request

    async def _answer(self, lane: Lane, turn: Turn) -> None:
        """Answer one request of a lane, and turn every exception into an answer."""
        request_id = RequestId(new_id())
        REQUEST_ID.set(request_id)
        sink = self._make_sink(request_id, turn.event.stream_id, turn)
        open_requests = self._request.life.open_requests
        async with self._slots:
            if self._over is not None:
                await self._refuse(turn)
                return
            open_requests.enter()
            try:
                await self._admit(lane, turn, sink, request_id)
            except RequestFault as fault:
                await sink.refuse(answer_to(fault))
            except DatabaseFailed:
                await sink.refuse(OVERLOADED)
            except Exception:
                log.exception("request %s failed by a defect", id_text(request_id))
                await sink.refuse(INTERNAL)
            finally:
                open_requests.leave()
        self._active_at = self._request.life.parts.loop.time()
        waiting = [Waiting(turn.event.stream_id, steer) for steer in turn.commits]
        if sink.refused or (sink.end is not None and not sink.end.continuable):
            waiting += self._memory.forget(turn.event.previous_id)
        for stream_id, steer in waiting:
            self._give_back(stream_id, steer, "successor_creation_failed", _READER_REFUSED)
        for steer in turn.steers:
            self._give_back(
                turn.event.stream_id, steer, "response_not_active", "The response has failed."
            )

    async def _admit(self, lane: Lane, turn: Turn, sink: TurnSink, request_id: RequestId) -> None:
        """Check the caller again, as for every request, and answer when it is the request's turn.
        Raises RequestFault, DatabaseFailed."""
        request, load = self._request, self._request.life.load
        await request.authenticate()
        await request.refresh()
        request.check_use()
        caller = request.principal
        if not load.enter(caller):
            await sink.refuse(too_busy(load.come_again_ms()))
            return
        try:
            await request.life.turns.begin(caller)
            await self._run(lane, turn, sink, request_id)
        finally:
            load.leave(caller)

    async def _run(self, lane: Lane, turn: Turn, sink: TurnSink, request_id: RequestId) -> None:
        request, caller = self._request, self._request.principal
        event = turn.event
        earlier = self._memory.find(event.previous_id)
        if earlier is not None and earlier.steers:
            turn.commits = self._memory.take_steers(earlier)
            items = [*_items_of(turn.commits), *event.input_items()]
            event = event.with_input(earlier.id, items)
        stored = event.generates and event.stores and caller.retention_hours > 0
        before = None if earlier is None else earlier.conversation
        if before is None and not stored:
            before = await self._read_conversation(event.previous_id)
        left_out = _leaves_out(event, earlier, before)
        if not event.generates:
            self._prepare(turn, event, before, left_out=left_out)
            return
        spliced = before if earlier is not None and earlier.conversation is not None else None
        options = self._options
        if not stored and (spliced is not None or event.previous_id is None):
            options = self._in_session(event, earlier, request_id)
        context = context_of_task(
            request.life.parts,
            request.snapshot,
            caller,
            sink,
            request.invocation,
            request_id=request_id,
            options=options,
        )
        if self._outbox.closed:
            return
        lane.upstream.continues = (
            None if earlier is None else earlier.continued_by(len(event.input_items()))
        )
        turn.run = run = Run(context, partial(Attempt, post=lane.upstream.post))
        raw = event.request_body(spliced)
        recorded: RecordedAnswer | None = None
        if self._sink.notice and caller.log_rules:
            log, kept = request.life.content_log, raw
            if earlier is not None and earlier.left_out:
                kept = turn.event.request_body(None)
            recorded = RecordedAnswer(sink, context, log, kept, run, stores=self._stores)
        request.life.running.enter(run, caller)
        try:
            outcome = await run.answer(raw)
        finally:
            request.life.running.leave(run)
        if recorded is not None:
            await recorded.end(outcome)
        if sink.end is None or not sink.end.continuable:
            return
        unkept = recorded is None or not recorded.could_be_kept
        if stored:
            self._remember(lane, turn, sink.end, None, context.session, left_out=unkept)
        elif before is not None:
            conversation = [*before, *event.input_items()]
            left_out = left_out or unkept
            self._remember(lane, turn, sink.end, conversation, context.session, left_out=left_out)

    def _remember(
        self,
        lane: Lane,
        turn: Turn,
        end: StreamEvent,
        conversation: Sequence[msgspec.Raw] | None,
        session: Session | None,
        *,
        left_out: bool,
    ) -> None:
        """Remember a response for the request that continues it. `conversation` is everything that
        the model has read, None if the response is stored."""
        output = end.output()
        readable = websocket.readable_items(output)
        waiting = self._continue(lane, turn, end.response_id, output)
        remembered = Remembered(
            end.response_id,
            None if conversation is None else [*conversation, *readable],
            waiting,
            is_whole=len(readable) == len(output),
            session=None if session is None else (str(session.id), session.name),
            left_out=left_out,
        )
        self._keep(turn.event.stream_id, remembered)

    def _keep(self, stream_id: str | None, response: Remembered) -> None:
        """Remember a response, and give back what waited for those that are forgotten for it."""
        for lane, steer in self._memory.forget_lane(stream_id):
            self._give_back(lane, steer, "successor_creation_failed", _NOT_CONTINUED)
        for lane, steer in self._memory.remember(stream_id, response):
            self._give_back(lane, steer, "successor_creation_failed", _NOT_REMEMBERED)

    def _in_session(
        self, event: CreateEvent, earlier: Remembered | None, request_id: RequestId
    ) -> RequestOptions:
        """Return the options of a request that continues what the connection remembers, or whose
        response it will remember: the request belongs to the same session as those before it."""
        options, key_id = self._options, self._request.principal.key_id
        if options.session is not None:
            return options
        known = None if earlier is None else earlier.session
        known = known or opening_session(key_id, request_id)
        session = read_session_members(key_id, event.body, known)
        return msgspec.structs.replace(options, session=session)

    def _prepare(
        self,
        turn: Turn,
        event: CreateEvent,
        before: Sequence[msgspec.Raw] | None,
        *,
        left_out: bool,
    ) -> None:
        """Remember the input of a request that generates nothing, for the request that continues
        it. Raises RequestFault.
        """
        if before is None:
            what = "previous_response_id names no response of this connection, and no stored one"
            raise RequestFault("unsupported_capability", "previous_response_id", what)
        response_id = ID_PREFIX + id_text(new_id())
        conversation = [*before, *event.input_items()]
        request, opted_out = self._request, not (self._stores and event.stores)
        snapshot = request.snapshot
        model, at = snapshot.served_name(read_name(snapshot, event.model).name), snapshot.now()
        left_out = left_out or not could_keep(request.principal, model, at, opted_out=opted_out)
        self._keep(event.stream_id, Remembered(response_id, conversation, left_out=left_out))
        turn.begin(response_id)
        for message in websocket.prepared_messages(response_id, int(time.time()), event):
            self._outbox.put(message)

    async def _read_conversation(self, previous_id: str | None) -> Sequence[msgspec.Raw] | None:
        """Return the conversation up to a stored response, None if it is not stored. Raises
        DatabaseFailed.
        """
        if previous_id is None:
            return []
        request = self._request
        states = request.life.parts.states
        stored = await states.find(request.principal, "response", [previous_id])
        kept = stored.get(previous_id)
        return None if kept is None else decode_kept(kept).conversation

    # ---- steering

    def _steer(self, event: SteerEvent) -> None:
        """Accept user messages for a running response, or send the reason for the refusal."""
        self._steers += 1
        turns = (lane.turn for lane in self._lanes.values() if lane.turn is not None)
        turn = next((turn for turn in turns if turn.response_id == event.previous_id), None)
        refusal = self._steer_refusal(event, turn)
        if turn is not None and refusal is None:
            steer = Steer(f"steer_{id_text(new_id())}", event)
            turn.steers.append(steer)
            stream_id = turn.event.stream_id
            message = websocket.steer_accepted(steer.id, event.previous_id, self._steers, stream_id)
        else:
            code, what = refusal or ("response_not_found", "")
            message = websocket.steer_failed(None, event, code, what, self._steers)
        self._outbox.put(message)

    def _steer_refusal(self, event: SteerEvent, turn: Turn | None) -> tuple[str, str] | None:
        """Return the code and the message of a refusal; None if the messages are accepted."""
        if event.fault:
            return "invalid_input", event.fault
        if self._over is not None:
            return "response_not_active", self._over.error.message
        if turn is None and self._memory.find(event.previous_id) is not None:
            return "response_already_completed", "The response has ended; send response.create."
        if turn is None:
            return "response_not_found", "This connection runs and remembers no such response."
        if len(turn.steers) >= STEERS_MAX:
            return "too_many_pending_steers", f"At most {STEERS_MAX} wait for a response."
        if self._waiting_bytes() + len(bytes(event.input)) > _WAITING_BYTES_MAX:
            return "too_many_pending_steers", f"More than {MIB_MAX} MiB would wait."
        return None

    def _continue(
        self, lane: Lane, turn: Turn, response_id: str, output: Sequence[msgspec.Raw]
    ) -> Sequence[Steer]:
        """Start a successor that reads the steering of a response that has ended. Return the
        messages that must wait for the result of a tool."""
        steers, turn.steers = turn.steers, []
        if not steers:
            return ()
        if self._over is not None:
            self._give_back_at_end(turn, steers, self._over)
            return ()
        required = websocket.required_input(output)
        if not required:
            items = list(_items_of(steers))
            successor = Turn(turn.event.with_input(response_id, items), steers)
            lane.waiting.appendleft(successor)
            return ()
        for steer in steers:
            self._steers += 1
            self._outbox.put(
                websocket.steer_pending(
                    steer.id, response_id, required, self._steers, turn.event.stream_id
                )
            )
        return steers

    def _give_back_at_end(self, turn: Turn, steers: Iterable[Steer], over: ConnectionOver) -> None:
        """Give back messages that no response will read, because the connection ends."""
        for steer in steers:
            self._give_back(
                turn.event.stream_id, steer, "successor_creation_failed", over.error.message
            )

    def _give_back(self, stream_id: str | None, steer: Steer, code: str, what: str) -> None:
        self._steers += 1
        self._outbox.put(
            websocket.steer_failed(steer.id, steer.event, code, what, self._steers, stream_id)
        )


def _items_of(steers: Iterable[Steer]) -> Iterable[msgspec.Raw]:
    for steer in steers:
        yield from steer.event.items


def _leaves_out(
    event: CreateEvent, earlier: Remembered | None, before: Sequence[msgspec.Raw] | None
) -> bool:
    """Return whether the content log may not keep the conversation `before` a request. Of one that
    was stored, the connection does not know."""
    if earlier is not None and earlier.conversation is not None:
        return earlier.left_out
    return before is not None and event.previous_id is not None


def _ignore(response_id: str) -> None:
    """Refuse steering because the response has ended with an error."""
