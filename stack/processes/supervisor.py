"""Start children in order, keep them alive, and stop them in reverse order; leaves are stopped
first, and all of them concurrently.

One event loop in the main thread owns every child: the kernel ties a child's death to the thread
that started it (stack/processes/leash.py), so no other thread may start one.

A child that ends is restarted after a pause, which doubles from 0.5 to 30 seconds and is reset once
the child has lived for a minute. A child that ends three times in a row without having been
established (ready, or alive for some seconds) counts as misconfigured: the whole installation then
ends with the child's last lines.
"""

import asyncio
import atexit
import datetime as dt
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from lib.process.line_writer import WAITING_BYTES_MAX, LineWriter
from stack.processes.processes import CannotStart, leashed_command
from stack.processes.spare import Adopted, Spare

LINE_BYTES_MAX = 16_384
TAIL_LINES = 20
READY_POLL_SECONDS = 0.02
PAUSE_BYTES = WAITING_BYTES_MAX // 2
PAUSE_SECONDS = 0.1
COLOURS = (36, 32, 33, 35, 34)


@dataclass(frozen=True)
class Child:
    """One supervised process.

    `stop` is the signal to end normally; `orphan` ends it when this process is gone. While nobody
    reads our output, a child with its `own_log` (lib/process/line_writer.py) is not read either: it
    drops lines, and counts them in /metrics. The lines of all other children are read and dropped
    here, because a database that waits until its log is read would serve nobody. `ready` tells
    whether the child serves; without it, a child is established by living long enough. `ready` and
    `before`, which runs before every start, are called in a thread. No other child depends on a
    `leaf`. `farewell` matches lines about a client that disconnected; they are not shown after a
    stop was requested. `passed` are file descriptors that it inherits. `on_line` is called with
    each printed line; if it returns true, the line is not shown. `begun` is set once the first
    process has done what no later one repeats: if it ends before, the child has failed. The `spare`
    becomes the first process, if there is one, with the environment that it has.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop: signal.Signals = signal.SIGTERM
    orphan: signal.Signals = signal.SIGKILL
    drop: str = "keep"
    ready: Callable[[], bool] | None = None
    before: Callable[[], None] | None = None
    leaf: bool = False
    farewell: str | None = None
    own_log: bool = False
    passed: tuple[int, ...] = ()
    on_line: Callable[[str], bool] | None = None
    begun: asyncio.Event | None = None
    spare: Spare | None = None


@dataclass(frozen=True)
class Patience:
    """Times in seconds, and the number of failed starts that ends the installation."""

    pause_first: float = 0.5
    pause_max: float = 30
    healthy_after: float = 60
    established_after: float = 5
    deaths_max: int = 3
    ready_within: float = 60
    stop_within: float = 10
    stop_reserve: float = 1.5
    same_signal_within: float = 1


class ChildFailed(Exception):
    """A child does not serve. `tail` has its last lines."""

    def __init__(self, name: str, reason: str, tail: Sequence[str]) -> None:
        super().__init__(f"{name} {reason}")
        self.tail = list(tail)


class Console:
    """Prints the children's lines with their aligned names, or as JSON objects. Lines wait until
    the start is finished.
    """

    def __init__(self, names: Sequence[str], colour: bool) -> None:
        self.quiet = True
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, COLOURS * len(names), strict=False)) if colour else {}

    def show(self, name: str, line: str) -> None:
        if self.quiet:
            return
        if LOGS_JSON:
            OUTPUT.put(json_line(name, line))
            return
        label = f"{name:{self._width}} |"
        if name in self._colours:
            label = f"\x1b[{self._colours[name]}m{label}\x1b[0m"
        log_line(f"{label} {line}")


def log_line(line: str) -> None:
    """Write a line of the supervisor itself, without waiting for a reader."""
    OUTPUT.put(json_line("stack", line.strip()) if LOGS_JSON else line)


def json_line(process: str, line: str) -> str:
    """Return a line as a JSON object with the name of its process. If the line is a JSON object,
    the name is added to it."""
    with suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict):
            return json.dumps({**entry, "process": process})
    time = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"time": time, "level": "INFO", "logger": process, "message": line, "process": process}
    return json.dumps(entry)


def compose_notice(lines: int) -> str:
    line = f"{lines} lines were dropped: the output was not read in time"
    return json_line("stack", line) if LOGS_JSON else line


LOGS_JSON = os.environ.get("LOG_FORMAT") == "json"
OUTPUT = LineWriter(1, compose_notice)
# A stopped reader, or one that left (a closed terminal, a pipe to head), must neither block the
# children nor end the installation.
atexit.register(OUTPUT.close)


def describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def popen(
    command: Sequence[str], environment: Mapping[str, str], output: int, passed: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # Ctrl-C reaches only this process, which stops the children in order
        start_new_session=True,
        pass_fds=passed,
    )


def _start(child: Child, output: int) -> "subprocess.Popen[bytes] | Adopted":
    if child.spare is not None and (adopted := child.spare.become(child.command, output)):
        return adopted
    command = leashed_command(list(child.command), orphan_signal=child.orphan, drop=child.drop)
    return popen(command, child.environment, output, child.passed)


class Process:
    """One run of a command, with its exit as a future and its output line by line. `start` starts
    it with the descriptor of its output."""

    def __init__(
        self,
        start: Callable[[int], "subprocess.Popen[bytes] | Adopted"],
        on_line: Callable[[str], None],
        own_log: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_line = on_line
        self._own_log = own_log
        self._buffer = b""
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        try:
            self._process = start(output)
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(output)
        self._loop.add_reader(self._output, self._read)
        threading.Thread(target=self._watch, daemon=True).start()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill_all(self) -> None:
        """Kill the child and everything that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def read_on(self) -> None:
        """Read all lines from now on: a process that ends must not wait for the reader of our
        output."""
        self._own_log = False
        self._read()

    def _watch(self) -> None:
        code = self._process.wait()
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            self._loop.call_soon_threadsafe(self._end, code)

    def _end(self, code: int) -> None:
        self.kill_all()
        self.read_on()
        if self._output >= 0:
            self._close()
        if not self.exited.done():
            self.exited.set_result(code)

    def _read(self) -> None:
        while self._output >= 0:
            if self._own_log and OUTPUT.waiting_bytes > PAUSE_BYTES:
                self._loop.remove_reader(self._output)
                self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            try:
                chunk = os.read(self._output, 65_536)
            except BlockingIOError:
                return
            if not chunk:
                self._close()
                return
            *lines, self._buffer = (self._buffer + chunk).split(b"\n")
            for line in lines:
                self._on_line(line.decode(errors="replace").rstrip())
            if len(self._buffer) > LINE_BYTES_MAX:
                self._flush()

    def _resume(self) -> None:
        if self._output >= 0:
            self._loop.add_reader(self._output, self._read)

    def _flush(self) -> None:
        if self._buffer:
            self._on_line(self._buffer.decode(errors="replace").rstrip())
            self._buffer = b""

    def _close(self) -> None:
        self._flush()
        self._loop.remove_reader(self._output)
        os.close(self._output)
        self._output = -1


