"""The uses of ephemeral tokens, which open a limited number of sessions. A row is there from the
first use of a token until a later use of another token of its key."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

Statement = tuple[str, Mapping[str, object]]


def count_use(key_id: UUID, token_id: UUID, uses: int, ends_at: int) -> Statement:
    """Return the statement that counts a use. It returns a row if the token had one left of so
    many. `ends_at` is the end of all its sessions, in Unix seconds."""
    return _COUNT, {"token": str(token_id), "key": str(key_id), "uses": uses, "ends": ends_at}


# Those of ended tokens are skipped while another process deletes them.
_COUNT: Final = """
    WITH ended AS (
        DELETE FROM accounts_authtokenuse WHERE token_id IN (
            SELECT token_id FROM accounts_authtokenuse
            WHERE key_id = %(key)s::uuid AND ends_at < now() AND token_id <> %(token)s::uuid
            FOR UPDATE SKIP LOCKED)
    )
    INSERT INTO accounts_authtokenuse (token_id, key_id, uses, ends_at)
    VALUES (%(token)s::uuid, %(key)s::uuid, 1, to_timestamp(%(ends)s::bigint))
    ON CONFLICT (token_id) DO UPDATE SET uses = accounts_authtokenuse.uses + 1
        WHERE accounts_authtokenuse.uses < %(uses)s::int
    RETURNING uses"""
