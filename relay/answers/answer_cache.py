"""The cache of answers: an answer is stored under its request, byte for byte, and served again to
identical requests of the same key or team (docs/guides/answer-cache.md).

Stored and served are only complete answers of chats whose request and answer are all that a
provider knows of them: nothing that a provider or this hub stores is part of them. An entry is
sealed for its row. The database's clock decides how old it is.
"""

import logging
import re
from collections.abc import Awaitable, Iterable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from accounts.limits.answer_cache import CacheRule
from dialects.json.body import read_body
from dialects.json.not_json import NOT_JSON
from lib.ids import id_text
from lib.vault import VaultError
from relay.context.context import RequestContext
from relay.database.database import Statement, hex_of
from relay.downstream.downstream import ErrorAnswer, Head, Sink
from relay.errors import DatabaseFailed
from relay.requests.outcome import Outcome
from relay.states.state_store import StateStore, state_id

log = logging.getLogger(__name__)

OPERATIONS: Final = frozenset({
    "chat_completions", "responses", "messages", "generate_content", "stream_generate_content",
    "converse", "converse_stream",
})  # fmt: skip
"""The operations whose answers are stored."""
ANSWER_BYTES_MAX: Final = 1024 * 1024
"""The largest answer that is stored."""
ENTRIES_MAX: Final = 10_000
BYTES_MAX: Final = 256 * 1024 * 1024
"""How many answers, and how many bytes, are stored of one organisation."""

_KEPT_BASES: Final = frozenset({"measured", "free"})
# Members that refer to what a provider or this hub stores, or to a server that does.
_STORED_ELSEWHERE: Final = re.compile(
    rb'"(?:file_ids?|file_?uri|cached_?content|container(?:_id)?|vector_store_ids'
    rb"|previous_response_id|conversation|skill_id"
    rb'|mcp_servers|server_url|connector_id|tunnel_id)"\s*:|"item_reference"',
    re.IGNORECASE,
)
# Headers of vendors, which may change an answer, and those of them that are keys.
_VENDORS: Final = (b"anthropic-", b"openai-", b"x-goog-", b"x-amzn-bedrock-")
_KEYS: Final = frozenset({b"x-goog-api-key"})
_CACHE_CONTROL: Final = b"cache-control"
_NEVER: Final = -1


class CacheControl(NamedTuple):
    """What a client's `Cache-Control` says (RFC 9111): the greatest age of an answer in seconds,
    None for any; whether its own may be stored."""

    age_max: int | None = None
    stores: bool = True


class StoredAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer with what a later request needs of the one that it answered. `digest` is that of
    the request, `flags` say what guards did."""

    digest: bytes
    request_id: str
    charge_nano: int
    finish_reason: str
    content_type: str
    stream: bool
    dropped: tuple[str, ...]
    flags: tuple[str, ...]
    raw: bytes


class Hit(NamedTuple):
    """A stored answer, how old it is, and how long it will be served yet, in seconds."""

    answer: StoredAnswer
    age_s: int
    left_s: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredAnswer).decode


def read_cache_control(headers: Iterable[tuple[bytes, bytes]]) -> CacheControl:
    """Read the client's `Cache-Control`. What it does not know, it ignores, as RFC 9111 says."""
    age_max: int | None = None
    stores = True
    for name, value in headers:
        if name != _CACHE_CONTROL:
            continue
        for directive in value.decode("latin-1").lower().split(","):
            word, _, argument = (part.strip() for part in directive.partition("="))
            if word == "no-store":
                age_max, stores = _NEVER, False
            elif word == "no-cache":
                age_max = _NEVER
            elif word == "max-age" and (seconds := argument.strip('"')).isdecimal():
                limit = int(seconds[:9])
                age_max = limit if age_max is None else min(age_max, limit)
    return CacheControl(age_max, stores)


def is_cacheable(context: RequestContext, raw: bytes) -> bool:
    """Return whether the answer to a request depends on its bytes alone, and may be stored."""
    if context.invocation.operation not in OPERATIONS or context.options.include_cost:
        return False
    if context.source != "api" or not context.principal.retention_hours or context.response_id:
        return False
    if _STORED_ELSEWHERE.search(raw):
        return False
    body = read_body(raw)
    stored = body.value("store")
    if stored is not None and stored != b"false":
        return False
    if context.invocation.operation == "responses" and stored is None:
        return False
    # A stored prompt is an object; that of a completion is a text.
    return not (body.value("prompt") or b"").startswith(b"{") and body.value("background") is None


def digest_of(context: RequestContext, path: str, model: str, headers: Any, raw: bytes) -> bytes:
    """Return the digest of everything that an answer may depend on. `headers` are those of the
    request that may change it."""
    invocation, principal = context.invocation, context.principal
    words = msgspec.json.encode(
        [
            invocation.operation,
            msgspec.structs.astuple(invocation.target),
            path,
            model,
            headers,
            principal.data_policy,
            context.options.data_policy,
            principal.guard_rules,
        ]
    )
    return sha256(sha256(words).digest() + raw).digest()


def headers_of(
    lines: Sequence[tuple[bytes, bytes]], forwarded: frozenset[bytes]
) -> list[tuple[str, str]]:
    """Return the headers that may change an answer: those of vendors, and those that channels
    forward."""
    return sorted(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in lines
        if (name in forwarded or name.startswith(_VENDORS)) and name not in _KEYS
    )


