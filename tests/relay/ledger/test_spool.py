"""P18: settlements that wait for the database are on the disk, whole, and are replayed once."""

import asyncio
import errno
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import pytest

from lib.id_types import AttemptId, KeyId, ModelName, OrganisationId, RequestId, TeamId, UserId
from lib.ids import new_id
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway
from relay.health.operator_alerts import DamagedRecords, damaged_statement
from relay.ledger.batching import BATCH_MAX
from relay.ledger.settlement import AnySettlement, Marked, Settlement
from relay.ledger.spool import Kept, Spool, SpoolUnusable, line, read
from relay.ledger.writer import LedgerWriter
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients
from tests.relay.front.test_life import database_away
from tests.relay.ledger.test_ledger_writer import asked, ended
from tests.support.hub import Hub
from usage.records.sql import Ending, Refusal

_BYTES_MAX = 64 * 1024


def settlements(count: int) -> list[AnySettlement]:
    ending = Ending(final=True, status=200, message='é "\n', meters='{"in_text":1}', flags=("a",))
    refusal = Refusal(
        organisation_id=OrganisationId(new_id()),
        request_id=RequestId(new_id()),
        team_id=TeamId(new_id()),
        key_id=KeyId(new_id()),
        user_id=UserId(7),
        model=ModelName("m"),
        dialect="openai",
        operation="x",
        stream=False,
        source="api",
        ending=ending,
    )
    return [
        *[
            Settlement(
                organisation_id=OrganisationId(new_id()),
                attempt_id=AttemptId(new_id()),
                state="settled",
                ending=ending,
                tokens=3,
            )
            for _ in range(count - 1)
        ],
        refusal,
    ]


def opened(folder: Path, bytes_max: int = _BYTES_MAX) -> Spool:
    spool = Spool(folder, new_id(), bytes_max)
    spool.open()
    return spool


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.spool")
    return path


def refuse(*_: object) -> int:
    """What a full disk answers to a write or a sync."""
    raise OSError(errno.ENOSPC, "No space left on device")


def same(one: Sequence[Kept], other: Sequence[Kept]) -> bool:
    """A tuple of flags comes back as a list."""
    return str(one).replace("('a',)", "['a']") == str(other).replace("('a',)", "['a']")


def test_spool_of_a_dead_process_is_adopted_once(tmp_path: Path) -> None:
    kept = settlements(5)
    dead, first, second = opened(tmp_path), opened(tmp_path), opened(tmp_path)
    dead.append(kept[:3])
    dead.append(kept[3:], [Marked(new_id(), '{"out_text":5}')])
    assert first.adopt() == []
    dead.close()
    result = first.adopt()
    assert same(result[:5], kept)
    assert [item.meters for item in result[5:] if isinstance(item, Marked)] == ['{"out_text":5}']
    assert second.adopt() == []
    first.clear()
    first.close()
    assert second.adopt() == []
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_torn_tail_spares_the_rest(tmp_path: Path) -> None:
    kept = settlements(3)
    opened(tmp_path).append(kept)
    raw = file_of(tmp_path).read_bytes()
    assert len(raw) == _BYTES_MAX
    end = raw.rindex(b"\n") + 1
    ends = [at for at in range(end) if raw[at : at + 1] == b"\n"]
    for cut in range(end + 1):
        assert len(read(raw[:cut]).items) == sum(at < cut for at in ends)
        assert len(read(raw[:cut] + bytes(10)).items) == sum(at < cut for at in ends)
        assert read(raw[:cut]).damaged == read(raw[:cut] + bytes(10)).damaged == 0


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_damaged_record_spares_the_rest(tmp_path: Path, damaged: int) -> None:
    """Whichever of its bytes is damaged: only its own record is lost, and that is counted."""
    kept = settlements(4)
    opened(tmp_path).append(kept)
    raw = file_of(tmp_path).read_bytes()
    begins = [0, *(at + 1 for at in range(len(raw)) if raw[at : at + 1] == b"\n")]
    others = [item for number, item in enumerate(kept) if number != damaged]
    for at in range(begins[damaged], begins[damaged + 1] - 1):
        for byte in (b"\0", b"\n", b"~"):
            result = read(raw[:at] + byte + raw[at + 1 :])
            assert same(result.items, others), at
            # A line that became two is two.
            assert result.damaged == 1 + (byte == b"\n")
    # Its end: the one behind it is read all the same.
    result = read(raw[: begins[damaged + 1] - 1] + b"~" + raw[begins[damaged + 1] :])
    assert same(result.items, others)
    assert result.damaged == 1


