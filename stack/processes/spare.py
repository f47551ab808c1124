"""A fork of the web process that becomes the worker.

The worker needs most of the code that the web process loads. A fork shares the memory of that code
with its parent, and need not load it. The web process forks as soon as its code is loaded, before
it has threads or connections; the fork, the *spare*, waits until the worker is due:

    web process --fork--> a parent that ends --fork--> spare --order--> worker

Meanwhile the supervisor adopts orphans, so it can wait for the spare as for its other children, and
the kernel ends the spare with it. Only Linux has that. Elsewhere, and when the worker is started
again, it loads its code itself.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stack.processes import leash

PR_SET_CHILD_SUBREAPER = 36
_ADOPT_SECONDS = 5
_ORDER_BYTES_MAX = 16_384
_LOOK_SECONDS = 0.001


class Adopted:
    """A process that became a child of this one when its parent ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = False
        # Once it is waited for, another process may get its pid.
        self._lock = threading.Lock()

    def wait(self) -> int:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._ended = True
            _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, number: int) -> None:
        with self._lock:
            if not self._ended:
                os.kill(self.pid, number)


class Spare:
    """The supervisor's side. `theirs` is the descriptor that the web process inherits."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(_ADOPT_SECONDS)
        self._adopted: Adopted | None = None
        _adopt_orphans(True)

    @property
    def theirs(self) -> int:
        return self._theirs.fileno()

    def adopt(self) -> None:
        """Wait for the spare, and adopt no other orphan."""
        with suppress(TimeoutError):
            pid = int(self._ours.recv(_ORDER_BYTES_MAX))
            self._adopted = Adopted(pid) if pid else None
        _adopt_orphans(False)

    def become(self, command: Sequence[str], output: int) -> Adopted | None:
        """Let the spare run `command`, which starts with Python, its options and the module Celery,
        and write to `output`. Return None if there is no spare, or no longer."""
        adopted, self._adopted = self._adopted, None
        if adopted is not None:
            socket.send_fds(self._ours, [json.dumps(command).encode()], [output])
        return adopted


def _adopt_orphans(adopts: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0)


def has_threads() -> bool:
    """Return whether this process of Linux has more than one thread."""
    return len(os.listdir("/proc/self/task")) > 1


def fork_spare(descriptor: int) -> None:
    """Fork a process that waits for its order, and return in this one. A process with threads, such
    as those that an extension began, is not forked: its fork would lack them."""
    if has_threads():
        with socket.socket(fileno=descriptor) as orders:
            orders.send(b"0")
        return
    supervisor = os.getppid()
    middle = os.fork()
    if middle:
        os.close(descriptor)
        os.waitpid(middle, 0)
        return
    middle = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    # The web process alone serves the address, and its pipe is no other's.
    for number in map(int, os.listdir("/proc/self/fd")):
        if number not in (0, 1, 2, descriptor):
            with suppress(OSError):  # the one that has listed them
                os.close(number)
    while os.getppid() == middle:
        time.sleep(_LOOK_SECONDS)
    leash.follow(supervisor, signal.SIGKILL)
    _serve_order(socket.socket(fileno=descriptor))


def _serve_order(orders: socket.socket) -> None:
    orders.send(str(os.getpid()).encode())
    order, outputs, _, _ = socket.recv_fds(orders, _ORDER_BYTES_MAX, 1)
    orders.close()
    for stream in (1, 2):
        os.dup2(outputs[0], stream)
    os.close(outputs[0])
    command = json.loads(order)
    _show_command(command)
    sys.argv = command[command.index("celery") :]
    warnings.filterwarnings("ignore", "You're running the worker with superuser")
    from celery.__main__ import main

    sys.exit(main())


def _show_command(command: Sequence[str]) -> None:
    """Let lists of processes show `command` instead of the web process's."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # proc(5): arg_start and arg_end
    if start:
        text = b"\0".join(map(os.fsencode, command))[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
