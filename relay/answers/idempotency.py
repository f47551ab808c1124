"""Idempotency-Key: a request that is sent again gets the answer of the first one, and is charged
once (P5).

    free --claim--> RUNNING --answered--> ENDED --24 h--> free
      RUNNING --refused, nothing was spent--> free for the same body
      RUNNING --refused, something was spent--> only the use is stored
      RUNNING --its process dies before the answer began--> free for the same body
      RUNNING --its process dies later--> what was stored, then an error, for every repetition

A process counts as dead when its heartbeat has ended, somebody has noticed that, and it has not
come for a while since: a process that was only cut off from the database goes on.

A request with the same key and another body is always refused while the key is stored.

One statement of the database decides which request runs. The end of an answer is stored before the
answer is settled and before its client receives it, so that a paid answer can be fetched again
after any crash. A stream is stored piece by piece, so that every process can send it to a second
request while it still runs. Such a request continues when its client disconnects, because the
client may come back.

If the content may not be stored (`store: false`, retention 0), only the use of the key is stored: a
repetition is refused, not run again. All content is sealed for its row:

    RUNNING --head and pieces--> ENDED       sent to every repetition
    RUNNING --end--> NOT_KEPT                content may not be stored, was refused after it was
                                             charged, or waited too long: only the use is
    RUNNING --release--> free                nothing was spent
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from accounts.limits.data_policy import RETENTION_HOURS_MAX
from dialects.errors.errors import RequestFault, message_of
from dialects.json.body import read_body
from lib.id_types import RequestId
from lib.ids import id_text
from lib.process.waiting import timeout
from lib.vault import VaultError
from relay.context.context import RequestContext
from relay.credentials.keys import Principal
from relay.database.database import Statement, hex_of
from relay.downstream.downstream import ErrorAnswer, Head, Sink
from relay.errors import DatabaseFailed, RelayError
from relay.requests.headers import IDEMPOTENCY_KEY
from relay.states.state_store import StateStore, may_keep, state_id

log = logging.getLogger(__name__)

# The stored answer -------------------------------------------------------------------------

LOOK_S: Final = 0.1
"""How often a repetition checks for more of the answer that it follows."""

_LEASE_S: Final = 30
# How long a process whose heartbeat has ended may still renew it, from the moment at which somebody
# notices: one that was only cut off from the database renews it within this time.
_SILENCE_S: Final = 10
# How long a piece of a stream waits for more before it is stored.
_GATHER_S: Final = 0.1
_PIECE_BYTES_MAX: Final = 1024 * 1024
# How much of what the database has not taken goes into one transaction, whose time is limited.
_WRITE_BYTES_MAX: Final = 4 * 1024 * 1024
_WRITE_STATEMENTS_MAX: Final = 256
# After how many bytes of a stream its provider waits for the database, each time, and how many may
# wait for it.
_WAIT_BYTES: Final = 1024 * 1024
_WAITING_BYTES_MAX: Final = 16 * 1024 * 1024
_PAGE: Final = 16
FIRST_BACKGROUND_PIECE: Final = 1_000_000
"""The number of the first piece of a response that runs in the background. The numbers below are
those of an answer to an Idempotency-Key, which the same request may have."""


class KeptHead(msgspec.Struct, frozen=True):
    """The head of a stored answer. With `stream`, the body is stored in pieces."""

    head: Head
    stream: bool


class KeyUse(NamedTuple):
    """The row of an idempotency key in use. `alive`: its owner's heartbeat is recent."""

    request_id: RequestId
    same_body: bool
    state: str
    head: str | None
    alive: bool


class RunnerDied(RelayError):
    """The process that ran the request died before it ended."""


_kept_head = msgspec.json.Decoder(KeptHead)


