"""The final search for an erased person's addresses, in every table, including tables that are
added later. The columns with text are read from the database. Rows of organisations that the person
never belonged to are left alone; so is, for an erasure in one organisation, every other row."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from django.db import connection
from psycopg import sql

from accounts.members.pseudonym import Traces, address_pattern
from billing.seals.spans import Cursor

LEFT: Final[Mapping[str, str]] = {
    "accounts_erasure": "It says what is looked for, until it is done.",
    "accounts_user": "The last step gives the person's row its pseudonym.",
    "accounts_auditevent": "Sealed: billing/seals/rewrites.py.",
    "billing_posting": "Sealed: billing/seals/rewrites.py.",
    "billing_seal": "Digests.",
    "billing_invoice": "A document of the law, which names the organisation.",
    "billing_invoiceline": "A document of the law, which names the organisation.",
    "billing_budgetwindow": "Renamed apart: billing/limits/erased_end_users.py.",
    "billing_budget.own_amounts": "Renamed apart: billing/limits/erased_end_users.py.",
    "billing_buyerdetail": "The organisation's details for its invoices.",
    "billing_sellerdetail": "The installation's details for its invoices.",
    "playground_conversation": "What others wrote is theirs.",
    "playground_message": "What others wrote is theirs.",
    "playground_run": "What others wrote is theirs.",
    "playground_runevent": "What others wrote is theirs.",
    "playground_mediarun": "What others wrote is theirs.",
    "playground_sharelink": "What others wrote is theirs.",
    "content_promptversion": "What others wrote is theirs.",
    "django_migrations": "Names of code.",
    "django_content_type": "Names of code.",
    "auth_permission": "Names of code.",
    "django_session": "Sealed with a key of its own; those of the person are deleted.",
}
_ORGANISATION: Final = "organisation_id"
_HERE: Final = "organisation_id = ANY(%(organisations)s::uuid[]) AND "
_HERE_OR_NOWHERE: Final = (
    "(organisation_id IS NULL OR organisation_id = ANY(%(organisations)s::uuid[])) AND "
)


class _Column(NamedTuple):
    name: str
    type: str
    length: int | None


def sweep(traces: Traces, organisations: Sequence[UUID], *, whole: bool) -> int:
    """Replace every address with the pseudonym, in rows of these organisations, and if `whole` in
    rows that belong to no organisation. Return how many rows were changed. The transaction must
    allow changes to append-only rows."""
    values: dict[str, Any] = {
        "pattern": address_pattern(traces.addresses),
        "pseudonym": traces.pseudonym,
        "organisations": list(organisations),
    }
    with connection.cursor() as cursor:
        changed = 0
        for table, columns in _tables(cursor):
            of_organisation = any(column.name == _ORGANISATION for column in columns)
            if whole or of_organisation:
                where = (_HERE_OR_NOWHERE if whole else _HERE) if of_organisation else ""
                cursor.execute(_update(table, columns, where), values)
                changed += cursor.rowcount
    return changed


def _tables(cursor: Cursor) -> list[tuple[str, list[_Column]]]:
    """Return the tables and their text columns to search. Append-only tables have only the columns
    that an erasure may change."""
    cursor.execute(_COLUMNS, {"left": list(LEFT)})
    by_table: dict[str, list[_Column]] = {}
    for table, name, type, length in cursor.fetchall():
        by_table.setdefault(table, []).append(_Column(name, type, length))
    return [
        (table, columns)
        for table, columns in by_table.items()
        if any(column.name != _ORGANISATION for column in columns)
    ]


def _update(table: str, columns: Sequence[_Column], where: LiteralString) -> sql.Composed:
    texts = [column for column in columns if column.name != _ORGANISATION]
    condition = sql.SQL(" OR ").join(
        sql.SQL("{}::text ~* %(pattern)s").format(sql.Identifier(column.name)) for column in texts
    )
    return sql.SQL("UPDATE {} SET {} WHERE {}({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(_replace_expression(column) for column in texts),
        sql.SQL(where),
        condition,
    )


def _replace_expression(column: _Column) -> sql.Composed:
    text = sql.SQL("regexp_replace({}::text, %(pattern)s, %(pseudonym)s, 'gi')").format(
        sql.Identifier(column.name)
    )
    if column.length is not None:
        text = sql.SQL("left({}, {})").format(text, sql.Literal(column.length))
    return sql.SQL("{} = {}::{}").format(
        sql.Identifier(column.name), text, sql.SQL(_TYPES[column.type])
    )


_TYPES: Final[Mapping[str, Any]] = {
    "text": "text",
    "varchar": "text",
    "jsonb": "jsonb",
    "_text": "text[]",
    "_varchar": "text[]",
}
# Partitions are reached through their parent table. Append-only tables have a trigger of that name.
_COLUMNS: Final = """
    SELECT c.relname, a.attname, t.typname,
           CASE WHEN t.typname = 'varchar' AND a.atttypmod > 4 THEN a.atttypmod - 4 END
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL (%(left)s)
      AND c.relname || '.' || a.attname <> ALL (%(left)s)
      AND (
        (t.typname IN ('text', 'varchar', 'jsonb', '_text', '_varchar') AND a.attgenerated = ''
         AND (NOT EXISTS (SELECT FROM pg_trigger g
                          WHERE g.tgrelid = c.oid AND g.tgname = 'written_once')
              OR a.attname IN (
                  'reason', 'project', 'tags', 'customer', 'end_user', 'message', 'session')))
        OR a.attname = 'organisation_id')
    ORDER BY c.relname, a.attnum"""
