"""What a process keeps of those that died, and for how long."""

from pathlib import Path

from lib.ids import new_id
from relay.ledger.recovery import LedgerRecovery
from relay.ledger.spool import Spool
from tests.relay.ledger.test_journal import opened, resolved


def test_committed_marks_are_not_taken_over_again(tmp_path: Path) -> None:
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


async def test_what_is_not_on_the_disk_does_not_count_as_stored(tmp_path: Path) -> None:
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
