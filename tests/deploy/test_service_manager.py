"""The processes tell systemd when they serve, and that they run; one that stands still does not."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lib.process.service_manager import EVERY_S
from stack.database.prepare import load_queues
from tests.deploy.units import service, services
from tests.runner.databases import ROOT, own_database
from tests.support.ports import free_port

ALIVE = b"READY=1\nWATCHDOG=1"
START_S = 60
# A tenth of the usual interval, within which a live process is heard.
OFTEN_S = 1
# Read by each Python of the process, also by the one that replaces `weir`.
SITE = f"""
from lib.process import service_manager
service_manager.EVERY_S = {OFTEN_S}
"""
Managed = tuple[socket.socket, subprocess.Popen[bytes]]
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


@contextmanager
def managed(verb: str, folder: Path, port: int) -> Iterator[Managed]:
    """A process of that verb, and what hears it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE)
    name = f"@weir-{os.getpid()}" if verb == "scheduler" else str(folder / "notify")
    arguments = [verb, "--data", str(folder), *(["--port", str(port)] if verb == "web" else [])]
    with own_database(f"notify_{verb}") as dsn, manager(name) as listener:
        load_queues(dsn)
        environment = {
            **os.environ,
            "DATABASE_URL": dsn,
            "BROKER_URL": "",
            "SPOOL_DIR": str(folder),
            "NOTIFY_SOCKET": name,
            "PYTHONPATH": f"{folder}:{ROOT}",
        }
        process = subprocess.Popen([*WEIR, *arguments], cwd=ROOT, env=environment)
        try:
            yield listener, process
        finally:
            process.kill()
            process.wait()


def test_hanging_process_sends_no_heartbeat(tmp_path: Path) -> None:
    """Web, worker and scheduler beside each other: each waits for the times of its own."""
    port = free_port()
    with ExitStack() as stack:
        every = {
            verb: stack.enter_context(managed(verb, tmp_path / verb, port))
            for verb in ("web", "worker", "scheduler")
        }
        for verb, (listener, _) in every.items():
            assert heard(listener, START_S) == ALIVE, verb
        socket.create_connection(("127.0.0.1", port)).close()
        for verb, (listener, _) in every.items():
            forget(listener)
            assert heard(listener, EVERY_S) == ALIVE, verb
        for listener, process in every.values():
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            forget(listener)
        end = time.monotonic() + OFTEN_S + 2
        for verb, (listener, _) in every.items():
            assert heard(listener, max(end - time.monotonic(), 0.1)) is None, verb
        for verb, (listener, process) in every.items():
            process.send_signal(signal.SIGCONT)
            assert heard(listener, EVERY_S) == ALIVE, verb


def test_units_wait_longer_than_some_heartbeats() -> None:
    watched = [seconds for name in services() for seconds in service(name).get("WatchdogSec", [])]
    assert len(watched) == 3
    assert min(map(int, watched)) > 3 * EVERY_S
