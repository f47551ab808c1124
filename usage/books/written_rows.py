"""Whether a row was written since the checks last read every row: what they read again otherwise
says nothing new. A change by hand is a write too (P33)."""

from collections.abc import Collection, Sequence
from typing import Final

from django.db import connection

from billing.models import BooksWalk
from lib import clock

TURN: Final = "turn"
"""The name of the row of the endless walks. Its `rest_until` is the time of their next turn."""


def _tables(room: str, nouns: str) -> list[str]:
    return [f"{room}_{noun}" for noun in nouns.split()]


# What the walks read, and what the check of the present state reads besides. Not what the checks
# themselves or the rollups write to know how far they are.
_WALKED: Final = (
    *_tables("accounts", "auditevent organisation"),
    *_tables(
        "billing",
        "account hold invoice invoiceline ledgerentry ledgerline posting priceversion seal",
    ),
    *_tables(
        "usage",
        "attempt dayrollup detachedmonth hourrollup laterecord latetruth monthfile review rollup"
        " usagerecord",
    ),
)
CHECKED: Final = (
    *_WALKED,
    *_tables(
        "billing",
        "budgetwindow code codebatch includedunits promogrant redemption subscriptioncharge topup",
    ),
)
"""The tables that a whole check reads."""
# The tables and their months count each row that anybody writes, with those of this transaction. A
# table that is emptied counts no row, but gets a new file. Postgres counts anew after a crash and
# when it is told to: both have their time. The names are compared without a month, which takes a
# fifth of the time that one pattern of all names takes. A new seal is not counted: the rows that it
# seals are, and an idle installation gets a seal of no rows each hour.
_WRITTEN: Final = """
    SELECT concat_ws(' ',
        sum(relfilenode::bigint
            + CASE WHEN relname = 'billing_seal' THEN 0 ELSE
                pg_stat_get_tuples_inserted(oid) + pg_stat_get_xact_tuples_inserted(oid) END
            + pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid)
            + pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid)),
        extract(epoch FROM pg_postmaster_start_time()),
        (SELECT extract(epoch FROM stats_reset) FROM pg_stat_database
         WHERE datname = current_database()))
    FROM pg_class
    WHERE relkind = 'r'
      AND regexp_replace(relname, '_([0-9]{4}_[0-9]{2}|other)$', '') = ANY (%s)"""


def are_walked(turn_name: str, walk_names: Collection[str]) -> bool:
    """Return whether each of these walks has begun and ended since a row was last written."""
    return not find_unwalked(turn_name, walk_names)


def find_unwalked(turn_name: str, walk_names: Collection[str]) -> frozenset[str]:
    """Return those of the walks that have not begun and ended since a row was last written. The row
    `turn_name` remembers it: `after` is what `count_written_rows` returned, `began_at` when
    it last changed, and `ended_at` when all that was written until then had been walked, or
    null."""
    turn, _ = BooksWalk.objects.get_or_create(name=turn_name)
    unwalked = frozenset(walk_names)
    if (written := count_written_rows()) != turn.after:
        turn.after, turn.began_at, turn.ended_at = written, clock.now(), None
    elif turn.ended_at is not None:
        unwalked = frozenset()
    elif turn.began_at is not None:
        walks = BooksWalk.objects.filter(name__in=walk_names, began_at__gt=turn.began_at)
        unwalked -= {walk.name for walk in walks if walk.has_ended}
        if not unwalked:
            turn.ended_at = clock.now()
    turn.save(update_fields=["after", "began_at", "ended_at"])
    return unwalked


def count_written_rows(tables: Sequence[str] = _WALKED) -> str:
    """Return a text that differs once a row was inserted, changed or deleted in these tables or
    their months. Rows of another connection that does nothing more count after ten seconds."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITTEN, [list(tables)])
        (written,) = cursor.fetchone()
    return str(written)
