"""Responses and interactions that run in the background (`dialects/streams/background.py`).

Their request runs like any other, in a task of the process that admitted it, and its answer goes
here instead of to a client. What came of it is stored like the answer to an Idempotency-Key, so
that every process can show it:

    head     the response as it is now, encrypted
    pieces   the items that its model reads, and the events of its stream, encrypted
    state    RUNNING --its run ends, or a cancel--> ENDED; the first of them counts

    its process dies    its heartbeat ends, whoever asks for it next suspects it, and whoever asks
                        a while later ends it as failed, unless the heartbeat has come meanwhile
    it is cancelled     the process that runs it notices that its row has ended, and treats it as
                        a request whose client has left
    it is deleted       the same, because its row is gone
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from dialects.errors.errors import message_of
from dialects.streams.background import BackgroundEvents, BackgroundForm, has_failed, lacks_usage
from dialects.streams.sse import Frame, FrameSplitter
from dialects.usage.usage import Counts
from lib.id_types import RequestId
from lib.ids import id_array
from lib.vault import VaultError
from relay.answers.idempotency import (
    ALIVE,
    FIRST_BACKGROUND_PIECE,
    IdempotentAnswer,
    IdempotentRequests,
    RunnerDied,
    one_write,
)
from relay.credentials.keys import Principal
from relay.database.database import Row, Statement
from relay.downstream.downstream import ErrorAnswer, Head
from relay.errors import DatabaseFailed
from relay.states.state_store import StateStore, state_id

log = logging.getLogger(__name__)

_KIND: Final = "background"
# The number of the first piece with the input: more events than pieces before it cannot come.
_FIRST_INPUT_PIECE: Final = 2 * FIRST_BACKGROUND_PIECE
_encode = msgspec.json.encode
_raws = msgspec.json.Decoder(list[msgspec.Raw])
# How many bytes of events wait before their provider does, and how many a response may have.
_WAITING_BYTES_MAX: Final = 1024 * 1024
_EVENTS_BYTES_MAX: Final = 64 * 1024 * 1024
_TOO_LARGE: Final = "the events of the response are larger than 64 MiB"
# How long events wait for more before they are stored, and how often a cancel is looked for.
_GATHER_S: Final = 0.1
_WATCH_S: Final = 0.25
AGAIN_S: Final = 1.0
"""How long the end of a response waits for a database that is away, each time."""

# How long a process that stops waits for the end of each response that it has cancelled.
_END_S: Final = 5.0


class StoredBackground(NamedTuple):
    """A response that runs or ran in the background: its JSON, and whether it still runs."""

    request_id: RequestId
    response: bytes
    runs: bool


class BackgroundAnswer:
    """The stored form of one response. `id` is the response's."""

    def __init__(
        self, states: StateStore, principal: Principal, id: str, request_id: RequestId
    ) -> None:
        self.answer = IdempotentAnswer(states, principal, id, request_id, b"", _KIND)
        self._states = states
        # The number of the next piece, and what the database has not taken yet.
        self._n = FIRST_BACKGROUND_PIECE
        self._unwritten: list[Statement] = []
        # Whether its own end is on its way to the database.
        self.ends = False
        # The organisation and the id of its row.
        self.place = principal.organisation_id, state_id(_KIND, principal.key_id, id)

    async def keep_input(self, items: Sequence[msgspec.Raw]) -> None:
        """Store the items that the model reads. What the database does not take is missing."""
        pieces = await self.answer.pieces(_encode(items), _FIRST_INPUT_PIECE)
        unwritten = [(_PUT_INPUT, row) for _, row in pieces]
        while unwritten:
            statements = one_write(unwritten)
            if not await self.answer.write(statements):
                return
            del unwritten[: len(statements)]

    async def begin(self, response: bytes, events: bytes) -> None:
        """Store a response that is about to run. Raises DatabaseFailed."""
        row = self.answer.row | {"head": await self.answer.seal_head(response)}
        await self._put(events)
        await self._states.run([(_BEGIN, row), *self._unwritten])
        self._unwritten.clear()

    async def add(self, response: bytes | None, events: bytes) -> None:
        """Store further events, and the response if they have changed it. What the database does
        not take is stored with what follows."""
        if response is not None:
            head = await self.answer.seal_head(response)
            self._unwritten.append((_CHANGE, self.answer.row | {"head": head}))
        await self._put(events)
        while self._unwritten:
            statements = one_write(self._unwritten)
            if not await self.answer.write(statements):
                break
            del self._unwritten[: len(statements)]

    async def prepare_end(self, response: bytes, events: bytes = b"") -> Statement:
        """Return what `end` takes: the same end each time, however often the database fails."""
        self.ends = True
        row = self.answer.row | {"head": await self.answer.seal_head(response)}
        await self._put(events)
        return _END, row

    async def end(self, ending: Statement) -> bool:
        """Store the end of a response. Return False if it had ended otherwise already. Raises
        DatabaseFailed."""
        while len(statements := one_write(self._unwritten)) < len(self._unwritten):
            await self._run(statements)
            del self._unwritten[: len(statements)]
        *_, ended = await self._run([*self._unwritten, ending])
        return bool(ended)

    async def drop(self) -> bool:
        """Delete it. Return False if there was none. Raises DatabaseFailed."""
        row = self.answer.row
        _, _, rows = await self._states.run([(_LOCK, row), (_DROP_PIECES, row), (_DROP, row)])
        return bool(rows)

    async def _run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        # A cancelled caller must not leave a response that never ends.
        return await asyncio.shield(asyncio.ensure_future(self._states.run(statements)))

    async def _put(self, events: bytes) -> None:
        pieces = await self.answer.pieces(events, self._n)
        self._n += len(pieces)
        self._unwritten += [(_PUT, row) for _, row in pieces]


