"""A fork of the web process becomes the worker."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stack.processes.processes import wait_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux adopts orphans")

WAIT_SECONDS = 20

# Reads a word: `become` or `kill`, or waits for its own end. Prints the spare's pid, how it ended,
# whether there is another spare, whether orphans are still adopted, and the output.
SUPERVISOR = """
import ctypes, os, signal, subprocess, sys
from stack.processes.spare import Spare

WEB = "import sys; from stack.processes.spare import fork_spare; fork_spare(int(sys.argv[1]))"
spare = Spare()
subprocess.run([sys.executable, "-c", WEB, str(spare.theirs)], pass_fds=[spare.theirs], check=True)
spare.adopt()
pid = spare._adopted.pid
print(pid, flush=True)
if sys.stdin.readline().strip() == "kill":
    os.kill(pid, signal.SIGKILL)
reader, writer = os.pipe()
os.set_blocking(reader, False)
command = [sys.executable, "-W", "ignore", "-m", "celery", "--version"]
adopted = spare.become(command, writer)
os.close(writer)
adopts = ctypes.c_int()
ctypes.CDLL(None).prctl(37, ctypes.byref(adopts), 0, 0, 0)
code = adopted.wait()
try:
    output = os.read(reader, 1000)
except BlockingIOError:
    # The order that nobody read holds the other end.
    output = b""
print(code, spare.become(command, 1), adopts.value, output, flush=True)
adopted.send_signal(signal.SIGTERM)
"""


@pytest.fixture
def supervisor() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-W", "ignore", "-c", SUPERVISOR]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def test_spare_runs_the_command_and_is_waited_for(supervisor: "subprocess.Popen[str]") -> None:
    told, _ = supervisor.communicate("become\n", timeout=WAIT_SECONDS)
    pid, end = told.splitlines()
    code, other, adopts, output = end.split(" ", 3)
    assert (int(pid) > 1, code, other, adopts) == (True, "0", "None", "0")
    assert "(" in output  # 5.6.0 (recovery)
    assert supervisor.returncode == 0


def test_end_of_a_spare_is_the_end_of_the_child(supervisor: "subprocess.Popen[str]") -> None:
    """So the keeper starts the worker again, by its command."""
    told, _ = supervisor.communicate("kill\n", timeout=WAIT_SECONDS)
    code, other, adopts, output = told.splitlines()[1].split(" ", 3)
    assert (code, other, adopts, output) == (str(-signal.SIGKILL), "None", "0", "b''")


def test_process_with_threads_has_no_spare() -> None:
    """A fork of it would lack them, without a word."""
    thread = (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    program = SUPERVISOR.replace("import sys;", f"import sys; {thread};").replace(
        "pid = spare._adopted.pid", "sys.exit(str(spare._adopted))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    ended = subprocess.run(
        command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=WAIT_SECONDS
    )
    assert (ended.returncode, ended.stderr) == (1, "None\n")


def test_spare_ends_with_its_supervisor(supervisor: "subprocess.Popen[str]") -> None:
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    assert os.path.exists(f"/proc/{pid}")
    supervisor.kill()
    assert wait_gone(pid, WAIT_SECONDS)
