"""Transactions of a Postgres server that may still write rows of this database."""

from typing import Final

# A snapshot covers all databases of the server. The database of a transaction is known only while
# it runs, so a transaction of unknown origin counts as ours. A snapshot does not include a
# standby's feedback or a replication slot.
OPEN_HERE: Final = """(
        SELECT concat(coalesce(min(open), xmax), ':', xmax, ':',
                      string_agg(open::text, ',' ORDER BY open))::pg_snapshot
        FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax) here
        LEFT JOIN LATERAL (
            SELECT begun::text::bigint AS open
            FROM pg_snapshot_xip(pg_current_snapshot()) AS begun
            WHERE NOT EXISTS (
                SELECT FROM pg_stat_activity
                WHERE backend_xid = begun::xid AND datname <> current_database())
            AND NOT EXISTS (
                SELECT FROM pg_prepared_xacts
                WHERE transaction = begun::xid AND database <> current_database())
        ) ours ON true
        GROUP BY xmax)"""
"""The statement's snapshot as a `pg_snapshot`, in which transactions of other databases count as
finished.
"""
