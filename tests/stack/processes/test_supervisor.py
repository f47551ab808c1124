import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from stack.processes import supervisor as supervisor_module
from stack.processes.processes import wait_gone
from stack.processes.supervisor import (
    COLOURS,
    Child,
    ChildFailed,
    Console,
    Patience,
    Supervisor,
)

HASTY = Patience(pause_first=0.02, pause_max=0.08, established_after=30, stop_within=5)
WAIT_SECONDS = 20

# Prints a line, then waits until it is told to stop, and says so.
OBEDIENT = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
signal.sigwait([signal.SIGTERM])
print("down", flush=True)
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""


class RecordingConsole(Console):
    """Keeps what the children say, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__([], colour=False)
        self.lines: list[tuple[str, str]] = []
        self._news: asyncio.Queue[None] = asyncio.Queue()

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._news.put_nowait(None)

    async def times(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(count):
                await self._news.get()


def child(name: str, program: str) -> Child:
    return Child(name, [sys.executable, "-S", "-c", program], dict(os.environ))


async def test_children_stop_in_reverse_order() -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received, HASTY)

    async def story() -> None:
        for name in ("first", "second", "third"):
            supervisor.launch(child(name, OBEDIENT))
            await received.times(1)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    assert received.lines[3:] == [("third", "down"), ("second", "down"), ("first", "down")]


async def test_leaves_stop_together_before_what_they_depend_on(tmp_path: Path) -> None:
    """A worker may need the time that waiting for the beat to end would take."""
    received = RecordingConsole()
    supervisor = Supervisor(received, HASTY)
    # A FIFO opens only when it is opened from both sides: each leaf waits for the other.
    meeting = tmp_path / "meeting"
    os.mkfifo(meeting)

    async def story() -> None:
        supervisor.launch(child("base", OBEDIENT))
        for name, mode in (("left", "r"), ("right", "w")):
            waits = f"open({str(meeting)!r}, {mode!r}).close()\nprint"
            program = OBEDIENT.replace('print("down"', f'{waits}("down"')
            supervisor.launch(replace(child(name, program), leaf=True))
        await received.times(3)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    assert sorted(received.lines[3:5]) == [("left", "down"), ("right", "down")]
    assert received.lines[5:] == [("base", "down")]


async def test_exits_are_reported_only_while_not_stopping() -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received, HASTY)
    program = OBEDIENT.replace('"up"', '"a client is lost"').replace('"down"', '"a client is lost"')

    async def story() -> None:
        supervisor.launch(replace(child("base", program), farewell="client is lost"))
        await received.times(1)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    assert received.lines == [("base", "a client is lost")]


async def test_restarts_have_growing_pauses(
    capfd: pytest.CaptureFixture[str],
) -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received, Patience(**{**vars(HASTY), "deaths_max": 99}))

    async def story() -> None:
        supervisor.launch(child("web", "print('one life'); raise SystemExit(3)"))
        await received.times(6)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    messages = [line for line in capfd.readouterr().out.splitlines() if "exit code 3" in line]
    pauses = [line.split(" in ")[1] for line in messages[:5]]
    assert pauses == ["0.02 s", "0.04 s", "0.08 s", "0.08 s", "0.08 s"]


async def test_healthy_run_restores_the_short_pause(
    capfd: pytest.CaptureFixture[str],
) -> None:
    received = RecordingConsole()
    healthy_at_once = Patience(**{**vars(HASTY), "deaths_max": 99, "healthy_after": 0})
    supervisor = Supervisor(received, healthy_at_once)

    async def story() -> None:
        supervisor.launch(child("web", "print('one life')"))
        await received.times(4)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    messages = [line for line in capfd.readouterr().out.splitlines() if "again" in line]
    assert {line.split(" in ")[1] for line in messages} == {"0.02 s"}


async def test_child_that_never_serves_ends_everything_with_its_last_lines() -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received, HASTY)

    async def story() -> None:
        supervisor.launch(child("steady", OBEDIENT))
        await received.times(1)
        supervisor.launch(child("web", "raise SystemExit('no such setting')"))

    with pytest.raises(ChildFailed, match="web ended with exit code 1") as failed:
        await supervisor.supervise(story())
    assert failed.value.tail == ["no such setting"] * HASTY.deaths_max
    assert ("steady", "down") in received.lines


async def test_a_child_that_has_served_is_never_given_up(tmp_path: Path) -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received, HASTY)
    lives = tmp_path / "lives"
    program = f"""
