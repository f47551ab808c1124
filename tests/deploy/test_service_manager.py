"""The processes tell systemd when they serve, and that they run; one that stands still does not."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lib.process.service_manager import EVERY_S
from stack.prepare import load_queues
from tests.databases import ROOT, own_database
from tests.ports import free_port

ALIVE = b"READY=1\nWATCHDOG=1"
START_S = 60
WEIR = [sys.executable, "-c", "from stack.command import weir; weir()"]


@contextmanager
def manager(name: str) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        yield listener


def heard(listener: socket.socket, seconds: float) -> bytes | None:
    listener.settimeout(seconds)
    try:
        return listener.recv(99)
    except TimeoutError:
        return None


def forget(listener: socket.socket) -> None:
    """Read what was said before."""
    listener.setblocking(False)
    try:
        while listener.recv(99):
            pass
    except BlockingIOError:
        return


@pytest.mark.parametrize("verb", ["web", "worker", "scheduler"])
def test_a_process_that_hangs_is_not_heard(verb: str, tmp_path: Path) -> None:
    name = f"@weir-{os.getpid()}" if verb == "scheduler" else str(tmp_path / "notify")
    port = free_port()
    arguments = [verb, "--data", str(tmp_path), *(["--port", str(port)] if verb == "web" else [])]
    with own_database(f"notify_{verb}") as dsn, manager(name) as listener:
        load_queues(dsn)
        environment = {
            **os.environ,
            "DATABASE_URL": dsn,
            "BROKER_URL": "",
            "SPOOL_DIR": str(tmp_path),
            "NOTIFY_SOCKET": name,
        }
        process = subprocess.Popen([*WEIR, *arguments], cwd=ROOT, env=environment)
        try:
            assert heard(listener, START_S) == ALIVE
            if verb == "web":
                socket.create_connection(("127.0.0.1", port)).close()
            assert heard(listener, EVERY_S + 5) == ALIVE
            process.send_signal(signal.SIGSTOP)
            forget(listener)
            assert heard(listener, EVERY_S + 2) is None
            process.send_signal(signal.SIGCONT)
            assert heard(listener, EVERY_S) == ALIVE
        finally:
            process.kill()
            process.wait()
