"""The refusal of a read replica: each request writes its hold before it is sent, so a replica can
serve no part of Weir."""

from django.db import connection

from lib.env import ConfigurationError


class ReadReplica(ConfigurationError):
    """The database is a read replica."""

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_URL names a read replica of Postgres. Name the server that takes writes."
        )


def check_writer() -> None:
    """Raise ReadReplica if Django's database is one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if cursor.fetchone() == (True,):
            raise ReadReplica
