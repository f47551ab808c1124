"""Conditions on the rows of this room, for statements that the ORM does not write."""

from typing import Final

from accounts.rules import roles

_ROLES: Final = ",".join(roles.KEY_ROLES)


def person_stands(user: str, organisation: str) -> str:
    """Whether a key may be used for whom it belongs to, as an expression over two columns: nobody,
    or a person who is active and has, in that organisation, a role that has keys (P11).

    At most one row, found by two unique indices: EXISTS might be hashed, which reads both tables.
    """
    return f"""({user} IS NULL OR coalesce((
        SELECT person.is_active AND belongs.role = ANY ('{{{_ROLES}}}')
        FROM accounts_user person JOIN accounts_membership belongs ON belongs.user_id = person.id
        WHERE person.id = {user} AND belongs.organisation_id = {organisation}), false))"""  # noqa: S608 - columns, not values
