"""Erases a person from the second copy of the usage records."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from lib.network.clickhouse import write_literal
from usage.rollups.clickhouse_server import RECORDS, server


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
    # ClickHouse answers after the change is complete.
    there.run(
        f"ALTER TABLE {RECORDS} UPDATE {', '.join(changes)}"
        f" WHERE has({here}, toString(organisation_id)) SETTINGS mutations_sync = 1"
    )


_LABELS: Final = ("project", "customer")
_THERE: Final = """
    SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"""