def test_hole_in_the_file_spares_the_rest(tmp_path: Path) -> None:
    """A machine that lost its power may have written later blocks and not earlier ones."""
    kept = settlements(6)
    opened(tmp_path).append(kept)
    raw = file_of(tmp_path).read_bytes()
    ends = [at for at in range(len(raw)) if raw[at : at + 1] == b"\n"]
    hole = range(ends[0] + 20, ends[2] + 1 + 20)
    result = read(raw[: hole.start] + bytes(len(hole)) + raw[hole.stop :])
    assert same(result.items, [kept[0], *kept[4:]])
    assert result.damaged == 1


def test_record_of_another_release_spares_the_rest(tmp_path: Path) -> None:
    """A process that could not start for it would take all the others' settlements along; its hold
    is the sweeper's."""
    kept = settlements(2)
    dead, heir = opened(tmp_path), opened(tmp_path)
    dead.append(kept)
    dead.close()
    (path,) = [path for path in tmp_path.iterdir() if path.read_bytes().strip(b"\0")]
    text = b'r["of another shape"]'
    path.write_bytes(b"%08x%b\n" % (zlib.crc32(text), text) + path.read_bytes())
    assert same(heir.adopt(), kept)


def test_spool_has_an_end_and_is_empty_after_clearing(tmp_path: Path) -> None:
    spool = opened(tmp_path, 4096)
    spool.append(settlements(3))
    with pytest.raises(SpoolUnusable, match="full"):
        spool.append(settlements(20))
    assert file_of(tmp_path).stat().st_size == 4096
    spool.clear()
    spool.append(settlements(2))
    assert len(read(file_of(tmp_path).read_bytes()).items) == 2


def test_marks_leave_half_of_the_space_to_settlements(tmp_path: Path) -> None:
    """A mark may be lost, an ending may not."""
    spool = opened(tmp_path, 4096)
    for _ in range(100):
        spool.append([], [Marked(new_id(), '{"out_text":5}')])
    before = len(read(file_of(tmp_path).read_bytes()).items)
    kept = settlements(4)
    spool.append(kept, [Marked(new_id(), "{}")])
    assert same(read(file_of(tmp_path).read_bytes()).items[before:], kept)


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: neither after a shorter write nor after the spool was emptied. It would count as
    damaged, or be replayed when newer marks are in the database."""
    spool, kept = opened(tmp_path), settlements(6)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refuse)
        with pytest.raises(SpoolUnusable, match="No space"):
            spool.append(kept)
    spool.append(kept[:1])
    result = read(file_of(tmp_path).read_bytes())
    assert same(result.items, kept[:1])
    assert result.damaged == 0
    spool.clear()
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refuse)
        with pytest.raises(SpoolUnusable, match="No space"):
            spool.append(kept)
    spool.clear()
    assert read(file_of(tmp_path).read_bytes()).items == []


def test_unallocated_space_is_requested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: a process that takes new work has the space to keep its end."""
    spool = opened(tmp_path)
    spool.append(settlements(2))
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", refuse)
        with pytest.raises(SpoolUnusable, match="No space"):
            spool.clear()
        with pytest.raises(SpoolUnusable, match="No space"):
            spool.open()
    assert file_of(tmp_path).stat().st_size == 0
    spool.open()
    assert file_of(tmp_path).stat().st_size == _BYTES_MAX


