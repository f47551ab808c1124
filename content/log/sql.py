"""The statements by which the relay writes the content log."""

from collections.abc import Mapping
from typing import Final

Statement = tuple[str, Mapping[str, object]]


def find_data_key(
    organisation: object, owner: str, user: object, id: object, sealed: str
) -> list[Statement]:
    """Return the statements that create the data key of an owner who has none, and read it. The
    last one returns its id and its sealed bytes; nothing if the person has left meanwhile, as an
    erased one has."""
    row = {
        "organisation": organisation, "owner": owner, "user": user, "id": id, "sealed": sealed,
    }  # fmt: skip
    return [(_CREATE_KEY, row), (_READ_KEY, row)]


def make_partition(drop_at: str) -> Statement:
    return _MAKE_PARTITION, {"drop_at": drop_at}


def add_entry(row: Mapping[str, object]) -> Statement:
    """Return the statement that adds an entry; `row` has its columns: `sealed`, or
    `object`, `offset` and `length`, the others None; "" for no value of another."""
    return _ADD_ENTRY, row


_CREATE_KEY: Final = """
    INSERT INTO content_datakey (id, organisation_id, owner, sealed)
    SELECT %(id)s::uuid, %(organisation)s::uuid, %(owner)s, %(sealed)s::bytea
    WHERE %(user)s = '' OR EXISTS (
        SELECT FROM accounts_membership member
        WHERE member.organisation_id = %(organisation)s::uuid
          AND member.user_id = nullif(%(user)s, '')::bigint)
    ON CONFLICT (organisation_id, owner) DO NOTHING"""
_READ_KEY: Final = """
    SELECT id, sealed FROM content_datakey
    WHERE organisation_id = %(organisation)s::uuid AND owner = %(owner)s"""
_MAKE_PARTITION: Final = "SELECT content_make_partition(%(drop_at)s::timestamptz)"
_ADD_ENTRY: Final = """
    INSERT INTO content_entry (
        drop_at, request_id, created_at, expires_at, organisation_id, team_id, key_id, user_id,
        session_id, model, dialect, operation, status, data_key_id, content_bytes, sealed,
        object_id, object_offset, object_bytes
    ) VALUES (
        %(drop_at)s::timestamptz, %(request)s::uuid, %(created_at)s::timestamptz,
        %(expires_at)s::timestamptz, %(organisation)s::uuid, %(team)s::uuid, %(key)s::uuid,
        nullif(%(user)s, '')::bigint, nullif(%(session)s, '')::uuid, %(model)s, %(dialect)s,
        %(operation)s, %(status)s::smallint, %(data_key)s::uuid, %(bytes)s::int,
        %(sealed)s::bytea, %(object)s::uuid, %(offset)s::int, %(length)s::int
    ) ON CONFLICT DO NOTHING"""
