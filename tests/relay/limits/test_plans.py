"""A statement of the hot path reads the rows of its batch, however many others there are.

They are planned once for a session, which may be before the tables hold anything and the database
knows nothing of them: a plan that reads an index from end to end would stay while they grow.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from billing.holds.resolve_holds import HoldResolved, Loss, post_losses, resolve_holds
from billing.holds.sweep_holds import Mark, mark_holds
from billing.ledger.accounts import lock_accounts
from billing.limits.enforcement import HoldRequest, place_hold, place_holds
from lib.id_types import (
    AttemptId,
    ChannelId,
    ChannelName,
    KeyId,
    ModelName,
    OrganisationId,
    RequestId,
    TeamId,
    UpstreamModelName,
)
from relay.database.database import SESSION, Prepared, Statement
from tests.runner.databases import own_database
from usage.records import sql as usage

# Of a time whose month nobody has made: it lies in the default partition.
_ID = uuid.UUID(int=1 << 127)
_OPENED = usage.AttemptOpened(
    organisation_id=OrganisationId(_ID),
    id=AttemptId(_ID),
    request_id=RequestId(_ID),
    n=1,
    team_id=TeamId(_ID),
    key_id=KeyId(_ID),
    user_id=None,
    model=ModelName("m"),
    channel_id=ChannelId(_ID),
    channel_name=ChannelName("c"),
    upstream_model=UpstreamModelName("u"),
    dialect="openai",
    operation="chat",
    stream=False,
    source="api",
    price_version_id=None,
    hold_nano=5,
)
_RESOLVED = HoldResolved(
    attempt_id=AttemptId(_ID),
    posting_id=_ID,
    organisation_id=OrganisationId(_ID),
    state="settled",
    charge_nano=5,
)
_ENDED = usage.RecordWritten(
    organisation_id=OrganisationId(_ID),
    attempt_id=AttemptId(_ID),
    ending=usage.Ending(final=True, status=200),
)
_ASKED = HoldRequest(
    attempt_id=AttemptId(_ID),
    organisation_id=OrganisationId(_ID),
    key_id=KeyId(_ID),
    amount_nano=5,
    ttl_seconds=60,
)

STATEMENTS: dict[str, Statement] = {
    "lock_accounts": lock_accounts([_ID]),
    "lock_accounts_of_many": lock_accounts([_ID, uuid.UUID(int=1)]),
    "place_hold": place_hold(_ASKED, usage.open_attempt(_OPENED)),
    "place_holds": place_holds([_ASKED]),
    "place_guarded_holds": place_holds([msgspec.structs.replace(_ASKED, guarded=True)]),
    "open_attempts": usage.open_attempts([_OPENED]),
    "mark_holds": mark_holds([Mark(_ID, "{}")]),
    "resolve_hold": resolve_holds([_RESOLVED]),
    "resolve_holds": resolve_holds([_RESOLVED, _RESOLVED]),
    "write_record": usage.write_records([_ENDED]),
    "write_records": usage.write_records([_ENDED, _ENDED]),
    "post_losses": post_losses(
        [
            Loss(
                attempt_id=AttemptId(_ID),
                posting_id=_ID,
                organisation_id=OrganisationId(_ID),
                amount_nano=5,
            )
        ]
    ),
}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.fixture(scope="module")
def fresh() -> Iterator[psycopg.Connection[Any]]:
    """As on the first day: the tables are empty, and nothing is known of them."""
    with own_database("plans") as dsn, psycopg.connect(dsn) as connection:
        for setting, value in SESSION.items():
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
        yield connection


@pytest.mark.parametrize("name", STATEMENTS)
def test_rows_are_found_by_the_requested_condition(
    fresh: psycopg.Connection[Any], name: str
) -> None:
    """Constant CPU for a request: no scan of a table, and no index read without a condition."""
    text = Prepared(0, STATEMENTS[name][0]).text
    row = fresh.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + text).fetchone()
    assert row is not None
    for node in _nodes(row[0][0]["Plan"]):
        kind = node["Node Type"]
        assert kind != "Seq Scan", node
        if "Index" in kind:
            assert node.get("Index Cond"), node
        if kind == "Index Scan" and node["Relation Name"].startswith("usage_attempt"):
            assert "(id = " in node["Index Cond"], node


_BY_MONTH = {
    "place_guarded_holds": ("billing_hold", 5),
    "open_attempts": ("billing_hold", 1),
    "mark_holds": ("billing_hold", 1),
    "resolve_hold": ("billing_hold", 1),
    "resolve_holds": ("billing_hold", 1),
    "post_losses": ("billing_hold", 1),
    "write_record": ("usage_attempt", 1),
    "write_records": ("usage_attempt", 1),
}


@pytest.mark.parametrize("name", _BY_MONTH)
def test_only_the_month_of_an_attempt_is_opened(fresh: psycopg.Connection[Any], name: str) -> None:
    """Constant CPU for a request, however many months the installation is old."""
    table, times = _BY_MONTH[name]
    text, parameters = STATEMENTS[name]
    prepared = Prepared(0, text)
    fresh.execute(f"PREPARE {name} AS ".encode() + prepared.text)
    values = ", ".join(
        "NULL" if parameters[name] is None else f"'{parameters[name]}'" for name in prepared.names
    )
    row = fresh.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ({values})").fetchone()
    assert row is not None
    removed = [
        node["Subplans Removed"]
        for node in _nodes(row[0][0]["Plan"])
        if node["Node Type"] == "Append"
        and node["Plans"][0].get("Relation Name", "").startswith(table)
    ]
    count = fresh.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass", [table]
    ).fetchone()
    assert count is not None
    assert removed == [count[0] - 1] * times
    assert removed[0] > 1
