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
"""The client of what a person asks on a page; the session says from where."""

_ADDRESS_MAX: Final = 45


LastUse = tuple[UUID, bytes, float, str, str]
"""The key, the digest of the secret (empty where the key was used without one), when by the
monotonic clock, the address, and the User-Agent. A plain tuple: each request makes one."""


class LastUses:
    """The unwritten uses of one process. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, LastUse] = {}

    def note(self, key_id: UUID, digest: bytes, address: str, client: str) -> None:
        """The secret was used just now."""
        self._waiting[digest or key_id.bytes] = (key_id, digest, monotonic(), address, client)

    def take(self) -> list[LastUse]:
        """Take the uses to write now."""
        taken, self._waiting = self._waiting, {}
        return list(taken.values())

    def put_back(self, uses: Sequence[LastUse]) -> None:
        """These could not be written."""
        for use in uses:
            key_id, digest, *_ = use
            self._waiting.setdefault(digest or key_id.bytes, use)


LAST_USES: Final = LastUses()
"""Of this process: the relay notes what calls models, the management API the rest."""


def write_last_uses(uses: Sequence[LastUse]) -> Statement:
    """Write uses; of a secret that was used later elsewhere, the later one stays."""
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


# In the order of the digests: two processes that write the same ones wait for each other, and are
# never locked for good.
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
