"""Marks, the queue, and what a kill must not lose, each by itself (P1, P18): what stands behind
what, and what is kept once."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lib.ids import new_id
from relay.config import RelayConfig
from relay.credentials.keys import Principal
from relay.database.database import PipelinedConnection
from relay.front.lifespan import Lifespan
from relay.ledger.batching import (
    BATCH_MAX,
    SHARED_BATCH_MAX,
    Batch,
    LedgerMarks,
    LedgerQueue,
    Waiting,
)
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.journal import Journal
from relay.ledger.settlement import Marked
from relay.ledger.spool import Spool, read
from relay.ledger.writer import LedgerWriter
from relay.upstream.upstream import Upstreams
from tests.relay.ledger.test_journal import resolved
from tests.relay.ledger.test_spool import settlements

_BYTES_MAX = 64 * 1024


class Stream:
    """A stream that has said one token more each time it is looked at."""

    def __init__(self) -> None:
        self.id = new_id()
        self.tokens = 0

    def mark(self) -> str:
        self.tokens += 1
        return mark_text(self.tokens)


def admission(organisation_id: uuid.UUID) -> Waiting:
    """One that waits, of which only whose it is matters."""
    attempt = SimpleNamespace(organisation_id=organisation_id, key_id=organisation_id)
    return cast(Waiting, (SimpleNamespace(attempt=attempt), object()))


def mark_text(tokens: int) -> str:
    return f'{{"out_text":{tokens}}}'


class Timers:
    """An event loop of which nothing but timers is wanted."""

    def __init__(self) -> None:
        self.set: list[Callable[[], None]] = []

    def call_later(self, delay_s: float, act: Callable[[], None]) -> object:
        self.set.append(act)
        return act

    def pass_on(self) -> None:
        due, self.set = self.set, []
        for act in due:
            act()


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    timers = Timers()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: timers)
    return timers


def marks_of(write: Callable[[], None] = lambda: None) -> LedgerMarks:
    return LedgerMarks(LedgerRecovery(None, None), write)


def test_one_timer_watches_all_streams_of_a_process(timers: Timers) -> None:
    marks, streams = marks_of(), [Stream() for _ in range(5)]
    for stream in streams:
        marks.watch(stream)
    for _ in range(6):
        assert len(timers.set) == 1
        timers.pass_on()
    # At every second look, once.
    assert [stream.tokens for stream in streams] == [3] * 5
    for stream in streams:
        marks.unwatch(stream)
    timers.pass_on()
    assert timers.set == []
    marks.watch(streams[0])
    assert len(timers.set) == 1


@pytest.mark.parametrize(("slots", "written_at"), [(3, [4, 8]), (1, [2, 4, 6, 8])])
def test_the_marks_of_all_streams_are_written_in_one_beat(
    slots: int, written_at: list[int], timers: Timers, tmp_path: Path
) -> None:
    """A kill loses no more: the journal has each mark at once, and one that it has no room for does
    not wait for the beat."""
    journal = Journal(tmp_path, new_id())
    journal.open()
    journal._free = journal._free[:slots]
    looks, writes = 0, list[int]()

    def write() -> None:
        assert marks.due
        assert len(marks.take()) == 3
        assert not marks.due
        writes.append(looks)

    marks = LedgerMarks(LedgerRecovery(None, journal), write)
    for _ in range(3):
        marks.watch(Stream())
    for look in range(1, 9):
        looks = look
        timers.pass_on()
    journal.close()
    assert writes == written_at


def test_failed_mark_yields_to_a_later_one() -> None:
    marks, stream, other = marks_of(), Stream(), Stream()
    marks.mark(stream)
    marks.mark(other)
    taken = marks.take()
    marks.mark(stream)
    marks.put_back(taken)
    assert marks.take() == {stream.id: mark_text(2), other.id: mark_text(1)}
    assert marks.take() == {}


def test_a_stream_that_ended_leaves_no_mark_to_write(timers: Timers) -> None:
    marks, stream = marks_of(), Stream()
    marks.watch(stream)
    marks.mark(stream)
    marks.unwatch(stream)
    assert marks.take() == {}


def test_due_settlements_stay_due_over_several_batches() -> None:
    queue = LedgerQueue(lambda: None)
    queue.settlements += settlements(2 * BATCH_MAX + 1)
    queue.due, batch, sizes = True, Batch(), list[int]()
    while queue.due:
        batch = queue.take(batch)
        sizes.append(len(batch.settlements))
    assert sizes == [BATCH_MAX, BATCH_MAX, 1]
    assert not queue.has_settlements


def test_unwritten_settlements_are_written_before_later_ones() -> None:
    """The first settlements are those that are in the spool."""
    queue, (first, second, third) = LedgerQueue(lambda: None), settlements(3)
    queue.settlements += [first, second]
    taken = queue.take(Batch()).settlements
    queue.settlements.append(third)
    queue.put_back(taken)
    assert queue.take(Batch()).settlements == [first, second, third]


def spooled(folder: Path) -> list[object]:
    return [item for path in folder.glob("*.spool") for item in read(path.read_bytes()).items]


async def test_mark_is_spooled_once_until_it_moves_or_the_spool_is_emptied(
    tmp_path: Path,
) -> None:
    recovery, attempt = LedgerRecovery(Spool(tmp_path, new_id(), _BYTES_MAX), None), new_id()
    await recovery.open()
    for _ in range(3):
        await recovery.spool([], {attempt: mark_text(1)})
    assert spooled(tmp_path) == [Marked(attempt, mark_text(1))]
    await recovery.spool([], {attempt: mark_text(2)})
    assert spooled(tmp_path) == [Marked(attempt, mark_text(1)), Marked(attempt, mark_text(2))]
    await recovery.clear_spool(lambda: False)
    await recovery.spool([], {attempt: mark_text(2)})
    assert spooled(tmp_path) == [Marked(attempt, mark_text(2))]
    recovery.close()


async def test_a_dead_process_leaves_one_ending_and_its_last_mark(
    tmp_path: Path,
) -> None:
    """The journal goes on where the spool may be behind."""
    dead = Spool(tmp_path, new_id(), _BYTES_MAX), Journal(tmp_path, new_id())
    (both, noted), running = resolved(2), uuid.uuid4()
    for file in dead:
        file.open()
    dead[0].append([both], [Marked(running, mark_text(5)), Marked(running, mark_text(6))])
    for item in (both, noted):
        dead[1].note(item)
    dead[1].mark(running, mark_text(9))
    for file in dead:
        file.close()
    spool, journal = Spool(tmp_path, new_id(), _BYTES_MAX), Journal(tmp_path, new_id())
    recovery = LedgerRecovery(spool, journal)
    adopted = await recovery.open()
    assert adopted is not None
    spooled_ids = [getattr(item, "attempt_id", None) for item in adopted.spooled]
    noted_ids = [getattr(item, "attempt_id", None) for item in adopted.noted]
    assert (spooled_ids, noted_ids) == ([both.attempt_id], [noted.attempt_id])
    assert adopted.marks == {running: mark_text(9)}
    recovery.close()


def test_surplus_admissions_take_turns(timers: Timers) -> None:
    """P35: of an organisation that asks less, all are in the next batch."""
    queue, many, few = LedgerQueue(lambda: None), new_id(), new_id()
    admissions = [admission(many) for _ in range(2 * BATCH_MAX)] + [admission(few)]
    queue.admissions += admissions
    batches = [queue.take(Batch()).admissions for _ in range(3)]
    assert [len(batch) for batch in batches] == [BATCH_MAX, BATCH_MAX, 1]
    assert admissions[-1] in batches[0]
    assert [one for batch in batches for one in batch if one is not admissions[-1]] == (
        admissions[:-1]
    )


def test_batches_are_small_while_requests_of_several_keys_run() -> None:
    """P35: a request waits for what is being written, and for what is written together with it."""
    shared = True
    queue, many, few = LedgerQueue(lambda: None, lambda: shared), new_id(), new_id()
    admissions = [admission(many) for _ in range(2 * SHARED_BATCH_MAX)] + [admission(few)]
    queue.admissions += admissions
    queue.settlements += settlements(2 * SHARED_BATCH_MAX)
    queue.due = True
    batch = queue.take(Batch())
    # Each settlement that waits may have the money that an admission lacks.
    assert (len(batch.admissions), len(batch.settlements)) == (
        SHARED_BATCH_MAX, 2 * SHARED_BATCH_MAX,
    )  # fmt: skip
    assert admissions[-1] in batch.admissions
    shared = False
    assert len(queue.take(batch).admissions) == SHARED_BATCH_MAX + 1


async def test_the_ledger_knows_when_keys_share_the_process() -> None:
    taken: list[Callable[[], bool]] = []

    def new_writer(
        connection: PipelinedConnection,
        spool: Spool | None,
        journal: Journal | None,
        *,
        is_shared: Callable[[], bool],
        of_few: PipelinedConnection,
    ) -> LedgerWriter:
        taken.append(is_shared)
        return LedgerWriter(connection, spool, journal, is_shared=is_shared, of_few=of_few)

    config = RelayConfig(dsn="", kek="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", pepper="p")
    life = Lifespan(config, ledger_writer=new_writer, upstreams=Upstreams())
    (is_shared,) = taken
    keys = [cast(Principal, SimpleNamespace(payer=(n, n))) for n in (1, 2)]
    seen = []
    for key in keys:
        assert life.load.enter(key)
        seen.append((is_shared(), life.ledger._queue.batch_max))
    assert seen == [(False, BATCH_MAX), (True, SHARED_BATCH_MAX)]


def test_admissions_that_fit_a_batch_keep_their_order() -> None:
    """Where all are in the next batch, the first that asked has the last of the money."""
    queue, many, few = LedgerQueue(lambda: None), new_id(), new_id()
    admissions = [admission(many) for _ in range(BATCH_MAX - 1)] + [admission(few)]
    queue.admissions += admissions
    assert queue.take(Batch()).admissions == admissions


def test_relay_files_are_readable_only_by_their_owner(tmp_path: Path) -> None:
    """P14: requests and their texts stand there."""
    folder = tmp_path / "of" / "relays"
    for kept in (Spool(folder, new_id(), _BYTES_MAX), Journal(folder, new_id())):
        kept.open()
        kept.close()
        kept.open()
    assert folder.stat().st_mode & 0o777 == 0o700
    files = list(folder.iterdir())
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * len(files)
    assert len(files) >= 1
