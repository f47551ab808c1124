"""Deletion of expired content (docs/promises.md, "Protocol state")."""

from django.db import connection
from psycopg import sql

from gateway.models import AnswerPiece, IdempotentAnswer, KeptState

_BATCH = 1_000


def drop_expired() -> int:
    """Delete every row past its time; how many. Safe to run from several processes at once."""
    dropped = 0
    with connection.cursor() as cursor:
        for model in (KeptState, IdempotentAnswer, AnswerPiece):
            statement = sql.SQL(_DROP).format(sql.Identifier(model._meta.db_table))
            while True:
                cursor.execute(statement, [_BATCH])
                dropped += cursor.rowcount
                if cursor.rowcount < _BATCH:
                    break
    return dropped


_DROP = """
    DELETE FROM {0} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {0} WHERE expires_at <= now() LIMIT %s FOR UPDATE SKIP LOCKED))"""
