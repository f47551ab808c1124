import os
import subprocess
import sys

import pytest

from stack.processes import leash
from stack.processes.processes import wait_gone

WAIT_SECONDS = 20

# Starts a command on the leash, tells its pid, and waits to be killed.
STARTER = f"""
import os, signal, subprocess, sys
start = [sys.executable, "-I", "-S", {leash.__file__!r}, str(os.getpid()), "9", "keep"]
subprocess.Popen([*start, *sys.argv[1:], "--", sys.executable, "-S", "-c",
    "import os, signal; print(os.getpid(), flush=True); signal.pause()"])
signal.pause()
"""


@pytest.mark.parametrize("options", [[], ["--poll"]], ids=["kernel", "poll"])
def test_the_command_ends_with_its_starter(options: list[str]) -> None:
    if not options and sys.platform != "linux":
        options = ["--poll"]
    with subprocess.Popen(
        [sys.executable, "-S", "-c", STARTER, *options], stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
        assert wait_gone(pid, WAIT_SECONDS)


def on_leash(*arguments: str) -> "subprocess.CompletedProcess[str]":
    start = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), "9", "keep"]
    return subprocess.run(
        [*start, *arguments], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )


@pytest.mark.parametrize("options", [[], ["--poll"]], ids=["kernel", "poll"])
def test_the_exit_code_is_the_commands(options: list[str]) -> None:
    done = on_leash(*options, "--", sys.executable, "-S", "-c", "raise SystemExit(5)")
    assert done.returncode == 5


def test_missing_command() -> None:
    done = on_leash("--", "/no/such/program")
    assert (done.returncode, "/no/such/program" in done.stderr) == (127, True)