async def find_background(
    form: BackgroundForm, states: StateStore, principal: Principal, id: str
) -> StoredBackground | None:
    """Return a response of the principal's key; None if none of this id ran in the background. One
    whose process has died is ended as failed. Raises DatabaseFailed."""
    stored = await _read(states, principal, id)
    if stored is None:
        return None
    if stored.alive or not stored.background.runs:
        return await _with_usage(form, states, principal, stored.background)
    request_id, response, _ = stored.background
    failed = form.fail(response, "internal", message_of("internal"))
    answer = BackgroundAnswer(states, principal, id, request_id)
    row = answer.answer.row | {"head": await answer.answer.seal_head(failed)}
    await states.run([(_END_DEAD, row)])
    # Its process may have renewed its heartbeat meanwhile.
    stored = await _read(states, principal, id)
    return None if stored is None else await _with_usage(form, states, principal, stored.background)


async def _with_usage(
    form: BackgroundForm, states: StateStore, principal: Principal, stored: StoredBackground
) -> StoredBackground:
    """Return a response that has failed with the usage that was charged for it, once the books have
    it. What it came to is known only after its end is stored."""
    if stored.runs or not lacks_usage(stored.response):
        return stored
    place = {"organisation": principal.organisation_id, "request": stored.request_id}
    (rows,) = await states.run([(_CHARGED, place)])
    for (meters,) in rows:
        counts = Counts.of(msgspec.json.decode(meters or "{}", type=dict[str, int]))
        return stored._replace(response=form.with_usage(stored.response, counts))
    return stored


async def read_input(
    states: StateStore, principal: Principal, stored: StoredBackground, id: str
) -> list[msgspec.Raw] | None:
    """Return the items that the model of a response reads, None if they are not stored. Raises
    DatabaseFailed."""
    answer = BackgroundAnswer(states, principal, id, stored.request_id).answer
    # As for a response that cannot be read any more.
    with contextlib.suppress(VaultError):
        raw = await answer.stored_pieces(stored.request_id, _FIRST_INPUT_PIECE)
        return _raws.decode(raw) if raw else None
    return None


class _Read(NamedTuple):
    background: StoredBackground
    alive: bool


