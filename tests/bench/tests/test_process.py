import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bench.process import BenchError, Process, cpu_ns, memory_kb, tree

# Works in a thread that ends, in a child that is waited for, and in one that stays.
_WORKER = """
import subprocess, sys, threading, time
def work():
    end = time.process_time() + 0.15
    while time.process_time() < end: pass
thread = threading.Thread(target=work); thread.start(); thread.join()
busy = "import time\\nwhile time.process_time() < 0.15: pass\\n"
subprocess.run([sys.executable, "-c", busy])
child = subprocess.Popen([sys.executable, "-c", busy + "print('ready', flush=True)\\ninput()"],
                         stdin=subprocess.PIPE)
child.wait()
"""


def _until_ready(process: Process) -> None:
    end = time.monotonic() + 20
    while "ready" not in process.log.read_text():
        process.check_alive()
        assert time.monotonic() < end


def test_ended_threads_and_children_are_counted_too(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", _WORKER], tmp_path / "worker.log")
    try:
        _until_ready(process)
        pids = tree(process.pid)
        assert len(pids) == 2
        assert cpu_ns([process.pid]) > 0.44e9
        assert cpu_ns([pids[1]]) < 0.4e9
        assert memory_kb([process.pid]) > memory_kb([pids[1]]) > 1000
    finally:
        process.stop()
    for pid in pids:
        _until_gone(pid)


def test_process_ending_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no such port')"
    process = Process([sys.executable, "-c", code], tmp_path / "peer.log")
    _until_gone(process.pid)
    with pytest.raises(BenchError, match=r"peer has ended \(1\):\nno such port"):
        process.check_alive()
    process.stop()


def test_nothing_outlives_the_bench(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom tests.bench.process import Process\n"
        f"p = Process([sys.executable, '-c', 'input()' ], Path({str(log)!r}))\n"
        "q = Process([sys.executable, '-c', 'import time; time.sleep(600)'], "
        f"Path({str(log)!r}))\n"
        "print(q.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    _until_gone(int(completed.stdout))


def _until_gone(pid: int) -> None:
    """Ended, though perhaps nobody has asked for its exit code yet."""
    end = time.monotonic() + 20
    with suppress(FileNotFoundError, ProcessLookupError):
        while "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < end
