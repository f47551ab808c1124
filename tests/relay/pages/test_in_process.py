"""The relay as a function: what the playground calls in its own process."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from dialects.chat.events import End, Event, TextDelta
from dialects.errors.errors import RequestFault
from dialects.openai.stream.decode import Decoder
from lib.ids import id_text, new_id
from relay.asgi import Relay
from relay.config import RelayConfig
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head
from relay.ledger.journal import _SLOT_BYTES
from relay.ledger.settlement import AnySettlement, Marked, Settlement
from relay.ledger.spool import read
from relay.ledger.writer import LedgerWriter
from relay.pages.queue_sink import QueueSink
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest_asyncio.fixture
async def relay(hub: Hub) -> AsyncIterator[Relay]:
    relay = Relay(config(hub))
    await relay.start()
    yield relay
    await relay.stop()


def config(hub: Hub, drain_s: float = 600.0) -> RelayConfig:
    return RelayConfig(
        dsn=hub.dsn,
        kek=os.environ["WEIR_KEK"],
        pepper=os.environ["WEIR_KEY_PEPPER"],
        accept_while_draining_s=0,
        database_wait_s=20.0,
        drain_s=drain_s,
    )


async def principal(relay: Relay, hub: Hub, tenant: Tenant) -> Principal:
    """The principal of a playground key, which has no text that anybody knows."""
    key = hub.key(tenant, kind="playground")
    return await relay.in_process.principal_of_key(key.key_id)


def body(model: str, text: str, **over: object) -> bytes:
    return json.dumps(ask(model, text, stream=True, **over)).encode()


async def read_events(
    items: AsyncIterator[Head | bytes | Outcome],
) -> AsyncIterator[Event | Outcome]:
    """What the answer's bytes say, then its Outcome."""
    decoder = Decoder(include_usage=True)
    async for item in items:
        if isinstance(item, bytes):
            for step in decoder.feed(item):
                for event in step.events:
                    yield event
        elif isinstance(item, Outcome):
            for step in decoder.end():
                for event in step.events:
                    if isinstance(event, End):
                        yield event
            yield item


