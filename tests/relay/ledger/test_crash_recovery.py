"""What a process keeps of those that died, and for how long."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from lib.ids import new_id
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.settlement import AnySettlement, Marked
from relay.ledger.spool import Kept, Spool, line, read
from tests.relay.ledger.test_journal import opened, resolved
from tests.relay.ledger.test_spool import file_of, refuse


def spools_in(folder: Path) -> int:
    return len(list(folder.glob("*.spool")))


def marks_of(folder: Path) -> dict[object, str]:
    items = read(file_of(folder).read_bytes()).items
    return {item.attempt_id: item.meters for item in items if isinstance(item, Marked)}


def test_committed_marks_are_not_adopted_again(tmp_path: Path) -> None:
    (running,), dead = resolved(1), opened(tmp_path)
    dead.mark(running.attempt_id, '{"out_text":5}')
    dead.close()
    journal = opened(tmp_path)
    (mark,) = journal.adopt()
    LedgerRecovery(None, journal).forget_marks({mark.attempt_id: '{"out_text":5}'})
    journal.close()
    assert opened(tmp_path).adopt() == []


def test_without_a_journal_there_is_nothing_to_forget() -> None:
    (running,) = resolved(1)
    LedgerRecovery(None, None).forget_marks({running.attempt_id: "{}"})


async def test_unwritten_data_does_not_count_as_stored(tmp_path: Path) -> None:
    """P1, P18: no new work is taken while a settlement waits on the disk, and none is given up that
    is not there."""
    kept, marks = resolved(2), {new_id(): "{}"}
    assert not await LedgerRecovery(None, None).spool(kept, marks)
    recovery = LedgerRecovery(Spool(tmp_path, new_id(), 4096), None)
    # Its file was never made.
    assert not await recovery.spool(kept, {})
    assert not recovery.usable
    await recovery.open()
    assert not await recovery.spool([], {})
    assert await recovery.spool(kept, marks)
    assert recovery.usable
    # Nor what finds no room.
    assert not await recovery.spool(resolved(20), {})
    assert not recovery.usable
    recovery.close()


async def test_next_write_includes_marks_of_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: a machine that dies later would leave the stream without its mark, and it would be
    charged for less than the provider counted."""
    kept, marks = resolved(1), {new_id(): '{"out_text":5}'}
    recovery = LedgerRecovery(Spool(tmp_path, new_id(), 4096), None)
    await recovery.open()
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", refuse)
        assert not await recovery.spool(kept, marks)
    assert await recovery.spool(kept, marks)
    assert marks_of(tmp_path) == marks
    recovery.close()


async def test_marks_without_space_do_not_count_as_stored(tmp_path: Path) -> None:
    """P1: they are written once there is space."""
    kept, marks = resolved(2), {new_id(): '{"out_text":5}'}
    size = len(b"".join(map(line, kept)))
    recovery = LedgerRecovery(Spool(tmp_path, new_id(), 2 * size), None)
    await recovery.open()
    assert await recovery.spool(kept, {})
    assert await recovery.spool([], marks)
    assert recovery.spooled_marks == marks_of(tmp_path) == {}
    await recovery.clear_spool(lambda: False)
    assert await recovery.spool([], marks)
    assert recovery.spooled_marks == marks_of(tmp_path) == marks
    recovery.close()


async def test_unemptied_spool_takes_no_new_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: the next ends would have no space."""
    recovery = LedgerRecovery(Spool(tmp_path, new_id(), 4096), None)
    await recovery.open()
    assert await recovery.spool(resolved(1), {})
    monkeypatch.setattr(os, "fsync", refuse)
    await recovery.clear_spool(lambda: False)
    assert not recovery.usable
    monkeypatch.undo()
    recovery.close()


async def test_a_process_does_not_adopt_its_own_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: newer marks may be in the database by then, and older ones would replace them."""
    marks = {new_id(): '{"out_text":5}'}
    recovery = LedgerRecovery(Spool(tmp_path, new_id(), 4096), None)
    await recovery.open()
    await recovery.spool([], marks)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refuse)
        assert not await recovery.spool(resolved(1), {})
    adopted = await recovery.open()
    assert adopted is not None
    assert adopted.marks == {}
    # They are still in the spool, which is emptied when they are committed.
    assert recovery.spooled_marks == marks
    recovery.close()


async def test_a_spool_adopted_during_a_commit_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: the commit does not include what was adopted."""
    dead, adopted = Spool(tmp_path, new_id(), 4096), list[AnySettlement]()
    dead.open()
    dead.append(resolved(1))
    dead.close()
    recovery = LedgerRecovery(Spool(tmp_path, new_id(), 4096), None)
    adopting, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def adopt(spool: Spool) -> list[Kept]:
        left = take(spool)
        loop.call_soon_threadsafe(adopting.set)
        go_on.wait(timeout=30)
        return left

    take = Spool.adopt
    monkeypatch.setattr(Spool, "adopt", adopt)

    async def open_recovery() -> None:
        left = await recovery.open()
        assert left is not None
        adopted.extend(left.spooled)

    opening = asyncio.create_task(open_recovery())
    await adopting.wait()
    clearing = asyncio.create_task(recovery.clear_spool(lambda: bool(adopted)))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(opening, clearing)
    assert len(adopted) == 1
    assert spools_in(tmp_path) == 2
    await recovery.clear_spool(lambda: False)
    assert spools_in(tmp_path) == 1
    recovery.close()
