"""Idempotency-Key: a request that is sent again gets the answer of the first, paid once (P5).

    free --claim--> RUNNING --answered--> ENDED --24 h--> free
      RUNNING --refused, nothing was spent--> free for the same body
      RUNNING --its process dies before the answer began--> free for the same body
      RUNNING --its process dies later--> what was kept and then an error, however often it is asked

Another body is refused for as long as the key is known, whatever became of the first.

The database decides who runs, in one statement. The end of an answer is kept before the answer is
settled and before its client hears it: what is paid can be had again, whatever dies when. A stream
is kept piece by piece, so that a second request is told it from its first event while it runs, by
any process. A client that leaves does not end such a request: it may come back.

Where the content may not be kept (`store: false`, retention 0) only the use of the key is: what
comes again is refused, and not run again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from dialects.body import read_body
from dialects.errors import RequestFault, message_of
from lib.ids import id_text
from lib.vault import VaultError
from relay.database import DatabaseAway, DatabaseRefused, Statement
from relay.request_context import ErrorAnswer, Head, RequestContext, Sink
from relay.state_store import RETENTION_HOURS_MAX, StateStore, state_id

log = logging.getLogger(__name__)

NAME: Final = "idempotency-key"
LENGTH_MAX: Final = 128
_LEASE_S: Final = 30
_RENEW_S: Final = 5.0
# How long a piece of a stream waits for others before it is kept, and how often who listens looks.
_GATHER_S: Final = 0.1
_LOOK_S: Final = 0.1
_PIECE_BYTES_MAX: Final = 1024 * 1024
_PAGE: Final = 16


class Replayer(Sink, Protocol):
    """A client that can be told the answer of an earlier request."""

    def replay(self, request_id: UUID) -> None:
        """What follows is the answer of that request."""


class _Kept(msgspec.Struct, frozen=True):
    head: Head
    stream: bool


class _KeyUse(NamedTuple):
    """The row of a key that somebody uses. `lost`: its process died when the answer was paid."""

    request_id: UUID
    same_body: bool
    state: str
    head: str | None
    alive: bool


_kept = msgspec.json.Decoder(_Kept)


def body_digest(operation: str, path: Sequence[object], raw: bytes) -> bytes:
    """What must be the same for two requests to be one: what is asked, and every byte of it."""
    words = "|".join([operation, *map(str, path)])
    return sha256(words.encode(errors="surrogatepass") + b"\0" + raw).digest()


def read_key(value: bytes) -> str:
    """The client's key. Raises RequestFault."""
    text = value.decode("latin-1").strip()
    if not 1 <= len(text) <= LENGTH_MAX:
        what = f"Idempotency-Key must have between 1 and {LENGTH_MAX} characters"
        raise RequestFault("invalid_value", NAME, what)
    return text


class IdempotentRequests:
    """The keys that requests of this process run under."""

    def __init__(self, states: StateStore) -> None:
        self.states = states
        self._running: set[IdempotentRequest] = set()
        self._renewing: asyncio.Task[None] | None = None

    def enter(self, request: "IdempotentRequest") -> None:
        """Renew the claim until `leave`."""
        self._running.add(request)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    def leave(self, request: "IdempotentRequest") -> None:
        self._running.discard(request)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            if not self._running:
                self._renewing = None
                return
            renewals: list[Statement] = [(_RENEW, request.row) for request in self._running]
            try:
                await self.states.run(renewals)
            except (DatabaseAway, DatabaseRefused) as error:
                log.warning("claims of idempotency keys are not renewed: %s", error)