class IdempotentAnswer:
    """The stored answer of one key. The request that claimed the key writes it; repetitions read
    it. A response that runs in the background is stored in the same form, with another `kind`, and
    its id in place of the key.
    """

    def __init__(
        self,
        states: StateStore,
        principal: Principal,
        key: str,
        request_id: UUID,
        digest: bytes,
        kind: str = "repeat",
    ) -> None:
        self._states = states
        self._request_id = request_id
        self._organisation = principal.organisation_id
        self._id = state_id(kind, principal.key_id, key)
        hours = min(principal.retention_hours, RETENTION_HOURS_MAX)
        self.row = {
            "organisation": self._organisation,
            "id": self._id,
            "request": request_id,
            "digest": hex_of(digest),
            "lease": _LEASE_S,
            "silence": _SILENCE_S,
            "background": FIRST_BACKGROUND_PIECE,
            # Without content the row only marks the key as used.
            "hours": hours or RETENTION_HOURS_MAX,
        }

    # ---- reading

    async def claim(self) -> tuple[bool, KeyUse | None]:
        """Claim the key. Return True if this request runs; otherwise return who uses the key, or
        None if it has just become free. Raises DatabaseFailed.
        """
        statements = [self.suspicion(), (_CLAIM, self.row), (_LOOK, self.row)]
        _, claimed, rows = await self._states.run(statements)
        return bool(claimed), _key_use(rows[0]) if rows else None

    async def read_head(self, use: KeyUse) -> KeptHead:
        """Return the decrypted head. Raises VaultError."""
        return _kept_head.decode(await self.open_head(use.head, use.request_id))

    async def open_head(self, sealed: str | None, request_id: UUID) -> bytes:
        """Return the decrypted bytes of the head. Raises VaultError."""
        return await self._states.open(sealed, self._head_place(request_id))

    async def seal_head(self, content: bytes) -> str:
        """Encrypt the bytes of the head, as a parameter of a statement."""
        return await self._states.seal(content, self._head_place(self._request_id))

    async def read_pieces(
        self, request_id: UUID, wanted: Callable[[], bool], n: int = 0
    ) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield the answer as it arrives from its piece `n` on, each piece with whether it is the
        last. Raises RunnerDied, VaultError, DatabaseFailed.
        """
        row = {**self.row, "request": request_id, "limit": _PAGE}
        while wanted():
            statements = [self.suspicion(), (_STATE, row), (_PIECES, {**row, "n": n})]
            _, states, rows = await self._states.run(statements)
            pieces = [
                await self._states.open(sealed, self._seal_context(request_id, n + i))
                for i, (sealed,) in enumerate(rows)
            ]
            n += len(pieces)
            state, alive = states[0] if states else ("", "f")
            more = len(pieces) == _PAGE
            last = state == "ended" and not more
            if pieces or last:
                yield b"".join(pieces), last
            if last:
                return
            if not more:
                if alive != "t" or state != "running":
                    raise RunnerDied
                await asyncio.sleep(LOOK_S)

    async def stored_pieces(self, request_id: UUID, n: int) -> bytes:
        """Return what is stored from the piece `n` on, whether more comes or not. Raises
        VaultError, DatabaseFailed."""
        raw: list[bytes] = []
        row = {**self.row, "request": request_id, "limit": _PAGE}
        while True:
            (rows,) = await self._states.run([(_PIECES, {**row, "n": n + len(raw)})])
            for (sealed,) in rows:
                place = self._seal_context(request_id, n + len(raw))
                raw.append(await self._states.open(sealed, place))
            if len(rows) < _PAGE:
                return b"".join(raw)

    def suspicion(self) -> Statement:
        """Return the statement that notes a heartbeat that has ended, before `alive` is read."""
        return _SUSPECT, self.row

    # ---- writing

    def renewal(self) -> Statement:
        """Return the statement that renews the heartbeat of the request."""
        return _RENEW, self.row

    async def head(self, head: Head, *, stream: bool) -> Statement:
        # The headroom of the key's limits has changed by the time of a repetition.
        content = msgspec.json.encode(KeptHead(msgspec.structs.replace(head, headroom={}), stream))
        return _HEAD, self.row | {"head": await self.seal_head(content)}

    async def pieces(self, raw: bytes, n: int) -> list[Statement]:
        """Return the statements that store these bytes in pieces, numbered from n."""
        statements: list[Statement] = []
        for i, at in enumerate(range(0, len(raw), _PIECE_BYTES_MAX), n):
            piece = raw[at : at + _PIECE_BYTES_MAX]
            sealed = await self._states.seal(piece, self._seal_context(self._request_id, i))
            statements.append((_PIECE, self.row | {"n": i, "sealed": sealed}))
        return statements

    def end(self, *, kept: bool) -> Statement:
        return _END, self.row | {"state": "ended" if kept else "not_kept"}

    def release(self) -> list[Statement]:
        return [(_RELEASE, self.row), (_RELEASE_PIECES, self.row)]

    async def write(self, statements: Sequence[Statement]) -> bool:
        """Run statements that store the answer. Return False if the database failed."""
        try:
            # The caller may be cancelled; the write must not be.
            await asyncio.shield(asyncio.ensure_future(self._states.run(statements)))
        except DatabaseFailed as error:
            log.warning("request %s is not kept: %s", id_text(self._request_id), error)
            return False
        return True

    def _head_place(self, request_id: UUID) -> str:
        return f"gateway_idempotentanswer|{self._organisation}/{self._id}/{request_id}|head"

    def _seal_context(self, request_id: UUID, n: int) -> str:
        return f"gateway_answerpiece|{self._organisation}/{request_id}/{n}|sealed"


def one_write(statements: Sequence[Statement]) -> Sequence[Statement]:
    """Return the first of these statements, as many as one transaction may take."""
    characters = 0
    for count, (_, parameters) in enumerate(statements[:_WRITE_STATEMENTS_MAX]):
        # What is large is sealed, as hexadecimal text.
        characters += len(str(parameters.get("sealed", parameters.get("head"))))
        if count and characters > 2 * _WRITE_BYTES_MAX:
            return statements[:count]
    return statements[:_WRITE_STATEMENTS_MAX]


class AnswerKeeper:
    """Stores the answer of a running request. If the content may not be stored, only the use of the
    key is."""

    def __init__(self, answer: IdempotentAnswer, *, content: bool) -> None:
        self._answer = answer
        self._content = content
        self._begun = self._ended = self._over = self._spoiled = False
        # What has come of the stream and is not sealed yet, its size, and the size at which the
        # provider waits next.
        self._pieces: list[bytes] = []
        self._waiting_bytes, self._wait_at = 0, _WAIT_BYTES
        # The number of the next piece, and what the database has not confirmed yet. It is the same
        # each time it is written: the database may have taken it, although no answer came.
        self._n = 0
        self._unwritten: list[Statement] = []
        self._writing = asyncio.Lock()
        self._gathering: asyncio.Task[None] | None = None

    async def begin(self, head: Head) -> None:
        """Store the head at the start of a stream."""
        self._begun = True
        if self._content:
            self._unwritten.append(await self._answer.head(head, stream=True))
            await self._flush()

    def piece(self, raw: bytes) -> Awaitable[None] | None:
        """Store the next piece of a stream. Return what must be awaited before the next one, or
        None."""
        if not self._content:
            return None
        self._pieces.append(raw)
        self._waiting_bytes += len(raw)
        if self._waiting_bytes > _WAITING_BYTES_MAX:
            # The database has been away for long. The client gets its answer all the same.
            log.warning("an answer is not kept: too much of it waits for the database")
            self._forget()
        elif self._waiting_bytes > self._wait_at:
            self._wait_at += _WAIT_BYTES
            return asyncio.shield(asyncio.ensure_future(self._flush()))
        elif self._gathering is None:
            self._gathering = asyncio.create_task(self._gather())
        return None

    async def end(self, raw: bytes) -> None:
        """Store the end of a stream; only the first call counts, also if the database takes it at
        a later one."""
        if self._over:
            return
        if self._content and not self._ended:
            self._pieces.append(raw)
        self._ended = True
        await self._flush(over=True)

    async def whole(self, head: Head, raw: bytes) -> None:
        """Store a whole answer."""
        self._begun = True
        if self._content:
            # The head comes last: until the answer is stored as a whole, it has not begun.
            pieces = await self._answer.pieces(raw, self._n)
            self._unwritten += [*pieces, await self._answer.head(head, stream=False)]
        await self._flush(over=True)

    async def spoil(self) -> None:
        """Mark the stored answer as incomplete, so that it is never replayed. Its key is not
        released either."""
        self._begun = self._spoiled = True
        self._forget()
        await self._flush(over=True)

    async def release(self) -> None:
        """Release the key, because nothing was spent."""
        if not self._over and not self._spoiled:
            self._over = True
            await self._answer.write(self._answer.release())

    async def close(self) -> None:
        """Finish after the run, whatever its result."""
        if self._gathering is not None:
            self._gathering.cancel()
        if self._begun:
            await self._flush(over=True)
        else:
            await self.release()

    def _forget(self) -> None:
        """Store no content any more, only the use of the key."""
        self._content = False
        self._pieces.clear()
        self._unwritten.clear()

    async def _gather(self) -> None:
        await asyncio.sleep(_GATHER_S)
        self._gathering = None
        await self._flush()

    async def _flush(self, *, over: bool = False) -> None:
        """Write what waits, in transactions of limited size. What the database does not take waits
        for the next call."""
        async with self._writing:
            while not self._over:
                if not self._unwritten:
                    await self._seal()
                end = [self._answer.end(kept=self._content)] if over and not self._pieces else []
                waiting = [*self._unwritten, *end]
                statements = one_write(waiting)
                if not statements or not await self._answer.write(statements):
                    return
                del self._unwritten[: len(statements)]
                if end and len(statements) == len(waiting):
                    self._over = True

    async def _seal(self) -> None:
        taken, raw = len(self._pieces), b"".join(self._pieces)
        pieces = await self._answer.pieces(raw, self._n)
        # Only now, so that a caller that is cancelled loses nothing.
        del self._pieces[:taken]
        self._waiting_bytes, self._wait_at = sum(map(len, self._pieces)), _WAIT_BYTES
        self._n += len(pieces)
        self._unwritten += pieces


def _key_use(row: Sequence[str | None]) -> KeyUse:
    request_id, same_body, state, head, alive = row
    return KeyUse(RequestId(UUID(request_id)), same_body == "t", state or "", head, alive == "t")


ALIVE: Final = """(
        a.alive_until > now() OR a.suspected_at IS NULL
        OR a.suspected_at > now() - make_interval(secs => %(silence)s::int))"""
"""Whether the process of the row `a` counts as alive."""

_SUSPECT = """
    UPDATE gateway_idempotentanswer SET suspected_at = now()
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid AND state = 'running'
      AND alive_until <= now() AND suspected_at IS NULL"""
# An answer that never began was not paid, so the key is released. There are two exceptions, in
# which the request may have been charged and is not run again: the content may not be stored, or
# the database was unavailable.
_CLAIM = f"""
    INSERT INTO gateway_idempotentanswer AS a
        (organisation_id, id, body_digest, request_id, state, alive_until, expires_at)
    VALUES (%(organisation)s::uuid, %(id)s::uuid, %(digest)s::bytea, %(request)s::uuid, 'running',
            now() + make_interval(secs => %(lease)s::int),
            now() + make_interval(hours => %(hours)s::int))
    ON CONFLICT (organisation_id, id) DO UPDATE
    SET body_digest = excluded.body_digest, request_id = excluded.request_id,
        state = excluded.state, head = NULL, alive_until = excluded.alive_until,
        suspected_at = NULL, expires_at = excluded.expires_at
    WHERE a.expires_at <= now() OR (
        a.state = 'running' AND a.head IS NULL AND NOT {ALIVE}
        AND a.body_digest = excluded.body_digest
        AND NOT EXISTS (
            SELECT 1 FROM usage_usagerecord r
            WHERE r.organisation_id = a.organisation_id AND r.request_id = a.request_id
              AND (r.charge_nano > 0 OR r.own_nano > 0))
        AND NOT EXISTS (
            SELECT 1 FROM usage_attempt t JOIN billing_hold h ON h.id = t.id
            WHERE t.organisation_id = a.organisation_id AND t.request_id = a.request_id
              AND h.state = 'open' AND h.mark IS NOT NULL)
        AND NOT EXISTS (
            SELECT 1 FROM gateway_mediatask m
            WHERE m.organisation_id = a.organisation_id AND m.request_id = a.request_id))
    RETURNING 1"""  # noqa: S608 - only constants are put in
_LOOK = f"""
    SELECT request_id, body_digest = %(digest)s::bytea, state, head, {ALIVE}
    FROM gateway_idempotentanswer a
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid"""  # noqa: S608
_STATE = f"""
    SELECT state, {ALIVE} FROM gateway_idempotentanswer a
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""  # noqa: S608
_RENEW = """
    UPDATE gateway_idempotentanswer
    SET alive_until = now() + make_interval(secs => %(lease)s::int), suspected_at = NULL
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""
_HEAD = """
    UPDATE gateway_idempotentanswer SET head = %(head)s::bytea
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""
_END = """
    UPDATE gateway_idempotentanswer SET state = %(state)s
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""
# Treat it as if its process had died before the answer began.
_RELEASE = """
    UPDATE gateway_idempotentanswer SET head = NULL, alive_until = now(),
        suspected_at = now() - make_interval(secs => %(silence)s::int)
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""
_RELEASE_PIECES = """
    DELETE FROM gateway_answerpiece
    WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid
      AND n < %(background)s::int"""
