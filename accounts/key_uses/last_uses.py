"""When, from where and with which client each secret of a key was last used.

A use is noted in the memory of the process that serves it, whatever the outcome of the request.
Every few seconds one statement writes the last use of each secret, so no request waits, and no
history of addresses is stored. If a process is killed, its unwritten uses are lost.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

import msgspec

from accounts.audit.masking import mask
from accounts.sessions.devices import product_of

Statement = tuple[str, dict[str, Any]]

PLAYGROUND: Final = "playground"
"""The client recorded for requests from a page; the session has their address."""

_ADDRESS_MAX: Final = 45


LastUse = tuple[UUID, bytes, float, str, str]
"""The key, the digest of the secret ("" if the key was used without one), the monotonic time, the
address, and the User-Agent. A plain tuple, because each request creates one."""


class LastUses:
    """The unwritten uses of one process. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, LastUse] = {}

    def note(self, key_id: UUID, digest: bytes, address: str, client: str) -> None:
        """Record that the secret was used just now."""
        self._waiting[digest or key_id.bytes] = (key_id, digest, monotonic(), address, client)

    def take(self) -> list[LastUse]:
        """Return and clear the uses to write now."""
        taken, self._waiting = self._waiting, {}
        return list(taken.values())

    def put_back(self, uses: Sequence[LastUse]) -> None:
        """Add back uses that could not be written."""
        for use in uses:
            key_id, digest, *_ = use
            self._waiting.setdefault(digest or key_id.bytes, use)


LAST_USES: Final = LastUses()
"""The store of this process. The relay records model calls, the management API all others."""


def write_last_uses(uses: Sequence[LastUse]) -> Statement:
    """Return the statement that writes uses. A later use that another process wrote is kept."""
    now = monotonic()
    rows = [
        {
            "key": str(key_id),
            "digest": digest.hex(),
            "age": now - at,
            "address": address[:_ADDRESS_MAX],
            "client": mask(product_of(client)),
        }
        for key_id, digest, at, address, client in uses
    ]
    return _WRITE, {"uses": msgspec.json.encode(rows).decode()}


# In the order of the digests, so that two processes that write the same ones cannot deadlock.
_WRITE: Final = """
    INSERT INTO accounts_secretuse (digest, organisation_id, key_id, at, address, client)
    SELECT DISTINCT ON (1)
           coalesce(nullif(decode(t.digest, 'hex'), ''), key.digest), key.organisation_id, key.id,
           now() - t.age * interval '1 second', t.address, t.client
    FROM jsonb_to_recordset(%(uses)s::jsonb)
        AS t (key uuid, digest text, age float, address text, client text)
    JOIN accounts_key key ON key.id = t.key
    ORDER BY 1, t.age
    ON CONFLICT (digest) DO UPDATE
        SET at = excluded.at, address = excluded.address, client = excluded.client
        WHERE accounts_secretuse.at < excluded.at"""
