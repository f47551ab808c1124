"""A request does no more than costs.json says: functions entered, C calls and opcodes until it is
answered; statements, transactions, rows and bytes of log until it is settled, each alone. They are
counted in a running web process."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.request_costs import costs
from tests.relay.request_costs.works import PARTS, WORKS, CountedHub
from tests.support.hub import running_hub

RENEW = "RENEW_REQUEST_COSTS"
_HOW = f"If that is meant, say why in the commit, and run these tests with {RENEW}=1."


@pytest.fixture(scope="module")
def counted_hub(fake: FakeUpstream) -> Iterator[CountedHub]:
    with (
        ExitStack() as until,
        running_hub(application="tests.relay.request_costs.counting") as hub,
    ):
        yield CountedHub(hub, fake, until)


@pytest.fixture(scope="module")
def table() -> Iterator[costs.Table]:
    """The table of this version of Python; of another version, counts differ."""
    table = costs.read(costs.PLACE.read_text())
    if not os.environ.get(RENEW) and costs.PYTHON not in table:
        pytest.skip(reason=f"the table has no counts of Python {costs.PYTHON}")
    yield table
    if os.environ.get(RENEW):
        costs.PLACE.write_text(costs.write(table))


def check(measured: costs.Counts, work: str, table: costs.Table) -> None:
    expected = table.setdefault(costs.PYTHON, {}).setdefault(work, {})
    if os.environ.get(RENEW):
        expected |= measured
    found = costs.differences(work, measured, expected)
    assert not found, "\n".join([*found, _HOW])


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("part", PARTS)
def test_a_request_costs_what_the_table_says(
    counted_hub: CountedHub, table: costs.Table, work: str, part: str
) -> None:
    if part == "writes" and counted_hub.hub.connection.info.server_version < 180_000:
        pytest.skip(reason="an older PostgreSQL does not count the WAL of a backend")
    check(counted_hub.measure(work, part), work, table)


def test_a_cost_beyond_two_hundredths_is_named() -> None:
    assert not costs.differences("plain", {"functions": 509.0}, {"functions": 500.0})
    assert not costs.differences("chunk", {"functions": 11.5}, {"functions": 11.0})
    assert costs.differences("plain", {"functions": 511.0}, {"functions": 500.0}) == [
        "plain: 500 -> 511 functions"
    ]
    assert costs.differences("chunk", {"functions": 12.0}, {"functions": 11.0}) == [
        "chunk: 11 -> 12 functions"
    ]
    assert costs.differences("plain", {"rows": 13}, {"rows": 12}) == ["plain: 12 -> 13 rows"]
    assert not costs.differences("burst", {"functions": 400.0}, {"functions": 500.0})
    assert costs.differences("new", {"functions": 5.0}, {}) == ["new: 0 -> 5 functions"]