async def _read(states: StateStore, principal: Principal, id: str) -> _Read | None:
    # Until its row is read, the id of its request is not known.
    answer = IdempotentAnswer(states, principal, id, principal.key_id, b"", _KIND)
    _, rows = await states.run([answer.suspicion(), (_FIND, answer.row)])
    # A response that was encrypted with another KEK cannot be read any more.
    with contextlib.suppress(VaultError):
        for request, state, head, alive in rows:
            request_id = RequestId(UUID(request))
            response = await answer.open_head(head, request_id)
            return _Read(StoredBackground(request_id, response, state == "running"), alive == "t")
    return None


async def read_events(
    form: BackgroundForm,
    states: StateStore,
    principal: Principal,
    id: str,
    after: int,
    wanted: Callable[[], bool],
) -> AsyncIterator[bytes]:
    """Yield the events of a response with a number above `after`, as they are stored. A cancelled
    response has no last event. Raises DatabaseFailed."""
    stored = await find_background(form, states, principal, id)
    if stored is None:
        return
    answer = BackgroundAnswer(states, principal, id, stored.request_id).answer
    frames, number, ended = FrameSplitter(), -1, False
    try:
        async for raw, _ in answer.read_pieces(stored.request_id, wanted, FIRST_BACKGROUND_PIECE):
            new: list[Frame] = []
            for frame in frames.feed(raw):
                known = form.number_of(frame)
                number = number + 1 if known is None else known
                ended = form.is_end(frame)
                if number > after:
                    new.append(frame)
            if new:
                yield b"".join(frame.raw for frame in new)
    except (RunnerDied, VaultError):
        pass
    stored = await find_background(form, states, principal, id)
    if not ended and stored is not None and wanted() and has_failed(stored.response):
        yield form.failed_event(stored.response, number + 1)


