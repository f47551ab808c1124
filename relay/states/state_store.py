"""Data that outlives a request: stored responses, the seals of tool calls, idempotent answers.

It is content: it is sealed for its row and its organisation, stored for at most 24 hours, and not
stored at all if the organisation retains nothing (docs/promises.md, "Protocol state"). A row's id
is derived from the name of its content; the name itself is never stored.

    run    run the statements of one request in one transaction; statements that arrive during a
           commit join the next transaction
    put    store states; without the database the state is lost, the answer is not
    find   find states by name
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping, Sequence
from contextvars import Context
from hashlib import sha256
from typing import Final, Literal, NamedTuple
from uuid import UUID

from accounts.limits.data_policy import RETENTION_HOURS_MAX
from dialects.json.body import Body
from lib.vault import Vault, VaultError
from relay.credentials.keys import Principal
from relay.database.database import PipelinedConnection, Row, Statement, bytes_of, hex_of
from relay.errors import DatabaseFailed, DatabaseRefused

log = logging.getLogger(__name__)

StateKind = Literal["response", "interaction", "item", "seal"]

_BATCH_MAX: Final = 64
# The largest state that is stored.
_STATE_BYTES_MAX: Final = 32 * 1024 * 1024
# Above this size, data is sealed in another thread.
_SEAL_HERE_MAX: Final = 256 * 1024
_TABLE: Final = "gateway_keptstate"

_Rows = list[list[Row]]


class State(NamedTuple):
    """A state to store: a response, one of its items or an interaction under its id, or seals under
    the id of their tool call.
    """

    kind: StateKind
    name: str
    content: bytes


def state_id(kind: str, owner: UUID, name: str) -> UUID:
    """Return the id of a state's row. `owner` is the API key, so no key finds the states of another
    (P12), or what shares the state: a team."""
    digest = sha256(f"{kind}|{owner}|{name}".encode(errors="surrogatepass")).digest()
    return UUID(bytes=digest[:16])


def may_keep(principal: Principal, body: Body) -> bool:
    """Return whether the content of a request's answer may be stored."""
    return principal.retention_hours > 0 and body.value("store") != b"false"


class StateStore:
    """Reads and writes the stored states for one process."""

    def __init__(self, connection: PipelinedConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._waiting: list[tuple[Sequence[Statement], asyncio.Future[_Rows]]] = []
        self._worker: asyncio.Task[None] | None = None

    # ---- sealing

    async def seal(self, content: bytes, place: str) -> str:
        """Seal content for one row, as a parameter of a statement."""
        if len(content) > _SEAL_HERE_MAX:
            return await asyncio.to_thread(self._seal, content, place)
        return self._seal(content, place)

    async def open(self, sealed: str | None, place: str) -> bytes:
        """Return the decrypted content of a row. Raises VaultError."""
        if len(sealed or "") > 2 * _SEAL_HERE_MAX:
            return await asyncio.to_thread(self._open, sealed, place)
        return self._open(sealed, place)

    def _seal(self, content: bytes, place: str) -> str:
        return hex_of(self._vault.seal_bytes(content, place))

    def _open(self, sealed: str | None, place: str) -> bytes:
        return self._vault.open_bytes(bytes_of(sealed), place)

    # ---- rows

    async def run(self, statements: Sequence[Statement]) -> _Rows:
        """Run the statements of one request and return the rows of each. Cancelling the caller does
        not roll them back. Raises DatabaseFailed.
        """
        future: asyncio.Future[_Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append((statements, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), context=Context())
        return await future

    async def join(self) -> None:
        """Wait until all writes have finished or failed."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def put(self, principal: Principal, states: Collection[State]) -> None:
        """Store states for the principal's key, if its organisation permits."""
        hours = min(principal.retention_hours, RETENTION_HOURS_MAX)
        kept = [state for state in states if len(state.content) <= _STATE_BYTES_MAX]
        if not hours or not kept:
            return
        statements: list[Statement] = []
        for state in kept:
            id_ = state_id(state.kind, principal.key_id, state.name)
            parameters: Mapping[str, object] = {
                "organisation": principal.organisation_id,
                "id": id_,
                "user": principal.user_id or "",
                "sealed": await self.seal(
                    state.content, _seal_context(principal.organisation_id, id_)
                ),
                "hours": hours,
            }
            statements.append((_PUT, parameters))
        try:
            await self.run(statements)
        except DatabaseFailed as error:
            log.warning("the state of a request is not kept: %s", error)

    async def find(
        self, principal: Principal, kind: StateKind, names: Sequence[str]
    ) -> dict[str, bytes]:
        """Return the states of the principal's key with these names. Raises DatabaseFailed."""
        ids = {state_id(kind, principal.key_id, name): name for name in names}
        if not ids:
            return {}
        parameters = {
            "organisation": principal.organisation_id,
            "ids": "{" + ",".join(map(str, ids)) + "}",
        }
        (rows,) = await self.run([(_FIND, parameters)])
        contents: dict[str, bytes] = {}
        for text, sealed in rows:
            id_ = UUID(text)
            # A state that was sealed with another KEK cannot be read any more.
            with contextlib.suppress(VaultError):
                place = _seal_context(principal.organisation_id, id_)
                contents[ids[id_]] = await self.open(sealed, place)
        return contents

    async def drop(self, principal: Principal, kind: StateKind, name: str) -> None:
        """Delete a state. Raises DatabaseFailed."""
        id_ = state_id(kind, principal.key_id, name)
        parameters = {"organisation": principal.organisation_id, "id": id_}
        await self.run([(_DROP, parameters)])

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
            try:
                await self._exchange(batch)
            except DatabaseFailed as error:
                if len(batch) > 1 and isinstance(error, DatabaseRefused):
                    # A row that the database cannot store must not affect other requests.
                    for waiting in batch:
                        await self._alone(waiting)
                    continue
                _fail(batch, error)
        self._worker = None

    async def _alone(self, waiting: tuple[Sequence[Statement], "asyncio.Future[_Rows]"]) -> None:
        try:
            await self._exchange([waiting])
        except DatabaseFailed as error:
            _fail([waiting], error)

    async def _exchange(
        self, batch: Sequence[tuple[Sequence[Statement], "asyncio.Future[_Rows]"]]
    ) -> None:
        rows = await self._connection.run(
            [statement for statements, _ in batch for statement in statements]
        )
        at = 0
        for statements, future in batch:
            if not future.done():
                future.set_result(rows[at : at + len(statements)])
            at += len(statements)


def _fail(
    batch: Sequence[tuple[Sequence[Statement], "asyncio.Future[_Rows]"]], error: Exception
) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


def _seal_context(organisation: UUID, id_: UUID) -> str:
    return f"{_TABLE}|{organisation}/{id_}|sealed"


_PUT = """
    INSERT INTO gateway_keptstate (organisation_id, id, user_id, sealed, expires_at)
    VALUES (%(organisation)s::uuid, %(id)s::uuid, nullif(%(user)s, '')::bigint, %(sealed)s::bytea,
            now() + make_interval(hours => %(hours)s::int))
    ON CONFLICT (organisation_id, id) DO UPDATE
    SET user_id = excluded.user_id, sealed = excluded.sealed, expires_at = excluded.expires_at"""
_FIND = """
    SELECT id, sealed FROM gateway_keptstate
    WHERE organisation_id = %(organisation)s::uuid AND id = ANY(%(ids)s::uuid[])
      AND expires_at > now()"""
_DROP = """
    DELETE FROM gateway_keptstate
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid"""