def test_data_written_without_allocated_space_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: the space is allocated again once the file is empty, not before."""
    spool, kept = opened(tmp_path), settlements(2)
    spool.append(settlements(1))
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", refuse)
        with pytest.raises(SpoolUnusable, match="No space"):
            spool.clear()
    spool.append(kept)
    spool.open()
    assert same(read(file_of(tmp_path).read_bytes()).items, kept)


def test_the_space_is_used_to_its_last_byte(tmp_path: Path) -> None:
    kept, mark = settlements(2), Marked(new_id(), "{}")
    lines = b"".join(map(line, kept))
    assert not opened(tmp_path / "settlements", len(lines)).append(kept, [mark])
    assert opened(tmp_path / "marks", len(lines + line(mark))).append(kept, [mark])


def test_marks_take_no_space_from_settlements(tmp_path: Path) -> None:
    """P18: settlements that fit without the marks are stored without them."""
    kept = settlements(2)
    size = len(b"".join(map(line, kept)))
    spool = opened(tmp_path, size + 10)
    assert not spool.append(kept, [Marked(new_id(), "{}")])
    assert same(read(file_of(tmp_path).read_bytes()).items, kept)


async def test_missing_spool_takes_no_new_work(hub: Hub, tmp_path: Path) -> None:
    """No end could be kept if the database went away: 503 before, not a loss after."""
    place = tmp_path / "spool"
    place.write_text("in the way")
    connection = PipelinedConnection(hub.dsn, 20.0, new_id())
    await connection.open()
    ledger = LedgerWriter(connection, Spool(place, new_id(), _BYTES_MAX))
    await ledger.open_spool()
    assert not ledger.ready
    with pytest.raises(DatabaseAway, match="spool"):
        await ledger.admit(asked(hub.tenant()))
    place.unlink()
    await ledger.open_spool()
    assert ledger.ready
    assert (await ledger.admit(asked(hub.tenant()))).word == "admitted"
    await ledger.join()
    ledger.close_spool()
    await connection.close()


async def test_spool_adopted_during_a_batch_is_emptied_after_its_own(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a dead process left is on the disk until it is in the database."""
    connection, place = PipelinedConnection(hub.dsn, 20.0, new_id()), tmp_path / "spool"
    await connection.open()
    place.write_text("in the way")
    ledger = LedgerWriter(connection, Spool(place, new_id(), _BYTES_MAX))
    writer, own, left = LedgerWriter(connection), asked(hub.tenant()), asked(hub.tenant())
    await writer.admit(own)
    await writer.admit(left)
    await writer.join()
    await ledger.open_spool()
    place.unlink()
    dead = opened(place)
    dead.append([ended(left)])
    dead.close()
    unwritten: list[int] = []

    def clear(spool: Spool, clear: Callable[[Spool], None] = Spool.clear) -> None:
        query = "SELECT id FROM billing_hold WHERE id = %s AND state = 'open'"
        unwritten.append(len(hub.rows(query, left.attempt.id)))
        clear(spool)

    monkeypatch.setattr(Spool, "clear", clear)
    with psycopg.connect(hub.dsn) as other:
        other.execute(
            "SELECT 1 FROM billing_account WHERE organisation_id = %s FOR UPDATE",
            [own.attempt.organisation_id],
        )
        ledger.settle(ended(own), at_once=True)
        await ledger.open_spool()
    await ledger.join()
    assert unwritten == [0]
    ledger.close_spool()
    await connection.close()


class Failing(PipelinedConnection):
    """A database that is away, or gives no more answers behind `answers` of them."""

    away = silent = False
    answers: int | None = None

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self.away:
            raise DatabaseAway("as the test wants it")
        if self.answers == 0:
            self.silent = True
            await asyncio.get_running_loop().create_future()
        elif self.answers is not None:
            self.answers -= 1
        return await super().run(statements)


@pytest.mark.parametrize("adopted", [False, True])
async def test_kill_between_spool_batches_loses_nothing(
    hub: Hub, tmp_path: Path, adopted: bool
) -> None:
    """P1: the spool is kept until the last of it is in the database, whoever wrote it."""
    connection, tenant = Failing(hub.dsn, 2.0), hub.tenant()
    await connection.open()
    batch = [asked(tenant) for _ in range(BATCH_MAX + 44)]
    writer = LedgerWriter(connection)
    await asyncio.gather(*map(writer.admit, batch))
    spool = Spool(tmp_path, new_id(), 2**20)
    ledger = LedgerWriter(connection, spool)
    if adopted:
        dead = opened(tmp_path, 2**20)
        dead.append([ended(one) for one in batch])
        dead.close()
        connection.answers = 1
        await ledger.open_spool()
    else:
        await ledger.open_spool()
        connection.away = True
        for one in batch:
            ledger.settle(ended(one))

        def kept() -> int:
            return len(read(file_of(tmp_path).read_bytes()).items)

        await asyncio.to_thread(hub.wait, lambda: kept() == len(batch), "not spooled")
        connection.away, connection.answers = False, 1

    def unresolved() -> int:
        query = "SELECT id FROM billing_hold WHERE organisation_id = %s AND state = 'open'"
        return len(hub.rows(query, tenant.organisation_id))

    # It is at its second batch: what is done behind the first has been done.
    await asyncio.to_thread(hub.wait, lambda: connection.silent, "it ended with its first batch")
    assert unresolved() == 44
    assert ledger._worker is not None
    ledger._worker.cancel()
    spool.close()

    connection.answers = None
    heir = LedgerWriter(connection, Spool(tmp_path, new_id(), 2**20))
    await heir.open_spool()
    await heir.join()
    assert unresolved() == 0
    assert hub.balance(tenant)["revenue"] == 10 * len(batch)
    heir.close_spool()
    await connection.close()
    assert os.listdir(tmp_path) == []
    hub.assert_books_balance()


