"""SQL conditions and statements on the tables of keys, outside the ORM."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from accounts.roles import rules as roles

_ROLES: Final = ",".join(roles.KEY_ROLES)


def holder_is_active(key: str, user: str) -> str:
    """Return an SQL expression that is true if the key in the row `key` is usable. The column
    `user` holds its person, or null (P11).

    The key's organisation must not be suspended or archived, its team not archived, its service
    account not disabled. Its person must be active, belong to that team, and have a role that may
    have keys. The playground's key belongs to every team and to all whose role may use the
    playground. Each part reads at most one row by a unique index; EXISTS might be planned as a
    hash, which reads whole tables.
    """
    return f"""(coalesce((
        SELECT owner.suspended_at IS NULL AND owner.archived_at IS NULL
               AND within.archived_at IS NULL
        FROM accounts_team within JOIN accounts_organisation owner
            ON owner.id = within.organisation_id
        WHERE within.id = {key}.team_id), false)
    AND ({key}.service_account_id IS NULL OR (
        SELECT NOT account.disabled FROM accounts_serviceaccount account
        WHERE account.id = {key}.service_account_id))
    AND ({user} IS NULL OR coalesce((
        SELECT person.is_active
            AND (belongs.role = ANY ('{{{_ROLES}}}') OR coalesce((
                SELECT CASE {key}.kind WHEN 'playground' THEN 'playground.use'
                    ELSE '{roles.HAS_KEYS}' END = ANY (custom.permissions)
                FROM accounts_customrole custom WHERE custom.id = belongs.custom_role_id), false))
            AND (belongs.all_teams OR {key}.kind = 'playground' OR coalesce((
                SELECT true FROM accounts_membership_teams chosen
                WHERE chosen.membership_id = belongs.id AND chosen.team_id = {key}.team_id
                ), false))
        FROM accounts_user person JOIN accounts_membership belongs ON belongs.user_id = person.id
        WHERE person.id = {user} AND belongs.organisation_id = {key}.organisation_id), false)))"""  # noqa: S608 - columns, not values


Statement = tuple[str, Mapping[str, object]]


def count_use(key_id: UUID, token_id: UUID, uses: int, ends_at: int) -> Statement:
    """Return the statement that counts a use of an ephemeral token, which opens a limited number of
    sessions. It returns a row if the token had one left of so many. `ends_at` is the end of all its
    sessions, in Unix seconds. A row is there from the first use of a token until a later use of
    another token of its key."""
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
