"""Conditions on the rows of this room, for statements that the ORM does not write."""

from typing import Final

from accounts.roles import rules as roles

_ROLES: Final = ",".join(roles.KEY_ROLES)


def holder_stands(key: str, user: str) -> str:
    """Whether the key in the row `key` may be used for whom it belongs to, the person of the column
    `user` or nobody, as an expression (P11).

    Its organisation is neither suspended nor archived, nor is its team archived; its service
    account is not disabled; its person is active, belongs to that team, and has a role that has
    keys. The playground's key is every team's, and of those whose role uses the playground.

    Each part reads at most one row by a unique index: EXISTS might be hashed, which reads tables.
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