class BackgroundSink:
    """The sink of a request that runs in the background: it stores the answer. `admitted` becomes
    the head of the answer when the request was admitted, or the error that refused it."""

    def __init__(self, answer: BackgroundAnswer, events: BackgroundEvents) -> None:
        self._answer = answer
        self._events = events
        self.admitted: asyncio.Future[Head | ErrorAnswer] = (
            asyncio.get_running_loop().create_future()
        )
        # The items that the model reads, once the request was admitted.
        self._input: Sequence[msgspec.Raw] = ()
        # Stops the run of a response that is too large.
        self.stop: Callable[[], None] | None = None
        # The events that are not stored yet, their size, and that of all; and the response that was
        # stored last.
        self._waiting: list[bytes] = []
        self._waiting_bytes = self._bytes = 0
        self._stored = events.response
        self._writing = asyncio.Lock()
        self._gathering: asyncio.Task[None] | None = None
        # The end, once it is known, and whether it is stored.
        self._ending: Statement | None = None
        self._over = False
        # Whether the end of the run was the end of the response: it was not cancelled before.
        self.counted = True

    def admit(self, head: Head, items: Sequence[msgspec.Raw]) -> None:
        """Record that the request was admitted, and the items that its model reads; only the first
        attempt counts."""
        if not self.admitted.done():
            self._input = items
            self.admitted.set_result(head)

    def take_input(self) -> Sequence[msgspec.Raw]:
        """Return the items that the model reads. They are not kept in memory while it answers."""
        items, self._input = self._input, ()
        return items

    # ---- Sink

    async def refuse(self, error: ErrorAnswer) -> None:
        if not self.admitted.done():
            self._over = True
            await self._drop()
            self.admitted.set_result(error)
        elif not self._events.ended:
            self._waiting.append(self._events.fail(error.kind, error.message, error.guard_code))
            await self._end()

    async def answer(self, head: Head, raw: bytes) -> None:
        self._waiting.append(self._events.complete(raw))
        await self._end()

    async def begin(self, head: Head) -> None:
        """Begin the stream. Its first events are stored already."""

    async def write(self, raw: bytes, *, last: bool) -> None:
        room = self.write_now(raw)
        if last:
            await self._end()
        elif room is not None:
            await room

    async def cut(self) -> None:
        await self._end()

    def write_now(self, raw: bytes) -> Awaitable[Any] | None:
        if self._over or not (events := self._events.feed(raw)):
            return None
        self._waiting.append(events)
        self._waiting_bytes += len(events)
        self._bytes += len(events)
        if self._bytes > _EVENTS_BYTES_MAX and not self._events.ended:
            self._waiting.append(self._events.fail("upstream_error", _TOO_LARGE))
            if self.stop is not None:
                asyncio.get_running_loop().call_soon(self.stop)
        elif self._waiting_bytes > _WAITING_BYTES_MAX:
            # Whoever waits may be cancelled; the events must not be lost.
            return asyncio.shield(asyncio.ensure_future(self._store()))
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._gather())
        return None

    # ---- Recorder of the answer

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        await self.answer(head, raw)

    async def keep_end(self, raw: bytes) -> None:
        await self.write(raw, last=True)

    async def use_up(self) -> None:
        """Do nothing: the error is stored as the end of the response."""

    async def close(self, error: ErrorAnswer) -> None:
        """End a response that has no end after its run, with this error. Return once its end is
        stored."""
        if self._gathering is not None:
            self._gathering.cancel()
        if not self._events.ended and not self._over:
            await self.refuse(error)
        while not self._over:
            # The database is away. What was paid for is not given up while this process lives.
            await asyncio.sleep(AGAIN_S)
            await self._end()

    # ---- storing

    async def _drop(self) -> None:
        try:
            await self._answer.drop()
        except DatabaseFailed as error:
            log.warning("a refused response is not deleted: %s", error)

    async def _gather(self) -> None:
        await asyncio.sleep(_GATHER_S)
        self._gathering = None
        if self._bytes > _EVENTS_BYTES_MAX:
            # Its run may be read to its end all the same, for its usage.
            await self._end()
        else:
            await self._store()

    async def _store(self) -> None:
        async with self._writing:
            # The end is stored before the request is settled, by whoever ends it.
            if self._ending is None and not self._events.ended:
                response = self._events.response
                changed = None if response is self._stored else response
                self._stored = response
                await self._answer.add(changed, self._take())

    async def _end(self) -> None:
        """Store the end; one that the provider has not sent is a failure."""
        async with self._writing:
            if self._over:
                return
            if not self._events.ended:
                message = message_of("upstream_truncated")
                self._waiting.append(self._events.fail("upstream_truncated", message))
            if self._ending is None:
                response = self._events.response
                self._ending = await self._answer.prepare_end(response, self._take())
            try:
                self.counted = await self._answer.end(self._ending)
                self._over = True
            except DatabaseFailed as error:
                log.warning("the end of a background response is not stored: %s", error)

    def _take(self) -> bytes:
        events = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return events


class BackgroundResponses:
    """The responses that run in the background of this process."""

    def __init__(self, states: StateStore, renewals: IdempotentRequests) -> None:
        self._states = states
        self._renewals = renewals
        # How to tell the run of each that nobody waits for it any more.
        self._leaves: dict[BackgroundAnswer, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    def start(self, run: Coroutine[Any, Any, None]) -> None:
        """Run a request, without the context of the one that started it."""
        task = asyncio.create_task(run, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def enter(self, answer: BackgroundAnswer, leave: Callable[[], None]) -> None:
        """Register a response that runs. `leave` is called when it was cancelled or deleted."""
        self._leaves[answer] = leave
        self._renewals.enter(answer.answer)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), context=Context())

    def leave(self, answer: BackgroundAnswer) -> None:
        self._leaves.pop(answer, None)
        self._renewals.leave(answer.answer)

    async def drain(self, seconds: float) -> None:
        """Let running responses finish within `seconds`, then cancel the rest. One whose end the
        database does not take is given up a while later: it is ended as that of a dead process."""
        late = set(self._tasks)
        # The first cancel ends the run, the second one the wait for the database.
        for wait_s in (seconds, _END_S, _END_S):
            if late:
                _, late = await asyncio.wait(late, timeout=wait_s)
            for task in late:
                task.cancel()

    async def _watch(self) -> None:
        try:
            while self._leaves:
                await asyncio.sleep(_WATCH_S)
                try:
                    await self._end_cancelled([one for one in self._leaves if not one.ends])
                except DatabaseFailed as error:
                    log.warning("cancelled responses cannot be looked for: %s", error)
        finally:
            self._watching = None

    async def _end_cancelled(self, answers: Sequence[BackgroundAnswer]) -> None:
        if not answers:
            return
        organisations, ids = zip(*(answer.place for answer in answers), strict=True)
        places = {"organisations": id_array(organisations), "ids": id_array(ids)}
        (rows,) = await self._states.run([(_RUNNING, places)])
        running = {UUID(id_) for (id_,) in rows}
        for answer in answers:
            if answer.ends or answer.place[1] in running:
                # Its row may have ended by its own end.
                continue
            if leave := self._leaves.pop(answer, None):
                # The event loop reports one that fails; the others are cancelled all the same.
                asyncio.get_running_loop().call_soon(leave)


