"""P1: what was counted outlives its process from before the client has its answer."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from lib.ids import new_id
from relay.ledger.journal import Journal
from relay.ledger.settlement import Marked, Settlement
from relay.ledger.spool import SpoolUnusable
from tests.relay.ledger.test_spool import same, settlements
from tests.support.hub import ROOT

KILLED = """
import os, signal, sys
from pathlib import Path
from relay.ledger.journal import Journal
from lib.ids import new_id
from tests.relay.ledger.test_spool import settlements
journal = Journal(Path(sys.argv[1]), new_id())
journal.open()
noted = settlements(4)
for item in noted:
    journal.note(item)
journal.forget([noted[0].attempt_id])
print(noted[1].attempt_id, noted[2].attempt_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def opened(folder: Path) -> Journal:
    journal = Journal(folder, new_id())
    journal.open()
    return journal


def resolved(count: int) -> list[Settlement]:
    return [item for item in settlements(count + 1) if type(item) is Settlement]


def test_killed_process_leaves_its_uncommitted_lines(tmp_path: Path) -> None:
    """But no refusal, which moves no money."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    journal = opened(tmp_path)
    assert [str(item.attempt_id) for item in journal.adopt()] == killed.stdout.split()
    assert journal.adopt() == []
    journal.close()
    # It is this process's now, which has not committed it either.
    heir = opened(tmp_path)
    results = [item for item in heir.adopt() if isinstance(item, Settlement)]
    assert {str(item.attempt_id) for item in results} == set(killed.stdout.split())
    heir.forget([item.attempt_id for item in results])
    heir.close()
    assert list(tmp_path.iterdir()) == []


def test_mark_stays_until_its_ending(tmp_path: Path) -> None:
    """Marks of the dead are this process's until they are committed."""
    (ended, running), dead = resolved(2), opened(tmp_path)
    for item in (ended, running):
        dead.mark(item.attempt_id, '{"out_text":500}')
        dead.mark(item.attempt_id, '{"out_text":5}')
    dead.note(ended)
    dead.close()
    journal = opened(tmp_path)
    result = journal.adopt()
    assert same(result, [ended, Marked(running.attempt_id, '{"out_text":5}')])
    journal.forget([ended.attempt_id])
    journal.close()
    heir = opened(tmp_path)
    assert heir.adopt() == result[1:]
    heir.forget_left([running.attempt_id])
    heir.close()
    assert list(tmp_path.iterdir()) == []


def test_committed_line_is_not_read_again(tmp_path: Path) -> None:
    """And its slot takes the next one."""
    dead, noted = opened(tmp_path), resolved(3)
    dead._free = dead._free[:2]
    for item in noted[:2]:
        dead.note(item)
    assert not dead.mark(noted[2].attempt_id, "{}")
    dead.forget([noted[0].attempt_id])
    dead.close()
    heir = opened(tmp_path)
    assert same(heir.adopt(), [noted[1]])
    heir._free = []
    heir.forget([noted[1].attempt_id])
    assert heir.mark(noted[2].attempt_id, "{}")


def test_journal_of_a_living_process_is_its_own(tmp_path: Path) -> None:
    living, other = opened(tmp_path), opened(tmp_path)
    living.note(resolved(1)[0])
    assert other.adopt() == []


def test_torn_slot_spares_the_others(tmp_path: Path) -> None:
    dead, noted = opened(tmp_path), resolved(3)
    for item in noted:
        dead.note(item)
    dead.close()
    (path,) = tmp_path.iterdir()
    raw = bytearray(path.read_bytes())
    raw[raw.index(str(noted[1].attempt_id).encode())] ^= 1
    path.write_bytes(raw)
    heir = opened(tmp_path)
    assert same(heir.adopt(), [noted[0], noted[2]])
    assert heir.damaged == 1


def test_leftover_of_a_longer_line_is_no_damage(tmp_path: Path) -> None:
    """A slot is written over: a line that is shorter than the one before ends before its end."""
    dead, (ended,) = opened(tmp_path), resolved(1)
    dead.mark(ended.attempt_id, '{"out_text":' + "5" * 1000 + "}")
    dead.note(ended)
    dead.close()
    heir = opened(tmp_path)
    assert same(heir.adopt(), [ended])
    assert heir.damaged == 0


def test_overflow_waits_without_the_journal(tmp_path: Path) -> None:
    """Long texts are left out; what finds no slot is left to the marks."""
    dead, noted = opened(tmp_path), resolved(4100)
    ending = msgspec.structs.replace(noted[0].ending, raw_usage='"' + "x" * 5000 + '"')
    long = msgspec.structs.replace(noted[0], ending=ending)
    for item in [long, *noted[1:]]:
        dead.note(item)
    dead.close()
    adopted = opened(tmp_path).adopt()
    results = {item.attempt_id: item for item in adopted if isinstance(item, Settlement)}
    assert len(results) == 4096
    assert results[long.attempt_id].ending.raw_usage is None
    assert results[long.attempt_id].ending.meters == long.ending.meters


def test_overlong_text_spares_the_next_slot(tmp_path: Path) -> None:
    dead, noted = opened(tmp_path), resolved(2)
    for item in noted:
        dead.note(item)
    dead.mark(noted[0].attempt_id, '{"out_text":' + "5" * 3000 + "}")
    dead.close()
    heir = opened(tmp_path)
    assert same(heir.adopt(), noted)
    assert heir.damaged == 0


def open_files(folder: Path) -> list[str]:
    """What this process has open in a folder; other tests' files may be closed at any time."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(descriptor))
    return [path for path in found if path.startswith(f"{folder}/")]


def test_a_closed_journal_keeps_no_file_open(tmp_path: Path) -> None:
    """Neither its own, nor those of the dead that it has taken over."""
    folder = tmp_path / "of" / "the" / "relay"
    dead = opened(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    dead.mark(new_id(), "{}")
    dead.close()
    journal = opened(folder)
    assert len(journal.adopt()) == 1
    assert open_files(tmp_path)
    journal.close()
    assert open_files(tmp_path) == []


def test_an_open_journal_stays_open(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    (noted,) = resolved(1)
    journal.note(noted)
    journal.open()
    journal.forget([noted.attempt_id])
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_journal_that_cannot_be_opened_keeps_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or the file of another process."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path, new_id())
    monkeypatch.setattr(os, "posix_fallocate", full)
    for _ in range(2):
        with pytest.raises(SpoolUnusable, match="No space left"):
            journal.open()
        assert open_files(tmp_path) == []
    assert not journal.mark(new_id(), "{}")
    monkeypatch.undo()
    journal.open()
    assert journal.mark(new_id(), "{}")
    journal.close()
