"""What a request writes: rows, WAL and bytes on the disk, and in how many statements.

Every figure here is paid for by each request for ever, so that none grows unseen: whoever raises
one changes it here, and says in the commit what is bought by it. They are those of a request that
comes alone; many at once share their statements and the changes of balances.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import pytest
import pytest_asyncio

from billing.ledger.hold_rules import HoldState
from lib.id_types import (
    AttemptId,
    ChannelId,
    ChannelName,
    CostVersionId,
    KeyId,
    ModelName,
    OrganisationId,
    PriceVersionId,
    RequestId,
    TeamId,
    UpstreamModelName,
)
from lib.ids import new_id
from relay.database.database import PipelinedConnection, Row, Statement
from relay.ledger.admission import AdmissionRequest
from relay.ledger.settlement import Settlement
from relay.ledger.writer import LedgerWriter
from tests.runner.databases import own_database
from tests.support.hub import Hub, Tenant
from usage.records.sql import AttemptOpened, Ending, Refusal

_KEPT = (
    "billing_posting", "billing_hold", "usage_attempt", "usage_usagerecord"
)  # fmt: skip
_METERS = '{"in_text": 1200, "out_text": 340, "in_cache_read": 1024}'
_RAW = '{"prompt_tokens": 2224, "completion_tokens": 340, "total_tokens": 2564}'


class Cost(NamedTuple):
    """Of one request."""

    statements: int
    # Rows inserted, and rows updated; of these, how many had to be entered in the indexes anew.
    inserted: int
    updated: int
    moved: int
    wal_records: int
    wal_bytes: int


class CountedConnection(PipelinedConnection):
    """The relay's connection; it tells what its backend has written."""

    count = 0

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        self.count += len(statements)
        return await super().run(statements)

    async def cost(self) -> Cost:
        """Since the connection was opened; this look, which writes nothing, is not in it."""
        counted = self.count
        # A backend tells what it has done once a second, or when it is asked to.
        await super().run([("SELECT pg_stat_force_next_flush()", {})])
        ((row,),) = await super().run([(_WRITTEN, {})])
        return Cost(counted, *(int(value or 0) for value in row))


class Ledger:
    """A relay's writer, and what one request after another does to it."""

    def __init__(self, connection: CountedConnection, tenant: Tenant) -> None:
        self.connection, self.tenant = connection, tenant
        self.writer = LedgerWriter(connection)

    async def admit(
        self, n: int = 1, request_id: RequestId | None = None, replaces: Settlement | None = None
    ) -> AttemptOpened:
        tenant = self.tenant
        attempt = AttemptOpened(
            organisation_id=OrganisationId(tenant.organisation_id),
            id=AttemptId(new_id()),
            request_id=request_id or RequestId(new_id()),
            n=n,
            team_id=TeamId(tenant.team_id),
            key_id=KeyId(tenant.key_id),
            user_id=None,
            model=ModelName("gpt-5-mini"),
            channel_id=ChannelId(uuid.UUID(int=5)),
            channel_name=ChannelName("openai-main"),
            upstream_model=UpstreamModelName("gpt-5-mini"),
            dialect="openai",
            operation="chat_completions",
            stream=True,
            source="api",
            price_version_id=PriceVersionId(7),
            hold_nano=5_000_000,
            cost_version_id=CostVersionId(8),
        )
        verdict = await self.writer.admit(AdmissionRequest(attempt, 60, replaces))
        assert verdict.word == "admitted"
        return attempt

    def ended(self, attempt: AttemptOpened) -> Settlement:
        ending = Ending(
            final=True, status=200, finish_reason="stop", meters=_METERS, charge_nano=1_250_000,
            basis="measured", ttft_ms=300, total_ms=900, raw_usage=_RAW, cost_nano=1_000_000,
        )  # fmt: skip
        return _resolved(attempt, "settled", ending)

    def failed(self, attempt: AttemptOpened) -> Settlement:
        ending = Ending(final=False, status=502, kind="upstream_error", message="It broke.")
        return _resolved(attempt, "voided", ending)

    async def plain(self) -> None:
        self.writer.settle(self.ended(await self.admit()))
        await self.writer.join()

    async def stream(self) -> None:
        """With one high-water mark."""
        attempt = await self.admit()
        self.writer.marks.mark(Marking(attempt.id))
        # As at the next beat of all streams.
        self.writer.marks.due = True
        self.writer.renew()
        await self.writer.join()
        self.writer.settle(self.ended(attempt))
        await self.writer.join()

    async def fail_over(self) -> None:
        first = await self.admit()
        second = await self.admit(2, first.request_id, self.failed(first))
        self.writer.settle(self.ended(second))
        await self.writer.join()

    async def refusal(self) -> None:
        tenant = self.tenant
        ending = Ending(final=True, status=402, kind="insufficient_balance", message="Too little.")
        self.writer.settle(
            Refusal(
                organisation_id=OrganisationId(tenant.organisation_id),
                request_id=RequestId(new_id()),
                team_id=TeamId(tenant.team_id),
                key_id=KeyId(tenant.key_id),
                user_id=None,
                model=ModelName("gpt-5-mini"),
                dialect="openai",
                operation="chat_completions",
                stream=False,
                source="api",
                ending=ending,
            )
        )
        await self.writer.join()


