"""P34: whoever writes a line waits for no reader; what is dropped is counted, and said."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.process.line_writer import LineWriter

WAIT_S = 60
MANY = 2_000
# As many as a pipe takes without being read.
FEW = 50
LONG = "x" * 1_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue


def notice(lines: int) -> str:
    return f"dropped {lines}"


def read_until(reading: int, end: bytes) -> bytes:
    raw = b""
    while not raw.endswith(end):
        raw += os.read(reading, 65_536)
    return raw


def test_lines_come_in_their_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], notice)
    for number in range(100):
        writer.put(f"line {number} é\udcff")
    raw = read_until(pipe[0], b"line 99 \xc3\xa9\\udcff\n")
    assert [line.split()[1] for line in raw.decode().splitlines()] == [str(n) for n in range(100)]
    assert writer.dropped == 0


def test_stalled_reader_delays_no_one_and_learns_what_it_missed(
    pipe: tuple[int, int],
) -> None:
    writer = LineWriter(pipe[1], notice, waiting_bytes_max=100_000)
    for number in range(MANY):
        writer.put(f"{number} {LONG}")
    dropped = writer.dropped
    # What the pipe and the queue hold; the rest is gone.
    assert MANY * 0.5 < dropped < MANY
    assert writer.waiting_bytes
    # The reader is back.
    raw = read_until(pipe[0], b"\ndropped %d\n" % dropped)
    kept = [int(line.split()[0]) for line in raw.splitlines()[:-1]]
    assert kept == list(range(MANY - dropped))
    writer.put("after")
    assert read_until(pipe[0], b"\n") == b"after\n"
    assert writer.dropped == dropped


def test_slow_reader_gets_every_line(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], notice)
    for number in range(MANY):
        writer.put(f"{number} {LONG}")
    raw = b""
    while raw.count(b"\n") < MANY:
        # Less than a line each time.
        raw += os.read(pipe[0], 700)
    assert [int(line.split()[0]) for line in raw.splitlines()] == list(range(MANY))
    assert writer.dropped == 0


def test_a_descriptor_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    """Somebody who shares it may have made it so."""
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1], notice)
    for number in range(MANY):
        writer.put(f"{number} {LONG}")
    raw = b""
    while raw.count(b"\n") < MANY:
        raw += os.read(pipe[0], 65_536)
    assert writer.dropped == 0


def test_closed_reader_is_no_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = LineWriter(pipe[1], notice)
    writer.put("nobody")
    writer.close(WAIT_S)
    assert writer.dropped == 1


def test_line_to_a_file_is_written_immediately(tmp_path: Path) -> None:
    """A file has no reader to wait for: a process that is killed has written its last lines."""
    before = threading.active_count()
    with (tmp_path / "log").open("ab") as file:
        writer = LineWriter(file.fileno(), notice)
        for number in range(3):
            writer.put(f"line {number}")
            assert (tmp_path / "log").read_text().endswith(f"line {number}\n")
    assert threading.active_count() == before


def test_a_full_disk_drops_lines() -> None:
    with open("/dev/full", "wb") as full:
        writer = LineWriter(full.fileno(), notice)
        writer.put("line")
        writer.close(WAIT_S)
    assert writer.dropped == 1


def test_a_fork_writes_its_own_lines_once(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], notice)
    writer.put("parent")
    assert os.read(pipe[0], 100) == b"parent\n"
    child = os.fork()
    if child == 0:
        writer.put("child")
        writer.close(WAIT_S)
        os._exit(1 if writer.waiting_bytes else 0)
    assert os.waitpid(child, 0)[1] == 0
    writer.put("parent again")
    assert read_until(pipe[0], b"again\n") == b"child\nparent again\n"


def test_line_logged_while_logging_is_written_too(pipe: tuple[int, int]) -> None:
    """A handler of a signal may log while a line is being handed over."""
    writer = LineWriter(pipe[1], notice)
    before = signal.signal(signal.SIGALRM, lambda *_: writer.put("signal"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(2_000):
            writer.put("line")
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    writer.put("end")
    assert b"signal\n" in read_until(pipe[0], b"end\n")
    writer.close(WAIT_S)
    assert writer.waiting_bytes == 0


def test_line_logged_while_the_thread_starts_starts_no_other(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two would change the order of lines."""
    writer, start, started = LineWriter(pipe[1], notice), threading.Thread.start, []

    def interrupted(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == 1:
            writer.put("signal")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    writer.put("line")
    assert read_until(pipe[0], b"line\n") == b"signal\nline\n"
    assert len(started) == 1


ENDING = """
import logging, sys, threading
from config.server.log_handler import LogHandler
logging.basicConfig(handlers=[LogHandler()], level="INFO", format="%(message)s")
for number in range(int(sys.argv[1])):
    logging.info("%d %s", number, "x" * 1000)
if sys.argv[2:]:
    from config.server.log_handler import close_log
    import os, signal
    close_log()
    logging.info("last words")
    os.kill(os.getpid(), signal.SIGTERM)
"""


def start_ending(count: int, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", ENDING, str(count), *more], stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("by_signal", [False, True])
def test_ending_process_writes_pending_lines(by_signal: bool) -> None:
    process = start_ending(FEW, *(["signal"] if by_signal else []))
    _, raw = process.communicate(timeout=WAIT_S)
    assert process.returncode == (-signal.SIGTERM if by_signal else 0)
    assert raw.count(b"\n") == FEW + by_signal
    assert raw.endswith(b"last words\n") is by_signal


@pytest.mark.parametrize("by_signal", [False, True])
def test_shutdown_waits_for_a_stopped_reader_up_to_its_bound(
    by_signal: bool,
) -> None:
    process = start_ending(MANY, *(["signal"] if by_signal else []))
    try:
        # Were there no bound, it would never end.
        assert process.wait(WAIT_S) == (-signal.SIGTERM if by_signal else 0)
    finally:
        process.kill()
        process.communicate()


def test_one_thread_writes(pipe: tuple[int, int]) -> None:
    before = threading.active_count()
    writers = LineWriter(pipe[1], notice)
    for _ in range(10):
        writers.put("line")
    assert threading.active_count() == before + 1
