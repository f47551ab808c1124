"""Requests end when their key or their session ends (P11).

A request is admitted by the rights of its key at that time. While it runs, its key may be revoked,
disabled or rotated, its person deactivated or removed, and its session ended. At each change, one
statement checks all running requests again. Expiry needs no change: it is checked by time.

The caller is told at once. The usage of a request that its provider continues is still read, where
possible (`Attempt.revoke`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from accounts.keys.sql import holder_is_active
from lib.database.row_arrays import optional_id_array
from lib.ids import id_array
from relay.credentials.keys import Principal
from relay.front.deadline import EndReason
from relay.ledger.database import Row, Statement


class Revocable(Protocol):
    """A request that can be ended when its key ends, or its session."""

    @property
    def session_id(self) -> UUID | None: ...
    def revoke(self, reason: EndReason = "revoked") -> None: ...


class Running:
    """The running requests of one process, by caller."""

    def __init__(self, ask: Callable[[Statement], Awaitable[Sequence[Row]]]) -> None:
        self._ask = ask
        self._principals: dict[Revocable, Principal] = {}

    def enter(self, run: Revocable, principal: Principal) -> None:
        """Register a request. `leave` is called at its end, in every case."""
        self._principals[run] = principal

    def leave(self, run: Revocable) -> None:
        del self._principals[run]

    def end_expired(self, now: float) -> None:
        """End the requests of keys, or of rotated secrets, that have expired."""
        for run, principal in list(self._principals.items()):
            if principal.expires_at is not None and principal.expires_at <= now:
                run.revoke()

    async def end_revoked(self) -> None:
        """End the requests that would no longer be admitted. Raises DatabaseFailed."""
        callers = list({_caller(run, principal) for run, principal in self._principals.items()})
        if not callers:
            return
        rows = await self._ask(_find_revoked(callers))
        fallen = {callers[int(place or 0) - 1]: key_ended == "t" for place, key_ended in rows}
        for run, principal in list(self._principals.items()):
            key_ended = fallen.get(_caller(run, principal))
            if key_ended is not None:
                run.revoke("revoked" if key_ended else "session_ended")


_Caller = tuple[UUID, int | None, bytes, UUID | None]


def _caller(run: Revocable, principal: Principal) -> _Caller:
    return principal.key_id, principal.user_id, principal.digest, run.session_id


def _find_revoked(callers: Sequence[_Caller]) -> Statement:
    """Return a statement with one row for each request that is no longer permitted: its position,
    and whether its key has ended, or only its session.
    """
    keys, users, digests, sessions = zip(*callers, strict=True)
    return _FALLEN, {
        "keys": id_array(keys),
        "users": "{" + ",".join("NULL" if user is None else str(user) for user in users) + "}",
        "digests": "{" + ",".join(f'"{digest.hex()}"' for digest in digests) + "}",
        "sessions": optional_id_array(sessions),
    }


# The playground's key has no text; it stands for the person who is signed in.
_FALLEN = f"""
    SELECT caller.place, key_ended
    FROM unnest(
        %(keys)s::uuid[], %(users)s::bigint[], %(digests)s::text[], %(sessions)s::uuid[]
    ) WITH ORDINALITY AS caller (key_id, user_id, digest, session_id, place),
    LATERAL (SELECT NOT coalesce((
        SELECT NOT key.disabled AND key.revoked_at IS NULL
               AND (key.expires_at IS NULL OR key.expires_at > now())
               AND (caller.digest = '' OR key.digest = decode(caller.digest, 'hex')
                    OR EXISTS (SELECT FROM accounts_formersecret former
                               WHERE former.digest = decode(caller.digest, 'hex')
                                 AND former.key_id = key.id AND former.until > now()))
               AND {holder_is_active("key", "caller.user_id")}
        FROM accounts_key key WHERE key.id = caller.key_id), false) AS key_ended) checked
    WHERE key_ended OR EXISTS (
        SELECT FROM billing_endedsession ended WHERE ended.session_id = caller.session_id)
"""  # noqa: S608 - only constants are put in
