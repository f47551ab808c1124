"""Requests end when their key ends (P11).

A request is admitted by the rights of its key at that time. While it runs, its key may be revoked,
disabled or rotated, and its person deactivated or removed. At each change, one statement checks all
running requests again. Expiry needs no change: it is checked by time.

The caller is told at once. The usage of a request that its provider continues is still read, where
possible (`Attempt.revoke`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from accounts.keys.sql import holder_is_active
from lib.ids import id_array
from relay.credentials.keys import Principal
from relay.ledger.database import Row, Statement


class Revocable(Protocol):
    """A request that can be ended when its key ends."""

    def revoke(self) -> None: ...


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
        callers = list({_caller(principal) for principal in self._principals.values()})
        if not callers:
            return
        rows = await self._ask(_find_revoked(callers))
        fallen = {callers[int(place or 0) - 1] for (place,) in rows}
        for run, principal in list(self._principals.items()):
            if _caller(principal) in fallen:
                run.revoke()


_Caller = tuple[UUID, int | None, bytes]


def _caller(principal: Principal) -> _Caller:
    return principal.key_id, principal.user_id, principal.digest


def _find_revoked(callers: Sequence[_Caller]) -> Statement:
    """Return a statement with one row, the position, for each request that is no longer
    permitted.
    """
    keys, users, digests = zip(*callers, strict=True)
    return _FALLEN, {
        "keys": id_array(keys),
        "users": "{" + ",".join("NULL" if user is None else str(user) for user in users) + "}",
        "digests": "{" + ",".join(f'"{digest.hex()}"' for digest in digests) + "}",
    }


# The playground's key has no text; it stands for the person who is signed in.
_FALLEN = f"""
    SELECT caller.place
    FROM unnest(%(keys)s::uuid[], %(users)s::bigint[], %(digests)s::text[])
        WITH ORDINALITY AS caller (key_id, user_id, digest, place)
    WHERE NOT coalesce((
        SELECT NOT key.disabled AND key.revoked_at IS NULL
               AND (key.expires_at IS NULL OR key.expires_at > now())
               AND (caller.digest = '' OR key.digest = decode(caller.digest, 'hex')
                    OR EXISTS (SELECT FROM accounts_formersecret former
                               WHERE former.digest = decode(caller.digest, 'hex')
                                 AND former.key_id = key.id AND former.until > now()))
               AND {holder_is_active("key", "caller.user_id")}
        FROM accounts_key key WHERE key.id = caller.key_id), false)
"""  # noqa: S608 - only constants are put in