with open({str(lives)!r}, "a") as file:
    file.write("x")
print("up", flush=True)
"""

    async def story() -> None:
        command = [sys.executable, "-S", "-c", program]
        await supervisor.start(Child("web", command, dict(os.environ), ready=lives.exists))
        while len(lives.read_text()) < HASTY.deaths_max + 2:
            await received.times(1)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    assert len(lives.read_text()) >= HASTY.deaths_max + 2


async def test_child_that_does_not_stop_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received, Patience(stop_within=0.1, stop_reserve=0.1))

    async def story() -> None:
        supervisor.launch(child("stuck", STUBBORN))
        await received.times(1)
        supervisor.ask_stop()

    await supervisor.supervise(story())
    assert "stuck did not stop in time and was killed" in capfd.readouterr().out


async def test_a_second_signal_hurries() -> None:
    received = RecordingConsole()
    supervisor = Supervisor(
        received, Patience(pause_first=0.01, stop_within=600, same_signal_within=0)
    )

    async def story() -> None:
        supervisor.launch(child("stuck", STUBBORN))
        await received.times(1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    async with asyncio.timeout(WAIT_SECONDS):
        await supervisor.supervise(story())


async def test_a_failed_step_stops_the_children_and_is_told() -> None:
    received = RecordingConsole()
    heard_of_prepare: list[str] = []
    supervisor = Supervisor(received, HASTY)

    async def story() -> None:
        supervisor.launch(child("steady", OBEDIENT))
        await received.times(1)
        await supervisor.run(
            "prepare",
            [sys.executable, "-S", "-c", "print('no table'); raise SystemExit(7)"],
            dict(os.environ),
            heard_of_prepare.append,
        )

    with pytest.raises(ChildFailed, match="prepare ended with exit code 7") as failed:
        await supervisor.supervise(story())
    assert failed.value.tail == heard_of_prepare == ["no table"]
    assert received.lines == [("steady", "up"), ("steady", "down")]


async def test_step_that_a_signal_ends_has_failed() -> None:
    """As the kernel ends one for which there is no memory."""
    command = [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"]
    with pytest.raises(ChildFailed, match="prepare ended with "):
        await Supervisor(RecordingConsole(), HASTY).run("prepare", command, dict(os.environ), print)


def test_each_child_has_a_colour_and_lines_wait_for_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    monkeypatch.setattr(supervisor_module, "OUTPUT", SimpleNamespace(put=written.append))
    names = [f"child{n}" for n in range(len(COLOURS) + 1)]
    console = Console([*names, "the longest"], colour=True)
    console.show(names[0], "early")
    console.quiet = False
    for name in names:
        console.show(name, "up")
    assert written == [
        f"\x1b[{colour}m{name:11} |\x1b[0m up"
        for name, colour in zip(names, (*COLOURS, COLOURS[0]), strict=True)
    ]
    Console(names, colour=False).show(names[0], "quiet")
    plain = Console(names, colour=False)
    plain.quiet = False
    plain.show(names[0], "up")
    assert written[len(names) :] == ["child0 | up"]


KEEPER = """
import asyncio, os, sys
from tests.stack.processes.test_supervisor import OBEDIENT, STUBBORN, RecordingConsole, HASTY, child
from stack.processes.supervisor import Supervisor

async def main():
    heard = RecordingConsole()
    supervisor = Supervisor(heard, HASTY)
    async def story():
        for name, program in (("a", OBEDIENT), ("b", STUBBORN)):
            supervisor.launch(child(name, "import os; print(os.getpid(), flush=True)" + program))
        await heard.times(4)
        pids = [line for _, line in heard.lines if line.isdecimal()]
        print(*pids, flush=True)
    await supervisor.supervise(story())

asyncio.run(main())
"""


@pytest.fixture
def keeper() -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.kill()


def test_kill_9_leaves_no_child(keeper: "subprocess.Popen[str]") -> None:
    assert keeper.stdout is not None
    pids = [int(word) for word in keeper.stdout.readline().split()]
    assert len(pids) == 2
    keeper.kill()
    assert all(wait_gone(pid, WAIT_SECONDS) for pid in pids)


MERGING = """
import asyncio, sys
from stack.processes.supervisor import OUTPUT, Child, Console, Supervisor