_PIECE = """
    INSERT INTO gateway_answerpiece (organisation_id, request_id, n, sealed, expires_at)
    VALUES (%(organisation)s::uuid, %(request)s::uuid, %(n)s::int, %(sealed)s::bytea,
            now() + make_interval(hours => %(hours)s::int))
    ON CONFLICT (organisation_id, request_id, n) DO NOTHING"""
_PIECES = """
    SELECT sealed FROM gateway_answerpiece
    WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid
      AND n >= %(n)s::int AND n < %(n)s::int + %(limit)s::int
    ORDER BY n"""


# The repeated request -------------------------------------------------------------------


# How often heartbeats are renewed, and how soon again when the database was away.
_RENEW_S: Final = 5.0
_RENEW_AGAIN_S: Final = 1.0


class Replayer(Sink, Protocol):
    """A client that can receive the stored answer of an earlier request."""

    def replay(self, request_id: RequestId) -> None:
        """Announce that the answer which follows is the stored answer of this earlier request."""

    def without_client(self) -> Sink:
        """Return the sink of what follows after the client has left."""


def body_digest(operation: str, path: Sequence[object], raw: bytes) -> bytes:
    """Return the digest of every byte of a request. Two requests with one key must have the same
    digest."""
    words = "|".join([operation, *map(str, path)])
    return sha256(words.encode(errors="surrogatepass") + b"\0" + raw).digest()