_BEGIN = """
    INSERT INTO gateway_idempotentanswer
        (organisation_id, id, body_digest, request_id, state, head, alive_until, expires_at)
    VALUES (%(organisation)s::uuid, %(id)s::uuid, %(digest)s::bytea, %(request)s::uuid, 'running',
            %(head)s::bytea, now() + make_interval(secs => %(lease)s::int),
            now() + make_interval(hours => %(hours)s::int))"""
_CHANGE = """
    UPDATE gateway_idempotentanswer SET head = %(head)s::bytea
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid AND state = 'running'"""
# The same end may be stored again, if it is not known whether the database took it.
_END = """
    UPDATE gateway_idempotentanswer SET head = %(head)s::bytea, state = 'ended'
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND (state = 'running' OR head = %(head)s::bytea)
    RETURNING 1"""
_END_DEAD = f"""
    UPDATE gateway_idempotentanswer a SET head = %(head)s::bytea, state = 'ended'
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid AND state = 'running'
      AND NOT {ALIVE}"""  # noqa: S608 - only constants are put in
_FIND = f"""
    SELECT request_id, state, head, {ALIVE} FROM gateway_idempotentanswer a
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND expires_at > now()"""  # noqa: S608
_CHARGED = """
    SELECT meters FROM usage_usagerecord
    WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid
      AND final AND (charge_nano > 0 OR own_nano > 0)"""
_RUNNING = """
    SELECT id FROM gateway_idempotentanswer
    WHERE (organisation_id, id) IN (
        SELECT * FROM unnest(%(organisations)s::uuid[], %(ids)s::uuid[])) AND state = 'running'"""
# Nothing is added to a response that was deleted, and none is deleted meanwhile.
_PUT_PIECE: Final = """
    INSERT INTO gateway_answerpiece (organisation_id, request_id, n, sealed, expires_at)
    SELECT organisation_id, request_id, %(n)s::int, %(sealed)s::bytea, expires_at
    FROM gateway_idempotentanswer
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid {}
    FOR NO KEY UPDATE
    ON CONFLICT (organisation_id, request_id, n) DO NOTHING"""
# No event is added to a response that has ended. It may end before its input is stored.
_PUT = _PUT_PIECE.format("AND state = 'running'")
_PUT_INPUT = _PUT_PIECE.format("")
# No piece is added between the two deletions.
_LOCK = """
    SELECT 1 FROM gateway_idempotentanswer
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid FOR UPDATE"""
_DROP_PIECES = """
    DELETE FROM gateway_answerpiece p USING gateway_idempotentanswer a
    WHERE a.organisation_id = %(organisation)s::uuid AND a.id = %(id)s::uuid
      AND p.organisation_id = a.organisation_id AND p.request_id = a.request_id
      AND p.n >= %(background)s::int"""
_DROP = """
    DELETE FROM gateway_idempotentanswer
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid RETURNING 1"""
