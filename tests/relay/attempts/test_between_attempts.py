"""A database that goes away between a failed attempt and the next one leaves one end of the request
and no hold behind, wherever it went away (I6, I10, P18)."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from lib.ids import id_text
from relay.asgi import Relay
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.settlement import AnySettlement
from relay.ledger.transaction import BatchWriter
from relay.ledger.writer import LedgerWriter
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream
from tests.relay.ledger.test_ledger_writer import asked, ended
from tests.relay.pages.test_in_process import body, config, knows, principal, read_events
from tests.relay.pages.test_in_process import relay as relay_fixture
from tests.support.hub import Hub, Tenant

relay = relay_fixture


def ends(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    """The records of the tenant's requests, when no hold of it is open any more."""
    query = "SELECT id FROM billing_hold WHERE organisation_id = %s AND state = 'open'"
    assert hub.rows(query, tenant.organisation_id) == []
    hub.assert_books_balance()
    return hub.rows(
        "SELECT request_id, status, kind, final FROM usage_usagerecord "
        "WHERE organisation_id = %s ORDER BY admitted_at", tenant.organisation_id,
    )  # fmt: skip


class Leaving:
    """The database as a writer meets it: at the question for a second attempt it is away before
    that is written, or when it is; or only at the question that repeats it."""

    def __init__(self, when: str, commit: Any) -> None:
        self._when = when
        self._commit = commit
        self.questions = 0

    async def __call__(
        self,
        writer: BatchWriter,
        batch: Sequence[AdmissionRequest],
        settlements: Sequence[AnySettlement],
    ) -> Sequence[Verdict]:
        second = [one for one in batch if one.attempt.n > 1]
        if second:
            self.questions += 1
            if self._when == "repeated" and self.questions == 1:
                # Its limits have changed meanwhile, so that it is to be asked once more.
                batch = [msgspec.structs.replace(one, guards=one.guards + 1) for one in batch]
            elif self._when != "written" or self.questions > 1:
                raise DatabaseAway("as the test wants it")
        verdicts: Sequence[Verdict] = await self._commit(writer, batch, settlements)
        if second and self._when == "written":
            raise DatabaseAway("as the test wants it")
        return verdicts


@pytest.mark.parametrize(
    ("when", "questions", "records"), [("before", 1, 1), ("written", 1, 2), ("repeated", 2, 2)]
)
async def test_request_ends_once_wherever_the_client_leaves(
    relay: Relay,
    hub: Hub,
    fake: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    questions: int,
    records: int,
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    commit = Leaving(when, BatchWriter._commit)
    monkeypatch.setattr(BatchWriter, "_commit", lambda *given: commit(*given))
    answer = relay.in_process.chat(who, body(model, "#fault=F10:500"), source="playground")
    (outcome,) = [item async for item in read_events(answer) if isinstance(item, Outcome)]
    assert (outcome.status, outcome.kind) == (503, "overloaded")
    assert commit.questions == questions
    await asyncio.to_thread(hub.record, id_text(outcome.request_id))
    await asyncio.to_thread(hub.settled, tenant)
    result = ends(hub, tenant)
    assert {one["request_id"] for one in result} == {outcome.request_id}
    assert [one["kind"] for one in result if one["final"]] == ["overloaded"]
    assert len(result) == records


async def test_process_stopping_between_attempts_leaves_no_hold(
    hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10, I6: the attempt that failed is the end, and is in the books when the process is gone."""
    relay, waits, uniform = Relay(config(hub, drain_s=0.0)), asyncio.Event(), random.uniform
    await relay.start()

    def wait_for_ever(low: float, high: float) -> float:
        if low:
            return uniform(low, high)
        waits.set()
        return 3600.0

    monkeypatch.setattr(random, "uniform", wait_for_ever)
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    answer = relay.in_process.chat(who, body(model, "#fault=F10:500"), source="playground")
    asking = asyncio.ensure_future(anext(read_events(answer)))
    await waits.wait()
    await relay.stop()
    outcome = await asking
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.kind) == (503, "server_shutting_down")
    (record,) = ends(hub, tenant)
    assert (record["kind"], record["final"]) == ("server_shutting_down", True)


class Hanging(PipelinedConnection):
    """A database that answers nothing and then is away, once; `written` before that, or not."""

    written = False
    asked: asyncio.Event | None = None

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self.asked is None or self.asked.is_set():
            return await super().run(statements)
        self.asked.set()
        if self.written:
            await super().run(statements)
        await asyncio.sleep(0)
        raise DatabaseAway("as the test wants it")


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
async def test_client_leaving_during_admission_is_ended_by_the_writer(
    hub: Hub, written: bool, repeated: bool
) -> None:
    """Nobody waits for the verdict: the writer ends the request by what it knows."""
    connection = Hanging(hub.dsn, 2.0)
    await connection.open()
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    first = asked(tenant)
    await ledger.admit(first)
    failed = ended(first, charge_nano=0, final=False, status=502, basis="none")
    again = asked(tenant, request_id=first.attempt.request_id, n=2)
    if repeated:
        ledger.settle(failed)
        await ledger.join()
    else:
        again = msgspec.structs.replace(again, replaces=failed)
    connection.written, connection.asked = written, asyncio.Event()
    asking = asyncio.create_task(ledger.admit(again))
    await connection.asked.wait()
    asking.cancel()
    await ledger.join()
    result = ends(hub, tenant)
    assert [one["final"] for one in result].count(True) == 1
    assert {one["request_id"] for one in result} == {first.attempt.request_id}
    await connection.close()