def test_kill_during_a_database_outage_loses_no_settlement(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    texts = [f"#tokens={number} #delay_ms=10" for number in (30, 40, 50)]
    leavers = [clients.ask(own_hub, tenant, ask(model, text, stream=True)) for text in texts]
    for leaver in leavers:
        leaver.read_until(b'"content":" ')
    with database_away(own_hub):
        for leaver in leavers:
            leaver.read_until(b"[DONE]")

        def spooled() -> bool:
            kept = read(file_of(own_hub.spool).read_bytes()).items
            return sum(isinstance(item, Settlement) for item in kept) == 3

        own_hub.wait(spooled, "not spooled")
        own_hub.kill()
        own_hub.launch()
        own_hub.wait(lambda: own_hub.get("/healthz").status == 200, "does not live")
        assert own_hub.get("/readyz").status == 503
        own_hub.kill()
    own_hub.start()
    # Ready means that everything has been replayed.
    records = own_hub.rows("SELECT * FROM usage_usagerecord ORDER BY id")
    assert sorted(record["meters"]["out_text"] for record in records) == [30, 40, 50]
    assert {(record["status"], record["basis"]) for record in records} == {(200, "measured")}
    assert own_hub.balance(tenant)["customer:held"] == 0
    # One of the process's own, and its journal.
    own_hub.wait(lambda: len(os.listdir(own_hub.spool)) == 2, "an old spool stays")
    own_hub.assert_books_balance()


def test_marks_continue_during_a_database_outage(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """P1: a process that dies in that time leaves its streams short by no more than a window."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    text = "#tokens=500 #delay_ms=2 #hold=300"
    leaver = clients.ask(own_hub, tenant, ask(model, text, stream=True))
    leaver.read_until(b'"content":" ')
    with database_away(own_hub):

        def marked() -> bool:
            kept = read(file_of(own_hub.spool).read_bytes()).items
            return any(
                isinstance(item, Marked) and '"out_text":300' in item.meters for item in kept
            )

        own_hub.wait(marked, "no mark in the spool")
        own_hub.kill()
    own_hub.start()
    query = "SELECT mark FROM billing_hold WHERE mark->>'out_text' = '300' AND state = 'open'"
    own_hub.wait(lambda: bool(own_hub.rows(query)), "the mark is not taken up")


def test_operators_learn_of_damaged_records_and_nothing_counts_twice(own_hub: Hub) -> None:
    """A real process starts beside the damaged spool of a dead one: the fact of the letter and the
    metric are there once, and what was read is in the books once."""
    own_hub.spool.mkdir()
    dead = opened(own_hub.spool)
    kept = settlements(4)
    dead.append(kept)
    dead.close()
    path = file_of(own_hub.spool)
    raw = bytearray(path.read_bytes())
    raw[30] ^= 1
    path.write_bytes(raw)
    own_hub.start()
    message = "SELECT body FROM outbox_fact WHERE kind = 'records.damaged'"
    own_hub.wait(lambda: bool(own_hub.rows(message)), "operators hear nothing")
    assert [row["body"] for row in own_hub.rows(message)] == [{"records": 1}]
    counted = "SELECT value FROM gateway_traffictotal WHERE family = 'damaged_records'"
    assert [row["value"] for row in own_hub.rows(counted)] == [1]
    assert "1 records cannot be read" in own_hub.log()
    own_hub.stop()
    own_hub.start()
    own_hub.stop()
    assert [row["value"] for row in own_hub.rows(counted)] == [1]


async def test_repeated_damage_fact_is_one(hub: Hub) -> None:
    """The answer of the first time may have been lost."""
    connection, damaged = PipelinedConnection(hub.dsn, 20.0), DamagedRecords(new_id(), 3)
    await connection.open()
    counted = "SELECT value FROM gateway_traffictotal WHERE family = 'damaged_records'"
    before = sum(row["value"] for row in hub.rows(counted))
    for _ in range(2):
        await connection.run([damaged_statement(damaged)])
    await connection.close()
    assert sum(row["value"] for row in hub.rows(counted)) == before + 3


@pytest.mark.parametrize(("more", "marks"), [(0, 0), (2, 1)])
def test_marks_are_kept_while_half_of_the_file_is_free(
    tmp_path: Path, more: int, marks: int
) -> None:
    """The other half is for settlements, which are money."""
    size = len(b"".join(map(line, settlements(2))))
    spool = opened(tmp_path, 2 * size + more)
    spool.append(settlements(2))
    spool.append([], [Marked(new_id(), "{}")])
    assert len(read(file_of(tmp_path).read_bytes()).items) == 2 + marks


def test_an_open_spool_stays_open(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(settlements(2))
    spool.open()
    assert len(read(file_of(tmp_path).read_bytes()).items) == 2


def test_a_spool_without_its_space_is_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: whoever asks again is told so again, until there is space."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool = Spool(tmp_path, new_id(), 4096)
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", full)
        for _ in range(2):
            with pytest.raises(SpoolUnusable, match="No space left"):
                spool.open()
    spool.open()
    spool.append(settlements(2))
    assert len(read(file_of(tmp_path).read_bytes()).items) == 2