async def test_events_come_before_the_outcome_and_books_agree(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    items = [
        item
        async for item in read_events(
            relay.in_process.chat(
                await principal(relay, hub, tenant),
                body(model, "#tokens=30"),
                source="playground",
            )
        )
    ]
    *events, outcome = items
    assert isinstance(outcome, Outcome)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text == expected_text("a", "#tokens=30", 30)
    assert isinstance(events[-1], End)
    assert (outcome.status, outcome.kind, outcome.finish_reason) == (200, None, "stop")
    assert (outcome.meters["out_text"], outcome.basis) == (30, "measured")
    record = await asyncio.to_thread(hub.record, id_text(outcome.request_id))
    assert record["charge_nano"] == outcome.charge_nano
    assert record["source"] == "playground"
    assert record["hold_nano"] == outcome.hold_nano
    await asyncio.to_thread(hub.settled, tenant)


async def test_small_holds_are_released_immediately(
    relay: Relay, hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I23: nobody is refused in another process for what has ended in this one."""
    message = list[bool]()

    def settle(ledger: LedgerWriter, item: AnySettlement, *, at_once: bool = False) -> None:
        message.append(at_once)
        _settle(ledger, item, at_once=at_once)

    _settle = LedgerWriter.settle
    monkeypatch.setattr(LedgerWriter, "settle", settle)
    rich, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    asked = body(model, "#tokens=5", max_tokens=10)

    async def outcome_for(tenant: Tenant) -> Outcome:
        who = await principal(relay, hub, tenant)
        (*_, outcome) = [
            item async for item in relay.in_process.chat(who, asked, source="playground")
        ]
        assert isinstance(outcome, Outcome)
        return outcome

    hold_nano = (await outcome_for(rich)).hold_nano
    assert hold_nano > 0
    ten = hub.tenant(f"{Decimal(10 * hold_nano) / 10**9:f}")
    assert (await outcome_for(ten)).status == 200
    assert message == [False, True]


async def knows(relay: Relay, hub: Hub, model: str) -> None:
    """Wait until this relay has the model in its catalogue."""
    await asyncio.to_thread(hub.wait, lambda: relay.knows(model), f"{model} is not heard of")


async def test_rejection_has_only_an_outcome(relay: Relay, hub: Hub) -> None:
    who = await principal(relay, hub, hub.tenant())
    asked = relay.in_process.chat(who, body("none", "x"), source="playground")
    (outcome,) = [item async for item in asked]
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.kind) == (404, "model_not_found")
    assert outcome.message.startswith("Error: Model none")


async def test_outcome_reports_a_fault_after_content(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    text = "#tokens=20 #fault=F14:close@4 #delay_ms=20"
    items = [
        item async for item in relay.in_process.chat(who, body(model, text), source="playground")
    ]
    outcome = items[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.kind) == (502, "upstream_truncated")
    assert outcome.charge_nano > 0


async def test_closing_the_iterator_counts_as_leaving(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    """P6: the provider hears it at once, what came is paid."""
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    chat = relay.in_process.chat(who, body(model, "#tokens=500 #delay_ms=10"), source="playground")
    async for item in read_events(chat):
        if isinstance(item, TextDelta):
            break
    await chat.aclose()
    await asyncio.to_thread(hub.settled, tenant)
    (record,) = hub.rows(
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s", tenant.organisation_id
    )
    assert (record["status"], record["kind"]) == (499, "client_closed")
    assert 0 < record["charge_nano"] < record["hold_nano"]
    row = await asyncio.to_thread(fake.wait_for_row, id_text(record["id"]))
    assert row["outcome"] == "cut"


async def test_slow_reader_holds_the_upstream_back(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    """P9: what is not fetched does not pile up without bound."""
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    text = "#tokens=20000"
    chat = relay.in_process.chat(who, body(model, text), source="playground")
    assert isinstance(await anext(chat), Head)
    words = [item.text async for item in read_events(chat) if isinstance(item, TextDelta)]
    assert "".join(words) == expected_text("a", text, 20000)


async def test_whole_answer_is_given_however_slow_its_client(
    hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paid by then. Who still reads what came before it on the same connection is not told
    in its place that the server has failed."""
    answer = QueueSink.answer

    async def slowly(self: QueueSink, head: Head, raw: bytes) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await answer(self, head, raw)

    monkeypatch.setattr(QueueSink, "answer", slowly)
    tenant, model = hub.tenant(), hub.model(fake)
    relay = Relay(replace(config(hub), write_stall_s=0.0))
    await relay.start()
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    asked = json.dumps(ask(model, "#tokens=20")).encode()
    head, *pieces, outcome = [
        item async for item in relay.in_process.chat(who, asked, source="playground")
    ]
    await relay.stop()
    assert isinstance(head, Head)
    (choice,) = json.loads(b"".join(raw for raw in pieces if isinstance(raw, bytes)))["choices"]
    assert choice["message"]["content"] == expected_text("a", "#tokens=20", 20)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.basis) == (200, "measured")


async def test_reader_of_the_last_words_has_no_journal_slot(
    hub: Hub, fake: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: what is settled is not marked again, however long its client takes to read the end: the
    mark would stand in the place of the ending, and stay there for good."""
    config = RelayConfig(
        dsn=hub.dsn,
        kek=os.environ["WEIR_KEK"],
        pepper=os.environ["WEIR_KEY_PEPPER"],
        accept_while_draining_s=0,
        database_wait_s=20.0,
        spool_folder=tmp_path,
    )
    taken = asyncio.Event()
    write = QueueSink.write

    async def slowly(self: QueueSink, raw: bytes, *, last: bool) -> None:
        await write(self, raw, last=last)
        if last:
            await taken.wait()

    monkeypatch.setattr(QueueSink, "write", slowly)
    tenant, other, model = hub.tenant(), hub.tenant(), hub.model(fake)
    relay = Relay(config)
    await relay.start()
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    chat = relay.in_process.chat(who, body(model, "#tokens=20"), source="playground")
    assert isinstance(await anext(chat), Head)
    await asyncio.to_thread(hub.settled, tenant)
    # Meanwhile another stream is marked.
    beside = relay.in_process.chat(
        await principal(relay, hub, other), body(model, "#tokens=500 #hold=9"), source="playground"
    )
    await anext(beside)
    marked = "SELECT id FROM billing_hold WHERE organisation_id = %s AND mark IS NOT NULL"
    await asyncio.to_thread(
        hub.wait,
        lambda: bool(hub.rows(marked, other.organisation_id)),
        "no mark of the other stream",
    )
    (row,) = hub.rows(marked, other.organisation_id)
    assert noted_in(tmp_path) == {row["id"]}
    taken.set()
    await beside.aclose()
    await chat.aclose()
    await relay.stop()


def noted_in(folder: Path) -> set[UUID]:
    """The attempts that the journals of a folder tell of."""
    return {
        item.attempt_id
        for raw in [path.read_bytes() for path in folder.glob("*.journal")]
        for at in range(0, len(raw), _SLOT_BYTES)
        for item in read(raw[at : at + _SLOT_BYTES]).items
        if isinstance(item, Marked | Settlement)
    }


async def test_unknown_key_has_no_principal(relay: Relay) -> None:
    with pytest.raises(RequestFault):
        await relay.in_process.principal_of_key(new_id())


async def test_internal_error_still_settles_the_attempt(
    relay: Relay, hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold does not wait for the sweeper, and the customer pays nothing."""
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)

    def broken(*args: object, **kwargs: object) -> bytes:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("dialects.openai.request.read.edit", broken)
    with pytest.raises(ZeroDivisionError):
        async for _ in relay.in_process.chat(who, body(model, "x"), source="playground"):
            pass
    await asyncio.to_thread(hub.settled, tenant)
    (record,) = hub.rows(
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s", tenant.organisation_id
    )
    assert (record["kind"], record["basis"], record["charge_nano"]) == ("internal", "absorbed", 0)


async def test_preview_equals_the_hold(relay: Relay, hub: Hub, fake: FakeUpstream) -> None:
    """docs/promises.md, "Size of a hold": the page follows the same rule."""
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    for over in ({}, {"max_tokens": 77}, {"n": 3, "max_tokens": 50}):
        asked = body(model, "#tokens=5", **over)
        bound = await relay.in_process.bound(who, asked)
        assert (bound.fits, bound.available_nano) == (
            True,
            hub.balance(tenant)["customer:available"],
        )
        (outcome,) = [
            item
            async for item in relay.in_process.chat(who, asked, source="playground")
            if isinstance(item, Outcome)
        ]
        assert (bound.hold_nano, bound.output_cap) == (outcome.hold_nano, None)
        assert bound.output_tokens == over.get("max_tokens", 16_384)
        await asyncio.to_thread(hub.settled, tenant)


async def test_preview_shrinks_to_the_balance_and_says_when_it_is_too_low(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant("0.000000500"), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    bound = await relay.in_process.bound(who, body(model, "#tokens=5"))
    assert bound.fits
    assert bound.output_cap == bound.output_tokens
    assert bound.hold_nano <= bound.available_nano == 500
    explicit = await relay.in_process.bound(who, body(model, "#tokens=5", max_tokens=5000))
    assert (explicit.fits, explicit.output_cap) == (False, None)
    assert explicit.hold_nano > 500
    with pytest.raises(RequestFault, match="more than its max_cost"):
        await relay.in_process.bound(who, body(model, "hi", max_tokens=5000), max_cost_nano=100)
    with pytest.raises(RequestFault, match="does not exist"):
        await relay.in_process.bound(who, body("no-such-model", "hi"))


async def test_connections_being_opened_are_closed_at_the_stop(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that waits there for a password drops no database for anybody meanwhile."""
    connect, loop = psycopg.AsyncConnection.connect, asyncio.get_running_loop()
    relay = Relay(config(hub))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        port = silent.getsockname()[1]
        await relay.start()
        # What it does next is to connect to hear of changes.
        monkeypatch.setattr(
            psycopg.AsyncConnection, "connect",
            lambda dsn, **rest: connect(make_conninfo(dsn, host="127.0.0.1", port=port), **rest),
        )  # fmt: skip
        async with asyncio.timeout(10):
            listening, _ = await loop.sock_accept(silent)
        monkeypatch.undo()
        with listening:
            assert await loop.sock_recv(listening, 100)
            await relay.stop()
            async with asyncio.timeout(10):
                assert await loop.sock_recv(listening, 100) == b""
