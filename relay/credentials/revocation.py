"""What runs under a key that ends is ended, too (P11).

A request is let in by what its key may do then. While it runs its key may be revoked, disabled or
rotated, its person be switched off or removed: all that runs is looked at again, in one statement,
at each change that relays hear of. A time that was set before needs no change to pass.

Whoever asked hears the end at once. What the provider goes on with is read on for its usage, where
that can be had (`Attempt.revoke`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from accounts.keys.sql import holder_is_active
from lib.ids import id_array
from relay.credentials.keys import Principal
from relay.ledger.database import Row, Statement


class Revocable(Protocol):
    """A request that can be ended because its key has ended."""

    def revoke(self) -> None: ...


class Running:
    """The requests of one process that were let in, by who asked."""

    def __init__(self, ask: Callable[[Statement], Awaitable[Sequence[Row]]]) -> None:
        self._ask = ask
        self._principals: dict[Revocable, Principal] = {}

    def enter(self, run: Revocable, principal: Principal) -> None:
        """A request begins; `leave` is called at its end, whatever happens."""
        self._principals[run] = principal

    def leave(self, run: Revocable) -> None:
        del self._principals[run]

    def end_expired(self, now: float) -> None:
        """End what runs under keys, or former secrets of keys, whose time is over."""
        for run, principal in list(self._principals.items()):
            if principal.expires_at is not None and principal.expires_at <= now:
                run.revoke()

    async def end_revoked(self) -> None:
        """End what would not be let in any more. Raises DatabaseFailed."""
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
    """One row for each that may not ask any more: its place."""
    keys, users, digests = zip(*callers, strict=True)
    return _FALLEN, {
        "keys": id_array(keys),
        "users": "{" + ",".join("NULL" if user is None else str(user) for user in users) + "}",
        "digests": "{" + ",".join(f'"{digest.hex()}"' for digest in digests) + "}",
    }


# The playground's key has no text, and stands for whoever is signed in.
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