class Kept:
    """A child and its current state."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.process: Process | None = None
        self.established = asyncio.Event()
        self.keeper: asyncio.Task[None] | None = None


class Supervisor:
    def __init__(self, console: Console, patience: Patience = Patience()) -> None:
        self._console = console
        self._patience = patience
        self._kept: list[Kept] = []
        self._stopping = False
        self._stop_asked = asyncio.Event()
        self._stop_asked_at = 0.0
        self._hurry = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def supervise(self, story: Coroutine[Any, Any, None]) -> None:
        """Run `story`, which starts the children, and keep them alive until a stop is requested.
        SIGINT, SIGTERM and SIGHUP request it; a second signal hurries it. Returns after every child
        has stopped. Raises the story's exceptions, or ChildFailed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.ask_stop)
        telling = asyncio.create_task(story)
        stop = asyncio.create_task(self._stop_asked.wait())
        waiting: set[asyncio.Future[Any]] = {telling, stop, self._failed}
        try:
            while not self._stop_asked.is_set():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    finished.result()
        finally:
            for task in (telling, stop):
                task.cancel()
            await asyncio.gather(telling, stop, return_exceptions=True)
            await self._stop()

    def ask_stop(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._stop_asked.is_set():
            self._stop_asked_at = now
            self._stop_asked.set()
        elif now - self._stop_asked_at >= self._patience.same_signal_within:
            # make forwards a SIGTERM that the whole process group may already have received.
            self._hurry.set()

    def launch(self, child: Child) -> Kept:
        """Start `child` and keep it alive, without waiting until it serves."""
        kept = Kept(child)
        self._kept.append(kept)
        kept.keeper = asyncio.create_task(self._keep(kept))
        return kept

    async def start(self, child: Child) -> None:
        """Start `child`, keep it alive, and return when it serves."""
        await self.serving(self.launch(child))

    async def serving(self, kept: Kept) -> None:
        """Return when the child serves. Raises ChildFailed if that takes too long."""
        try:
            async with asyncio.timeout(self._patience.ready_within):
                await kept.established.wait()
        except TimeoutError as error:
            reason = f"was not ready within {self._patience.ready_within:g} s"
            raise ChildFailed(kept.child.name, reason, kept.tail) from error

    async def run(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> list[str]:
        """Run a command to its end and return its lines; each is also passed to `on_line` as it
        arrives. Raises ChildFailed unless it exits with 0.
        """
        lines: list[str] = []

        def keep_line(line: str) -> None:
            lines.append(line)
            on_line(line)

        leashed = leashed_command(list(command))
        process = Process(partial(popen, leashed, environment), keep_line)
        try:
            code = await asyncio.shield(process.exited)
        finally:
            process.kill_all()
        if code != 0:
            raise ChildFailed(name, f"ended with {describe(code)}", lines[-TAIL_LINES:])
        return lines

    async def _keep(self, kept: Kept) -> None:
        child, patience = kept.child, self._patience
        loop = asyncio.get_running_loop()
        pause = patience.pause_first
        deaths = 0
        while not self._stopping:
            started = loop.time()
            reason = await self._live_once(kept)
            if self._stopping:
                return
            if not kept.established.is_set():
                deaths += 1
                failed = child.begun is not None and not child.begun.is_set()
                if failed or deaths >= patience.deaths_max:
                    if not self._failed.done():
                        self._failed.set_exception(ChildFailed(child.name, reason, kept.tail))
                    return
            if loop.time() - started >= patience.healthy_after:
                pause = patience.pause_first
            log_line(f"{child.name} {reason}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, patience.pause_max)

    async def _live_once(self, kept: Kept) -> str:
        """Run the child once. Return in words how it ended."""
        child = kept.child

        def on_line(line: str) -> None:
            if child.on_line is not None and child.on_line(line):
                return
            kept.tail.append(line)
            if self._stopping and child.farewell is not None and child.farewell in line:
                return
            self._console.show(child.name, line)

        try:
            if child.before is not None:
                await asyncio.to_thread(child.before)
            if self._stopping:
                return "was not started"
            kept.process = Process(partial(_start, child), on_line, child.own_log)
        except (OSError, CannotStart) as error:
            on_line(str(error))
            return "could not be started"
        establishing = asyncio.create_task(self._establish(kept))
        code = await asyncio.shield(kept.process.exited)
        kept.process = None
        establishing.cancel()
        return f"ended with {describe(code)}"

    async def _establish(self, kept: Kept) -> None:
        if kept.child.ready is None:
            await asyncio.sleep(self._patience.established_after)
        else:
            while True:
                if await asyncio.to_thread(kept.child.ready):
                    break
                await asyncio.sleep(READY_POLL_SECONDS)
        kept.established.set()

    async def _stop(self) -> None:
        """Stop the leaves, then the others in reverse order. They share the remaining time."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.stop_within
        leaves = [kept for kept in self._kept if kept.child.leaf]
        others = [[kept] for kept in reversed(self._kept) if not kept.child.leaf]
        steps = [leaves, *others]
        for later, step in zip(reversed(range(len(steps))), steps, strict=True):
            left = deadline - loop.time() - later * self._patience.stop_reserve
            seconds = max(left, self._patience.stop_reserve)
            await asyncio.gather(*(self._stop_one(kept, seconds) for kept in step))

    async def _stop_one(self, kept: Kept, seconds: float) -> None:
        process = kept.process
        if process is not None:
            process.read_on()
            process.send(kept.child.stop)
            hurry = asyncio.create_task(self._hurry.wait())
            ends: set[asyncio.Future[Any]] = {process.exited, hurry}
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._hurry.is_set():
                await asyncio.wait({process.exited}, timeout=self._patience.pause_first)
            hurry.cancel()
            if not process.exited.done():
                log_line(f"{kept.child.name} did not stop in time and was killed")
                process.kill_all()
                await process.exited
        if kept.keeper is not None:
            kept.keeper.cancel()
            await asyncio.gather(kept.keeper, return_exceptions=True)
