"""Key text -> principal: one resolver for every carrier, with one verdict.

What a key's row says is remembered by the key's full digest until the epoch changes; whether it is
still valid is decided once more, by the database, in the admission.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

from accounts.rules import key_format
from gateway.codecs.errors import RequestFault
from gateway.relay.database import Row
from gateway.rules.routing import matches

Statement = tuple[str, Mapping[str, object]]

# A key that is unknown is remembered too, so that spraying does not become database load.
_REMEMBERED_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling. `expires_at` is in Unix seconds; `model_patterns` () = every model; `plan_id`
    is the organisation's plan, if it has one; `retention_hours` is how long its answers are kept
    for later requests, 0 = not at all."""

    key_id: UUID
    organisation_id: UUID
    team_id: UUID
    user_id: int | None
    kind: str
    model_patterns: tuple[str, ...]
    expires_at: float | None
    disabled: bool
    plan_id: int | None = None
    retention_hours: int = 24

    def may_use(self, model: str) -> bool:
        """Whether the key's own list lets it ask for a model."""
        patterns = self.model_patterns
        return not patterns or any(matches(pattern, model) for pattern in patterns)


class Credentials(NamedTuple):
    """What a request carries: the text of its key, or why there is none to look up."""

    key: str | None
    conflict: bool


def read_credentials(headers: Iterable[tuple[bytes, bytes]], query: bytes = b"") -> Credentials:
    """The key of a request from `Authorization`, `x-api-key`, `x-goog-api-key`, and `?key=` when a
    query is given (only some endpoints take it there). The same key twice is one key."""
    found: set[str] = set()
    broken = False
    for name, value in headers:
        if name == b"authorization":
            text = _bearer(value)
            broken = broken or text is None
            found.add(text or "")
        elif name in (b"x-api-key", b"x-goog-api-key"):
            found.add(value.decode("latin-1").strip())
    if query:
        found.update(value for name, value in parse_qsl(query.decode("latin-1")) if name == "key")
    found.discard("")
    if len(found) > 1:
        return Credentials(None, True)
    return Credentials(None if broken else next(iter(found), None), False)


def _bearer(value: bytes) -> str | None:
    """The key of an Authorization header; None for a scheme that is not ours."""
    text = value.decode("latin-1").strip()
    scheme, _, rest = text.partition(" ")
    if rest:
        return rest.strip() if scheme.lower() == "bearer" else None
    return text if text.lower() != "bearer" else ""


class Authenticator:
    """Finds principals, asking the database once per key and epoch however many requests wait."""

    def __init__(self, pepper: str, ask: Callable[[Statement], Awaitable[Sequence[Row]]]) -> None:
        self._pepper = pepper
        self._ask = ask
        self._known: dict[bytes, Principal | None] = {}
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}

    def forget(self) -> None:
        """Drop everything that was remembered: something changed."""
        self._known = {}
        self._asking = {}

    async def principal(self, credentials: Credentials, now: float) -> Principal:
        """The principal of a request. Raises RequestFault `key_conflict` or `authentication`, and
        DatabaseAway when it cannot be told."""
        if credentials.conflict:
            raise RequestFault("key_conflict", None, "")
        if credentials.key is None:
            raise RequestFault("authentication", None, "")
        digest = key_format.digest(self._pepper, credentials.key)
        principal = self._known.get(digest)
        if principal is None and digest not in self._known:
            form = key_format.check(credentials.key)
            if form in (key_format.KeyForm.OWN_BROKEN, key_format.KeyForm.IMPOSSIBLE):
                raise RequestFault("authentication", None, "")
            principal = await self._look_up(digest)
        if principal is None or not _valid(principal, now):
            raise RequestFault("authentication", None, "")
        return principal

    async def principal_of_key(self, key_id: UUID, now: float) -> Principal:
        """The principal of a key that has no text, such as the playground's.

        Raises RequestFault `authentication` when there is no such valid key, DatabaseAway.
        """
        rows = await self._ask((_BY_ID, {"id": key_id}))
        principal = _principal(rows[0]) if rows else None
        if principal is None or not _valid(principal, now):
            raise RequestFault("authentication", None, "")
        return principal

    async def _look_up(self, digest: bytes) -> Principal | None:
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._load(digest))
        # A client that leaves must not take the look-up from the others who wait for it.
        return await asyncio.shield(task)

    async def _load(self, digest: bytes) -> Principal | None:
        known, asking = self._known, self._asking
        try:
            rows = await self._ask((_BY_DIGEST, {"digest": "\\x" + digest.hex()}))
            principal = _principal(rows[0]) if rows else None
            # After a change meanwhile these are the dictionaries that nobody looks at any more.
            if len(known) >= _REMEMBERED_MAX:
                known.clear()
            known[digest] = principal
            return principal
        finally:
            asking.pop(digest, None)


def _valid(principal: Principal, now: float) -> bool:
    return not principal.disabled and (principal.expires_at is None or now < principal.expires_at)


def _principal(row: Row) -> Principal:
    key_id, organisation, team, user, kind, patterns, expires, disabled, plan, hours = row
    return Principal(
        key_id=UUID(key_id),
        organisation_id=UUID(organisation),
        team_id=UUID(team),
        user_id=None if user is None else int(user),
        kind=kind or "",
        model_patterns=tuple((patterns or "").split("\n")) if patterns else (),
        expires_at=None if expires is None else float(expires),
        disabled=disabled == "t",
        plan_id=None if plan is None else int(plan),
        retention_hours=int(hours or 0),
    )


_COLUMNS = """
    SELECT id, organisation_id, team_id, user_id, kind, array_to_string(model_patterns, E'\\n'),
           extract(epoch FROM expires_at), disabled OR revoked_at IS NOT NULL,
           (SELECT plan_id FROM billing_organisationplan plan
            WHERE plan.organisation_id = accounts_key.organisation_id),
           (SELECT retention_hours FROM accounts_organisation o WHERE o.id = organisation_id)
    FROM accounts_key"""
_BY_DIGEST = _COLUMNS + " WHERE digest = %(digest)s::bytea"
_BY_ID = _COLUMNS + " WHERE id = %(id)s::uuid"
