"""What a process keeps of those that died, and for how long."""

from pathlib import Path

from relay.ledger.recovery import LedgerRecovery
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