class IdempotentRequest:
    """One request with a key. It stands between the run and its client, and keeps what passes."""

    def __init__(
        self,
        requests: IdempotentRequests,
        context: RequestContext,
        client: Replayer,
        key: str,
        raw: bytes,
    ) -> None:
        invocation, principal = context.invocation, context.principal
        body = read_body(raw)
        hours = min(principal.retention_hours, RETENTION_HOURS_MAX)
        self._requests = requests
        self._states = requests.states
        self._client = client
        self._request_id = context.request_id
        self._organisation = principal.organisation_id
        self._id = state_id("repeat", principal.key_id, key)
        self._streams = invocation.target.stream or body.value("stream") == b"true"
        self._keeps = hours > 0 and body.value("store") != b"false"
        self.row = {
            "organisation": self._organisation,
            "id": self._id,
            "request": self._request_id,
            "digest": "\\x" + body_digest(invocation.operation, invocation.target, raw).hex(),
            "lease": _LEASE_S,
            # Without content it is no more than a mark that the key was used.
            "hours": hours or RETENTION_HOURS_MAX,
        }
        self.gone = False
        self._claimed = self._begun = self._over = False
        self._n = 0
        self._pieces: list[bytes] = []
        self._writing = asyncio.Lock()
        self._gathering: asyncio.Task[None] | None = None

    # ---- before

    async def claim(self) -> bool:
        """Whether this request is the one that runs. Otherwise it has been answered.

        Raises RequestFault, DatabaseAway, DatabaseRefused.
        """
        while not self.gone:
            claimed, rows = await self._states.run([(_CLAIM, self.row), (_LOOK, self.row)])
            if claimed:
                self._claimed = True
                self._requests.enter(self)
                return True
            if rows and await self._answer_again(_key_use(rows[0])):
                return False
            await asyncio.sleep(_LOOK_S)
        return False

    async def _answer_again(self, use: _KeyUse) -> bool:
        """Answer what somebody else's request has been answered; False: it is to be asked again."""
        if not use.same_body:
            what = "the Idempotency-Key was used with another body: use a new key for a new request"
            raise RequestFault("idempotency_mismatch", NAME, what)
        running = use.state == "running"
        if use.state == "not_kept" or (running and not use.alive and use.head is None):
            what = (
                f"the answer to this Idempotency-Key was not kept; request "
                f"{id_text(use.request_id)} is in the log"
            )
            raise RequestFault("unsupported_capability", NAME, what)
        if running and (not self._streams or not self._keeps):
            what = "the request of this Idempotency-Key is still running: ask again when it ended"
            raise RequestFault("conflict", NAME, what)
        if use.head is None:
            return False
        await self._replay(use.request_id, use.head)
        return True

    async def _replay(self, request_id: UUID, sealed: str) -> None:
        try:
            kept = _kept.decode(await self._states.open(sealed, self._head_place(request_id)))
            self._client.replay(request_id)
            if kept.stream:
                await self._client.begin(kept.head)
            whole: list[bytes] = []
            async for raw, last in self._read_pieces(request_id):
                if kept.stream:
                    await self._client.write(raw, last=last)
                else:
                    whole.append(raw)
            if not kept.stream:
                await self._client.answer(kept.head, b"".join(whole))
        except (VaultError, _Lost):
            # Its process died in the middle, or its KEK is gone.
            await self._client.refuse(ErrorAnswer("internal", 500, message_of("internal")))

    async def _read_pieces(self, request_id: UUID) -> AsyncIterator[tuple[bytes, bool]]:
        row = {**self.row, "request": request_id, "limit": _PAGE}
        n = 0
        while not self.gone:
            states, rows = await self._states.run([(_STATE, row), (_PIECES, {**row, "n": n})])
            raw = [await self._states.open(row[0], self._place(request_id, n + i))
                   for i, row in enumerate(rows)]  # fmt: skip
            n += len(raw)
            state, alive = states[0] if states else ("", "f")
            last = state == "ended" and len(raw) < _PAGE
            if raw or last:
                yield b"".join(raw), last
            if last:
                return
            if len(raw) < _PAGE:
                if alive != "t":
                    raise _Lost
                await asyncio.sleep(_LOOK_S)

    # ---- the sink of the run

    def leave(self) -> None:
        """The client has gone; its request goes on, for it may come back."""
        self.gone = True

    async def refuse(self, error: ErrorAnswer) -> None:
        """Nothing was spent: the key is free again for the same body."""
        await self._release()
        if not self.gone:
            await self._client.refuse(error)

    async def answer(self, head: Head, raw: bytes) -> None:
        if not self.gone:
            await self._client.answer(head, raw)

    async def begin(self, head: Head) -> None:
        self._begun = True
        if self._keeps:
            await self._write([(_HEAD, self.row | {"head": await self._seal_head(head, True)})])
        if not self.gone:
            await self._client.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        if last:
            await self.keep_end(raw)
        else:
            self._keep_piece(raw)
        if not self.gone:
            await self._client.write(raw, last=last)

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        self._keep_piece(raw)
        return None if self.gone else self._client.write_now(raw)

    def _keep_piece(self, raw: bytes) -> None:
        if self._keeps:
            self._pieces.append(raw)
            if self._gathering is None:
                self._gathering = asyncio.create_task(self._gather())

    # ---- keeping

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        """Keep a whole answer."""
        self._begun = True
        if self._keeps:
            sealed = await self._seal_head(head, False)
            self._pieces.append(raw)
            await self._flush([(_HEAD, self.row | {"head": sealed})], over=True)
        else:
            await self._flush([], over=True)

    async def keep_end(self, raw: bytes) -> None:
        """Keep the rest of a stream."""
        if self._over:
            return
        if self._keeps:
            self._pieces.append(raw)
        await self._flush([], over=True)

    async def close(self) -> None:
        """The run is over: whatever became of it, nobody waits for it any more."""
        if not self._claimed:
            return
        if self._gathering is not None:
            self._gathering.cancel()
        if not self._over:
            if self._begun:
                await self._flush([], over=True)
            else:
                await self._release()
        self._requests.leave(self)

    async def _gather(self) -> None:
        await asyncio.sleep(_GATHER_S)
        self._gathering = None
        await self._flush([])

    async def _flush(self, statements: list[Statement], *, over: bool = False) -> None:
        async with self._writing:
            if self._over:
                return
            taken, n = len(self._pieces), self._n
            raw = b"".join(self._pieces)
            for at in range(0, len(raw), _PIECE_BYTES_MAX):
                piece = raw[at : at + _PIECE_BYTES_MAX]
                sealed = await self._states.seal(piece, self._place(self._request_id, n))
                statements.append((_PIECE, self.row | {"n": n, "sealed": sealed}))
                n += 1
            if over:
                state = "ended" if self._keeps else "not_kept"
                statements.append((_END, self.row | {"state": state}))
            if await self._write(statements):
                del self._pieces[:taken]
                self._n, self._over = n, over

    async def _release(self) -> None:
        if self._over:
            return
        self._over = True
        await self._write([(_RELEASE, self.row), (_RELEASE_PIECES, self.row)])

    async def _write(self, statements: Sequence[Statement]) -> bool:
        try:
            # Whoever waits may be cut; what is written must not be.
            await asyncio.shield(asyncio.ensure_future(self._states.run(statements)))
        except (DatabaseAway, DatabaseRefused) as error:
            log.warning("request %s is not kept: %s", id_text(self._request_id), error)
            return False
        return True

    async def _seal_head(self, head: Head, stream: bool) -> str:
        # What was left of the key's limits then is not what is left when it is told again.
        content = msgspec.json.encode(_Kept(head._replace(headroom={}), stream))
        return await self._states.seal(content, self._head_place(self._request_id))

    def _head_place(self, request_id: UUID) -> str:
        return f"gateway_idempotentanswer|{self._organisation}/{self._id}/{request_id}|head"

    def _place(self, request_id: UUID, n: int) -> str:
        return f"gateway_answerpiece|{self._organisation}/{request_id}/{n}|sealed"


