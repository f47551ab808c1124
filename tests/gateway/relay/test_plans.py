"""A statement of the hot path reads the rows of its batch, however many others there are.

They are planned once for a session, which may be before the tables hold anything and the database
knows nothing of them: a plan that reads an index from end to end would stay while they grow.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from billing import sql as money
from gateway.relay.database import SESSION, Prepared, Statement
from tests.hub import Hub
from usage import sql as usage

_ID = uuid.UUID(int=7)
_OPENED = usage.AttemptOpened(
    _ID, _ID, _ID, 1, _ID, _ID, None, "m", _ID, "c", "u", "openai", "chat", False, "api", None, 5
)
_ENDED = usage.RecordWritten(_ID, _ID, usage.Ending(final=True, status=200))
_ASKED = money.HoldAsked(_ID, _ID, _ID, _ID, 5, 60)

STATEMENTS: dict[str, Statement] = {
    "lock_accounts": money.lock_accounts([_ID]),
    "place_holds": money.place_holds([_ASKED]),
    "place_guarded_holds": money.place_holds([_ASKED._replace(guarded=True)]),
    "open_attempts": usage.open_attempts([_OPENED]),
    "mark_holds": money.mark_holds([money.Mark(_ID, "{}")]),
    "resolve_holds": money.resolve_holds(
        [money.HoldResolved(_ID, _ID, _ID, "settled", 5)]
    ),
    "write_records": usage.write_records([_ENDED]),
    "post_losses": money.post_losses([money.Loss(_ID, _ID, _ID, 5)]),
}  # fmt: skip


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.mark.parametrize("name", STATEMENTS)
def test_rows_are_looked_up_by_what_is_asked(hub: Hub, name: str) -> None:
    """Constant CPU for a request: no scan of a table, and no index read without a condition."""
    text, _ = STATEMENTS[name]
    with hub.connection.transaction(force_rollback=True):
        for setting, value in SESSION.items():
            hub.connection.execute("SELECT set_config(%s, %s, true)", [setting, value])
        # As on the first day: the tables that grow are empty, and nothing is known of them.
        hub.connection.execute(
            "TRUNCATE billing_hold, billing_posting, billing_ledgerentry, billing_ratesecond, "
            "usage_attempt, usage_usagerecord"
        )
        prepared = Prepared(0, text)
        (row,) = hub.rows("EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + prepared.text.decode())
    (found,) = row["QUERY PLAN"]
    for node in _nodes(found["Plan"]):
        kind = node["Node Type"]
        assert kind != "Seq Scan", node
        if "Index" in kind:
            assert node.get("Index Cond"), node
        if kind == "Index Scan" and node["Relation Name"].startswith("usage_attempt"):
            assert "(id = " in node["Index Cond"], node
