"""Requests end when their key or their session ends (P11).

A request is admitted by the rights of its key at that time. While it runs, its key may be revoked,
disabled or rotated, its person deactivated or removed, and its session ended. At each change, one
statement checks all running requests again, and reads when their keys and former secrets expire:
expiry needs no further change, it is checked by time.

The caller is told at once. The usage of a request that its provider continues is still read, where
possible (`Attempt.revoke`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from accounts.keys.sql import holder_is_active
from lib.database.row_arrays import optional_id_array
from lib.ids import id_array
from relay.credentials.keys import Principal
from relay.database.database import Row, Statement

EndReason = Literal["revoked", "session_ended"]
"""Why a running request loses its permission: its key has ended, or its session."""


class Revocable(Protocol):
    """A request that can be ended when its key or session ends."""

    @property
    def session_id(self) -> UUID | None: ...
    def revoke(self, reason: EndReason = "revoked") -> None: ...


class Running:
    """The running requests of one process, by caller."""

    def __init__(self, ask: Callable[[Statement], Awaitable[Sequence[Row]]]) -> None:
        self._ask = ask
        self._principals: dict[Revocable, Principal] = {}
        # When the requests that expire do so, in Unix seconds, as far as is known. `_own_ends` are
        # the ends of requests that may not run as long as their key.
        self._ends: dict[Revocable, float] = {}
        self._own_ends: dict[Revocable, float] = {}

    def enter(self, run: Revocable, principal: Principal, ends_at: float | None = None) -> None:
        """Register a request, with the end of its permission if it ends before its key. `leave` is
        called at its end, in every case.
        """
        self._principals[run] = principal
        if ends_at is not None:
            self._own_ends[run] = ends_at
        if ends_at is not None or principal.expires_at is not None:
            self._expect(run, principal.expires_at)

    def _expect(self, run: Revocable, key_ends_at: float | None) -> None:
        own_end = self._own_ends.get(run)
        ends_at = own_end if key_ends_at is None else key_ends_at
        if ends_at is None:
            self._ends.pop(run, None)
        else:
            self._ends[run] = ends_at if own_end is None else min(ends_at, own_end)

    def leave(self, run: Revocable) -> None:
        del self._principals[run]
        self._ends.pop(run, None)
        self._own_ends.pop(run, None)

    def end_expired(self, now: float) -> None:
        """End the requests of keys, or of rotated secrets, that have expired."""
        for run, ends_at in list(self._ends.items()):
            if ends_at <= now:
                run.revoke()

    async def end_revoked(self) -> None:
        """End the requests that would no longer be admitted, and record when the others expire.
        Raises DatabaseFailed."""
        callers = list({_caller(run, principal) for run, principal in self._principals.items()})
        if not callers:
            return
        rows = await self._ask(_check_callers(callers))
        states = dict.fromkeys(callers, _State(False, False, None))
        for place, *columns in rows:
            states[callers[int(place or 0) - 1]] = _read_state(*columns)
        for run, principal in list(self._principals.items()):
            state = states.get(_caller(run, principal))
            if state is None:
                # The request began after the query, by the rights that hold now.
                continue
            self._expect(run, state.ends_at)
            if state.key_ended or state.session_ended:
                run.revoke("revoked" if state.key_ended else "session_ended")


class _State(NamedTuple):
    """Whether a caller's key or session has ended, and when the key expires (Unix seconds)."""

    key_ended: bool
    session_ended: bool
    ends_at: float | None


def _read_state(key_ended: str | None, session_ended: str | None, ends_at: str | None) -> _State:
    return _State(
        key_ended == "t", session_ended == "t", None if ends_at is None else float(ends_at)
    )


_Caller = tuple[UUID, int | None, bytes, UUID | None]


def _caller(run: Revocable, principal: Principal) -> _Caller:
    return principal.key_id, principal.user_id, principal.digest, run.session_id


def _check_callers(callers: Sequence[_Caller]) -> Statement:
    """Return a statement with one row for each caller that has ended or will: its position, whether
    its key has ended, whether its session has, and when its key or former secret expires."""
    keys, users, digests, sessions = zip(*callers, strict=True)
    return _STATES, {
        "keys": id_array(keys),
        "users": "{" + ",".join("NULL" if user is None else str(user) for user in users) + "}",
        "digests": "{" + ",".join(f'"{digest.hex()}"' for digest in digests) + "}",
        "sessions": optional_id_array(sessions),
    }


# The playground's key has no text; it stands for the person who is signed in.
_STATES = f"""
    SELECT place, key_ended, session_ended, extract(epoch FROM ends_at) FROM (
        SELECT caller.place,
               NOT coalesce(
                   NOT key.disabled AND key.revoked_at IS NULL
                   AND (key.expires_at IS NULL OR key.expires_at > now())
                   AND (caller.digest = '' OR key.digest = decode(caller.digest, 'hex')
                        OR former.until > now())
                   AND {holder_is_active("key", "caller.user_id")}, false) AS key_ended,
               EXISTS (SELECT FROM billing_endedsession ended
                       WHERE ended.session_id = caller.session_id) AS session_ended,
               least(key.expires_at, former.until) AS ends_at
        FROM unnest(
            %(keys)s::uuid[], %(users)s::bigint[], %(digests)s::text[], %(sessions)s::uuid[]
        ) WITH ORDINALITY AS caller (key_id, user_id, digest, session_id, place)
        LEFT JOIN accounts_key key ON key.id = caller.key_id
        LEFT JOIN accounts_formersecret former
            ON former.key_id = key.id AND former.digest = decode(caller.digest, 'hex')
    ) checked
    WHERE key_ended OR session_ended OR ends_at IS NOT NULL
"""  # noqa: S608 - only constants are put in