class _Lost(Exception):
    """The process that ran the request has died before its end."""


def _key_use(row: Sequence[str | None]) -> _KeyUse:
    request_id, same_body, state, head, alive = row
    return _KeyUse(UUID(request_id), same_body == "t", state or "", head, alive == "t")


# An answer that never began was not paid, but where it may not be kept, or the database was away
# when it was: what is paid, or will be by its mark, is not run again.
_CLAIM = """
    INSERT INTO gateway_idempotentanswer AS a
        (organisation_id, id, body_digest, request_id, state, alive_until, expires_at)
    VALUES (%(organisation)s::uuid, %(id)s::uuid, %(digest)s::bytea, %(request)s::uuid, 'running',
            now() + make_interval(secs => %(lease)s::int),
            now() + make_interval(hours => %(hours)s::int))
    ON CONFLICT (organisation_id, id) DO UPDATE
    SET body_digest = excluded.body_digest, request_id = excluded.request_id,
        state = excluded.state, head = NULL, alive_until = excluded.alive_until,
        expires_at = excluded.expires_at
    WHERE a.expires_at <= now() OR (
        a.state = 'running' AND a.head IS NULL AND a.alive_until <= now()
        AND a.body_digest = excluded.body_digest
        AND NOT EXISTS (
            SELECT 1 FROM usage_usagerecord r
            WHERE r.organisation_id = a.organisation_id AND r.request_id = a.request_id
              AND r.charge_nano > 0)
        AND NOT EXISTS (
            SELECT 1 FROM usage_attempt t JOIN billing_hold h ON h.id = t.id
            WHERE t.organisation_id = a.organisation_id AND t.request_id = a.request_id
              AND h.state = 'open' AND h.mark IS NOT NULL))
    RETURNING 1"""
_LOOK = """
    SELECT request_id, body_digest = %(digest)s::bytea, state, head, alive_until > now()
    FROM gateway_idempotentanswer
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid"""
_STATE = """
    SELECT state, alive_until > now() FROM gateway_idempotentanswer
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""
_RENEW = """
    UPDATE gateway_idempotentanswer
    SET alive_until = now() + make_interval(secs => %(lease)s::int)
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
# As if its process had died before the answer began.
_RELEASE = """
    UPDATE gateway_idempotentanswer SET head = NULL, alive_until = now()
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid
      AND request_id = %(request)s::uuid"""
_RELEASE_PIECES = """
    DELETE FROM gateway_answerpiece
    WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid"""
_PIECE = """
    INSERT INTO gateway_answerpiece (organisation_id, request_id, n, sealed, expires_at)
    VALUES (%(organisation)s::uuid, %(request)s::uuid, %(n)s::int, %(sealed)s::bytea,
            now() + make_interval(hours => %(hours)s::int))
    ON CONFLICT (organisation_id, request_id, n) DO NOTHING"""
_PIECES = """
    SELECT sealed FROM gateway_answerpiece
    WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid
      AND n >= %(n)s::int
    ORDER BY n LIMIT %(limit)s::int"""
