"""Usage records written outside the relay."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from usage import sql

CRASH_CUT = sql.Ending(
    final=True,
    status=500,
    kind="internal",
    message="API request failed: Server Error",
    basis="absorbed",
    flags=("crash_cut",),
)


def write_crash_cut(attempts: Iterable[tuple[UUID, UUID]]) -> None:
    """Write the records of attempts (organisation id, attempt id) whose process died.

    What they cost us is absorbed by the installation: the customer pays nothing for an answer
    whose count nobody knows. Runs in the transaction that releases their holds.
    """
    written = [
        sql.RecordWritten(organisation_id, attempt_id, CRASH_CUT)
        for organisation_id, attempt_id in attempts
    ]
    if written:
        text, parameters = sql.write_records(written)
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