class AnswerCache:
    """The entries of one rule."""

    def __init__(self, states: StateStore, context: RequestContext, rule: CacheRule) -> None:
        self._states = states
        self._principal = context.principal
        self._request_id = context.request_id
        self._rule = rule

    async def find(self, digest: bytes) -> Hit | None:
        """Return the stored answer to a request; None without one, and if none can be read."""
        row = self._row(digest)
        try:
            (rows,) = await self._states.run([(_FIND, row)])
            if not rows:
                return None
            sealed, age, left = rows[0]
            answer = _decode(await self._states.open(sealed, self._place(row["id"])))
        except (DatabaseFailed, VaultError, *NOT_JSON) as error:
            log.warning("a stored answer cannot be read: %s", error)
            return None
        if answer.digest != digest:
            return None
        return Hit(answer, int(age or 0), int(left or 0))

    async def store(self, answer: StoredAnswer) -> None:
        """Store an answer in place of an older one, if there is room."""
        try:
            await self._states.run([await self.storing(answer)])
        except DatabaseFailed as error:
            log.warning(
                "the answer of request %s is not cached: %s", id_text(self._request_id), error
            )

    async def storing(self, answer: StoredAnswer) -> Statement:
        """Return the statement that stores an answer."""
        row = self._row(answer.digest)
        content = _encode(answer)
        sealed = await self._states.seal(content, self._place(row["id"]))
        row |= {
            "user": self._principal.user_id or "",
            "size": len(content),
            "sealed": sealed,
            "entries_max": ENTRIES_MAX,
            "bytes_max": BYTES_MAX,
        }
        return _PUT, row

    def _row(self, digest: bytes) -> dict[str, Any]:
        return {
            "organisation": self._principal.organisation_id,
            "id": state_id("cached", self._rule.owner, hex_of(digest)),
            "seconds": self._rule.seconds,
        }

    def _place(self, id: object) -> str:
        return f"gateway_cachedanswer|{self._principal.organisation_id}/{id}|sealed"


class AnswerCopy:
    """Passes an answer to its client, and keeps a copy while it is complete and not too large."""

    def __init__(self, client: Sink) -> None:
        self._client = client
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: Head | None = None
        self._stream = self._complete = self._spoilt = False

    def stored(
        self, digest: bytes, outcome: Outcome, flags: tuple[str, ...]
    ) -> StoredAnswer | None:
        """Return the answer to store; None if it is not complete, or did not succeed."""
        head = self._head
        if head is None or not self._complete or self._spoilt or head.output_cap is not None:
            return None
        if outcome.status != 200 or outcome.kind is not None or outcome.basis not in _KEPT_BASES:
            return None
        return StoredAnswer(
            digest=digest,
            request_id=id_text(outcome.request_id),
            charge_nano=outcome.charge_nano,
            finish_reason=outcome.finish_reason,
            content_type=head.content_type,
            stream=self._stream,
            dropped=tuple(head.dropped),
            flags=flags,
            raw=b"".join(self._pieces),
        )

    def _keep(self, raw: bytes) -> None:
        self._size += len(raw)
        if self._size > ANSWER_BYTES_MAX:
            self._spoilt = True
            self._pieces.clear()
        elif not self._spoilt:
            self._pieces.append(raw)

    # ---- Sink

    async def refuse(self, error: ErrorAnswer) -> None:
        self._spoilt = True
        await self._client.refuse(error)

    async def answer(self, head: Head, raw: bytes) -> None:
        self._head, self._complete = head, True
        self._keep(raw)
        await self._client.answer(head, raw)

    async def begin(self, head: Head) -> None:
        self._head, self._stream = head, True
        await self._client.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        self._keep(raw)
        self._complete = last
        await self._client.write(raw, last=last)

    async def cut(self) -> None:
        self._spoilt = True
        await self._client.cut()

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        self._keep(raw)
        return self._client.write_now(raw)


# An answer is served no longer than the rule says now, whatever it said when it was stored.
_FIND = """
    SELECT sealed, extract(epoch FROM now() - stored_at)::int,
           least(extract(epoch FROM expires_at - now()),
                 %(seconds)s::int - extract(epoch FROM now() - stored_at))::int
    FROM gateway_cachedanswer
    WHERE organisation_id = %(organisation)s::uuid AND id = %(id)s::uuid AND expires_at > now()
      AND stored_at > now() - make_interval(secs => %(seconds)s::int)"""
_PUT = """
    INSERT INTO gateway_cachedanswer AS kept
        (organisation_id, id, user_id, size, sealed, stored_at, expires_at)
    SELECT %(organisation)s::uuid, %(id)s::uuid, nullif(%(user)s, '')::bigint, %(size)s::int,
           %(sealed)s::bytea, now(), now() + make_interval(secs => %(seconds)s::int)
    FROM (
        SELECT count(*) AS entries, coalesce(sum(size), 0) AS bytes FROM gateway_cachedanswer
        WHERE organisation_id = %(organisation)s::uuid
    ) used
    WHERE used.entries < %(entries_max)s::int
      AND used.bytes + %(size)s::int <= %(bytes_max)s::int
    ON CONFLICT (organisation_id, id) DO UPDATE
    SET user_id = excluded.user_id, size = excluded.size, sealed = excluded.sealed,
        stored_at = excluded.stored_at, expires_at = excluded.expires_at"""