async def main():
    console = Console(["web"], colour=False)
    console.quiet = False
    supervisor = Supervisor(console)
    program, own_log = sys.argv[1], bool(sys.argv[2:])
    command = [sys.executable, "-c", program]
    async def story():
        supervisor.launch(Child("web", command, {}, own_log=own_log))
    await supervisor.supervise(story())

asyncio.run(main())
if sys.argv[2:]:
    with open(sys.argv[2], "w") as file:
        file.write(str(OUTPUT.dropped))
"""


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start a supervisor of one child, whose output nobody reads."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *more: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", MERGING, program, *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_stopped_reader_blocks_neither_children_nor_shutdown(
    tmp_path: Path, unread: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    """P34: a child that knows nothing of this writes more than any pipe takes, to its end, and a
    SIGTERM ends all of it in order."""
    wrote, down = tmp_path / "wrote", tmp_path / "down"
    much = f"""
for _ in range(20_000):
    print("x" * 1000)
print("all", flush=True)
open({str(wrote)!r}, "w").close()
"""
    program = OBEDIENT.replace('print("up", flush=True)', much)
    program = program.replace('print("down", flush=True)', f'open({str(down)!r}, "w").close()')
    process = unread(program)
    until(wrote.exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS) == 0
    assert down.exists()


def test_child_with_its_own_log_drops_and_counts_its_lines(
    tmp_path: Path, unread: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    """P34: /metrics counts what the web process drops, not what the supervisor does."""
    by_child, by_supervisor = tmp_path / "child", tmp_path / "supervisor"
    much = f"""
from lib.process.line_writer import LineWriter
writer = LineWriter(1, str)
for _ in range(20_000):
    writer.put("x" * 1000)
open({str(by_child)!r}, "w").write(str(writer.dropped))
"""
    process = unread(OBEDIENT.replace('print("up", flush=True)', much), str(by_supervisor))
    until(by_child.exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS) == 0
    assert int(by_child.read_text()) > 0
    # Once it is stopped, a child is read to its end.
    assert int(by_supervisor.read_text()) < int(by_child.read_text())


def test_with_json_logs_each_merged_line_is_an_object() -> None:
    program = (
        """
import json
print("plain")
print(json.dumps({"level": "WARNING", "message": "own"}), flush=True)
"""
        + OBEDIENT
    )
    process = subprocess.Popen(
        [sys.executable, "-c", MERGING, program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LOG_FORMAT": "json"},
    )
    assert process.stdout is not None
    try:
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        lines += [json.loads(line) for line in process.stdout]
    finally:
        process.kill()
        process.communicate()
    assert [line["message"] for line in lines] == ["plain", "own", "up", "down"]
    assert {line["process"] for line in lines} == {"web"}
    assert lines[1]["level"] == "WARNING"


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10 * WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


async def test_step_of_an_ending_child_is_not_awaited() -> None:
    """Nor is it done again: its own words tell why it ended."""
    supervisor = Supervisor(RecordingConsole())

    begun = asyncio.Event()

    async def story() -> None:
        program = "print('no disk', flush=True); raise SystemExit(7)"
        supervisor.launch(replace(child("web", program), begun=begun))
        await begun.wait()

    with pytest.raises(ChildFailed, match="web ended with exit code 7") as failure:
        await supervisor.supervise(story())
    assert failure.value.tail == ["no disk"]  # once


async def test_private_child_output_is_in_no_log() -> None:
    received = RecordingConsole()
    supervisor = Supervisor(received)
    heard: list[str] = []

    def hear(line: str) -> bool:
        heard.append(line)
        return line == "secret"

    async def story() -> None:
        program = "print('secret', flush=True)\n" + OBEDIENT
        kept = supervisor.launch(replace(child("web", program), on_line=hear))
        await received.times(1)
        assert "secret" not in kept.tail
        supervisor.ask_stop()

    await supervisor.supervise(story())
    assert [line for _, line in received.lines] == ["up", "down"]
    assert heard == ["secret", "up", "down"]
