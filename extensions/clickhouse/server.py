"""The optional ClickHouse in which the installation keeps a second copy of the usage records, and
the erasure of a person there."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from extensions.clickhouse.client import ClickHouse, write_literal
from lib.database.advisory_locks import AdvisoryLock
from usage.sinks import rounds

# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
SCHEMA: Final = 3
"""The version of the tables. Another version means other tables, which are filled from the
start."""
RECORDS: Final = f"weir_usage_{SCHEMA}"
MARKS: Final = f"weir_usage_marks_{SCHEMA}"
FORMER_TABLES: Final = tuple(
    f"{table}_{n}" for n in range(1, SCHEMA) for table in ("weir_usage", "weir_usage_marks")
)


def server() -> ClickHouse | None:
    """Return the installation's ClickHouse, or None."""
    if not _SETTINGS.CLICKHOUSE_URL:
        return None
    return ClickHouse(
        _SETTINGS.CLICKHOUSE_URL,
        _SETTINGS.CLICKHOUSE_DATABASE,
        _SETTINGS.CLICKHOUSE_USER,
        _SETTINGS.CLICKHOUSE_PASSWORD or "",
    )


def forget_person(
    user_id: int, addresses: Sequence[str], pseudonym: str, organisations: Sequence[UUID]
) -> None:
    """Clear the names that clients gave the person, and replace labels that are one of the
    addresses with the pseudonym. Without a ClickHouse nothing is done. Raises ClickHouseError."""
    there = server()
    if there is None or not there.rows(_THERE, {"table": RECORDS}):
        return
    known = write_literal([address.lower() for address in addresses])
    new = write_literal([pseudonym])[1:-1]
    changes = [f"{name} = if(has({known}, lower({name})), {new}, {name})" for name in _LABELS]
    changes.append(f"tags = arrayMap(tag -> if(has({known}, lower(tag)), {new}, tag), tags)")
    changes.append(
        f"end_user = if(user_id = {user_id}, '', "
        f"if(has({known}, lower(end_user)), {new}, end_user))"
    )
    here = write_literal(list(organisations))
    # The change does not apply to what is inserted later, and a batch that is being sent may have
    # been read before the person was erased in Postgres.
    with rounds.try_lock(AdvisoryLock.CLICKHOUSE_BATCH, wait=True):
        # ClickHouse answers after the change is complete.
        there.run(
            f"ALTER TABLE {RECORDS} UPDATE {', '.join(changes)}"
            f" WHERE has({here}, toString(organisation_id)) SETTINGS mutations_sync = 1"
        )


_LABELS: Final = ("project", "customer")
_THERE: Final = """
    SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"""
