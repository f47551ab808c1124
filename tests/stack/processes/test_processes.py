import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stack.processes import processes


@pytest.fixture
def cat() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Until it answers it may still be on its way from this program to that one.
        process.stdin.write(b"here\n")
        process.stdin.flush()
        process.stdout.readline()
        yield process


def test_process_is_awaited(cat: "subprocess.Popen[bytes]") -> None:
    assert processes.alive(cat.pid)
    assert not processes.wait_gone(cat.pid, 0)
    assert cat.stdin is not None
    cat.stdin.close()
    assert processes.wait_gone(cat.pid, 20)
    cat.wait()
    assert not processes.alive(cat.pid)
    assert processes.wait_gone(cat.pid, 0)


def test_command_line_identifies_its_process(cat: "subprocess.Popen[bytes]") -> None:
    assert "cat" in processes.command_line(cat.pid)
    cat.kill()
    cat.wait()
    assert processes.command_line(cat.pid) == ""


def test_root_is_dropped_where_possible() -> None:
    ask = [sys.executable, "-S", "-c", "import os; print(os.geteuid())"]
    command = processes.leashed_command(ask, drop=processes.unprivileged_user())
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() != "0"
    assert (processes.unprivileged_user() == "keep") is (os.geteuid() != 0)