def _resolved(attempt: AttemptOpened, state: HoldState, ending: Ending) -> Settlement:
    return Settlement(
        organisation_id=attempt.organisation_id,
        attempt_id=attempt.id,
        state=state,
        ending=ending,
    )


class Marking:
    """A stream that has said seven tokens."""

    def __init__(self, id: uuid.UUID) -> None:
        self.id = id

    def mark(self) -> str:
        return '{"out_text": 7}'


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A database of its own: nobody else writes into it."""
    with own_database("cost") as dsn, closing(Hub(dsn)) as created:
        yield created


@pytest_asyncio.fixture
async def ledger(hub: Hub) -> AsyncIterator[Ledger]:
    if hub.connection.info.server_version < 180_000:
        pytest.skip(reason="an older PostgreSQL does not count the WAL of a backend")
    connection = CountedConnection(hub.dsn, 20.0)
    await connection.open()
    yield Ledger(connection, hub.tenant("1000.00"))
    await connection.close()


KINDS: dict[str, tuple[Callable[[Ledger], Awaitable[None]], Cost]] = {
    "plain": (Ledger.plain, Cost(5, 4, 8, 1, 34, 3373)),
    "stream": (Ledger.stream, Cost(6, 4, 9, 1, 36, 3513)),
    "fail-over": (Ledger.fail_over, Cost(9, 8, 13, 2, 61, 5989)),
    "refusal": (Ledger.refusal, Cost(1, 1, 0, 0, 11, 1169)),
}
# How many numbers of the ids look the same varies, and with it what an index leaves out of a row.
_WAL_NOISE = 1.03
# A table or an index grows by whole pages.
_AT_REST_BYTES = 1844
_PAGES_NOISE = 1.05


@pytest.mark.parametrize("kind", KINDS)
async def test_writes_per_request(ledger: Ledger, kind: str) -> None:
    """The least of several, one after the other: in some a page of an index is full and is split, a
    table gets its next page, or a page is cleared of dead rows, or cannot be as long as somebody
    else's transaction may see them."""
    request, expected = KINDS[kind]
    costs = []
    for _ in range(12):
        before = await ledger.connection.cost()
        await request(ledger)
        after = await ledger.connection.cost()
        costs.append(Cost(*(new - old for new, old in zip(after, before, strict=True))))
    least = Cost(*(min(column) for column in zip(*costs, strict=True)))
    assert least[:4] == expected[:4], least
    assert least.wal_records <= expected.wal_records * _WAL_NOISE, least
    assert least.wal_bytes <= expected.wal_bytes * _WAL_NOISE, least


async def test_disk_space_per_request(hub: Hub, ledger: Ledger) -> None:
    """With the indexes, once what is dead of it has been cleared away."""
    sizes = []
    for _ in range(2):
        for _ in range(400):
            await ledger.plain()
        hub.connection.execute(f"VACUUM {', '.join(_KEPT)}")
        (row,) = hub.rows(_AT_REST, [f"{table}%" for table in _KEPT])
        sizes.append(row["bytes"])
    assert (sizes[1] - sizes[0]) / 400 <= _AT_REST_BYTES * _PAGES_NOISE


_WRITTEN = """
    SELECT (SELECT sum(n_tup_ins) FROM pg_stat_user_tables),
           (SELECT sum(n_tup_upd) FROM pg_stat_user_tables),
           (SELECT sum(n_tup_upd - n_tup_hot_upd) FROM pg_stat_user_tables),
           wal_records, wal_bytes
    FROM pg_stat_get_backend_wal(pg_backend_pid())"""
_AT_REST = """
    SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class
    WHERE relname LIKE ANY (%s) AND relkind = 'r'"""