class IdempotentRequests:
    """The keys of the requests that this process runs."""

    def __init__(self, states: StateStore) -> None:
        self.states = states
        self._running: set[IdempotentAnswer] = set()
        self._renewing: asyncio.Task[None] | None = None

    def enter(self, answer: IdempotentAnswer) -> None:
        """Renew the claim of this answer until `leave`."""
        self._running.add(answer)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    def leave(self, answer: IdempotentAnswer) -> None:
        self._running.discard(answer)

    async def _renew(self) -> None:
        wait_s = _RENEW_S
        while True:
            await asyncio.sleep(wait_s)
            if not self._running:
                self._renewing = None
                return
            try:
                await self.states.run([answer.renewal() for answer in self._running])
                wait_s = _RENEW_S
            except DatabaseFailed as error:
                wait_s = _RENEW_AGAIN_S
                log.warning("claims of idempotency keys are not renewed: %s", error)


class IdempotentRequest:
    """One request with a key. It passes the answer from the run to the client, and stores it."""

    def __init__(
        self,
        requests: IdempotentRequests,
        context: RequestContext,
        client: Replayer,
        key: str,
        raw: bytes,
        files: bytes = b"",
    ) -> None:
        """`files`: the digest of the uploaded files."""
        invocation, principal = context.invocation, context.principal
        body = read_body(raw)
        digest = body_digest(
            invocation.operation, msgspec.structs.astuple(invocation.target), raw + files
        )
        self._requests = requests
        self._client = client
        # Receives what the run makes.
        self._sink: Sink = client
        self._answer = IdempotentAnswer(requests.states, principal, key, context.request_id, digest)
        self._streams = invocation.target.stream or body.value("stream") == b"true"
        self._keeps = may_keep(principal, body)
        self._keeper = AnswerKeeper(self._answer, content=self._keeps)
        self._claimed = False
        self._stall_s = context.parts.config.write_stall_s
        self.gone = False

    # ---- before the run

    async def claim(self) -> bool:
        """Return True if this request is to run. False means that it has been answered already.
        Raises RequestFault, DatabaseFailed.
        """
        while not self.gone:
            self._claimed, use = await self._answer.claim()
            if self._claimed:
                self._requests.enter(self._answer)
                return True
            if use is not None and await self._answer_again(use):
                return False
            await asyncio.sleep(LOOK_S)
        return False

    async def _answer_again(self, use: KeyUse) -> bool:
        """Replay the answer of the earlier request. Return False if the claim must be tried
        again.
        """
        if not use.same_body:
            what = "the Idempotency-Key was used with another body: use a new key for a new request"
            raise RequestFault("idempotency_mismatch", IDEMPOTENCY_KEY, what)
        running = use.state == "running"
        if use.state == "not_kept" or (use.head is None and not (running and use.alive)):
            what = (
                f"the answer to this Idempotency-Key was not kept; request "
                f"{id_text(use.request_id)} is in the log"
            )
            raise RequestFault("unsupported_capability", IDEMPOTENCY_KEY, what)
        if running and (not self._streams or not self._keeps):
            what = "the request with this Idempotency-Key is still running: retry when it has ended"
            raise RequestFault("conflict", IDEMPOTENCY_KEY, what)
        if use.head is None:
            return False
        await self._replay(use)
        return True

    async def _replay(self, use: KeyUse) -> None:
        try:
            kept = await self._answer.read_head(use)
            self._client.replay(use.request_id)
            if kept.stream:
                await self._client.begin(kept.head)
            whole: list[bytes] = []
            async for raw, last in self._answer.read_pieces(use.request_id, lambda: not self.gone):
                if kept.stream:
                    async with timeout(self._stall_s):
                        await self._client.write(raw, last=last)
                else:
                    whole.append(raw)
            if not kept.stream:
                await self._client.answer(kept.head, b"".join(whole))
        except TimeoutError:
            # It reads nothing. It may come again.
            self.gone = True
        except (VaultError, RunnerDied):
            # The other process died before the end, or its KEK is unavailable.
            await self._client.refuse(ErrorAnswer("internal", 500, message_of("internal")))

    # ---- Sink of the run

    def leave(self) -> None:
        """Record that the client disconnected. The request continues, because the client may come
        back."""
        self.gone = True
        self._sink = self._client.without_client()

    async def refuse(self, error: ErrorAnswer) -> None:
        """Release the key for a request with the same body, because nothing was spent, unless it is
        used up."""
        await self._keeper.release()
        await self._sink.refuse(error)

    async def answer(self, head: Head, raw: bytes) -> None:
        await self._sink.answer(head, raw)

    async def begin(self, head: Head) -> None:
        await self._keeper.begin(head)
        await self._sink.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        if last:
            await self._keeper.end(raw)
        elif (room := self._keeper.piece(raw)) is not None:
            await room
        await self._sink.write(raw, last=last)

    async def cut(self) -> None:
        await self._keeper.spoil()
        await self._sink.cut()

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        room = self._keeper.piece(raw)
        written = self._sink.write_now(raw)
        return written if room is None else _wait_for_both(written, room)

    # ---- Recorder of the answer

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        await self._keeper.whole(head, raw)

    async def keep_end(self, raw: bytes) -> None:
        await self._keeper.end(raw)

    async def use_up(self) -> None:
        await self._keeper.spoil()

    async def close(self) -> None:
        """End the claim after the run, so that no repetition keeps waiting."""
        if self._claimed:
            await self._keeper.close()
            self._requests.leave(self._answer)


async def _wait_for_both(written: Awaitable[None] | None, room: Awaitable[None]) -> None:
    if written is not None:
        await written
    await room
