"""P34: a reader of the log that stops, or is slow, keeps no request waiting; what is dropped is
counted; SIGTERM ends the process in order."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.database.prepare import load_queues
from stack.up import worker_command
from tests.fakes.upstream import FakeUpstream
from tests.relay.chatty import LINES, LONG
from tests.relay.crowd import crowd_beside, put_on
from tests.relay.load.test_overload import request_of
from tests.support.hub import ROOT, Hub, running_hub

WAIT_S = 120.0


@contextmanager
def start_into_pipe(
    hub: Hub, path: Path, application: str = "tests.support.from_source"
) -> Iterator[int]:
    """A hub that writes its log into a pipe, and the end of it that is read."""
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    hub._log = path
    hub.application = application
    try:
        hub.spawn()
        hub.wait(lambda: hub.get("/readyz").status == 200, "the hub does not become ready")
        yield reading
    finally:
        hub.kill()
        os.close(reading)


def read_rest(reading: int) -> bytes:
    raw = b""
    try:
        while chunk := os.read(reading, 65_536):
            raw += chunk
    except BlockingIOError:
        pass
    return raw


def count_dropped(hub: Hub) -> int:
    rows = hub.rows("SELECT value FROM gateway_traffictotal WHERE family = 'dropped_lines'")
    return sum(row["value"] for row in rows)


def ask_for_nothing(hub: Hub, word: str, times: int) -> None:
    """Eight at once ask for a page that there is not: each refusal is a line that names it."""
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: hub.get(f"/{word}").status, range(times))
        assert set(answers) == {404}


def test_stalled_log_reader_delays_no_request(own_hub: Hub, tmp_path: Path) -> None:
    tenant = own_hub.tenant()
    manager = own_hub.key(tenant, kind="management")
    own_hub.person(manager)
    own_hub.connection.execute("UPDATE accounts_membership SET role = 'owner'")
    with start_into_pipe(own_hub, tmp_path / "log", "tests.config.system.often"):
        # Nobody reads. Were a request to wait for that, none of these would be answered.
        ask_for_nothing(own_hub, LONG, LINES)
        own_hub.wait(lambda: count_dropped(own_hub) > 0, "no dropped line is counted")
        # The audit log is in the database, and loses nothing.
        body = {"name": "web", "team": "core"}
        answer = own_hub.post(manager, body, path="/api/v1/keys")
        assert answer.status == 201, answer.body
        query = "SELECT count(*) FROM accounts_auditevent WHERE action = 'key.created'"
        assert own_hub.rows(query)[0]["count"] == 1
        assert own_hub.process is not None
        own_hub.process.terminate()
        own_hub.ended()


def test_a_slow_reader_gets_every_line_whole(own_hub: Hub, tmp_path: Path) -> None:
    own_hub.environment["LOG_FORMAT"] = "json"
    raw = bytearray()
    with start_into_pipe(own_hub, tmp_path / "log") as reading:
        ended = threading.Event()

        def read_slowly() -> None:
            # Less than a line each time.
            while not ended.is_set():
                if select.select([reading], [], [], 0.01)[0]:
                    raw.extend(os.read(reading, 700))

        reader = threading.Thread(target=read_slowly)
        reader.start()
        try:
            ask_for_nothing(own_hub, LONG[:1_000], 100)
            own_hub.wait(lambda: raw.count(LONG[:1_000].encode()) >= 100, "the reader misses lines")
            assert own_hub.process is not None
            own_hub.process.terminate()
            own_hub.ended()
        finally:
            ended.set()
            reader.join()
        raw.extend(read_rest(reading))
    messages = [json.loads(line)["message"] for line in raw.decode().splitlines()]
    assert sum(LONG[:1_000] in message for message in messages) == 100
    # Those behind the shutdown of the application are written before the process ends.
    assert "Finished server process" in messages[-1]
    assert count_dropped(own_hub) == 0


@pytest.fixture
def provider() -> Iterator[FakeUpstream]:
    """One in a process of its own, so that it takes no time of those who ask."""
    with FakeUpstream(name="o", fsync=False, keep_bodies=False, process=True) as fake:
        yield fake


@pytest.mark.timed
@pytest.mark.slow
def test_requests_are_as_fast_without_a_log_reader(
    own_hub: Hub, provider: FakeUpstream, tmp_path: Path
) -> None:
    """Two hubs at once, so that whatever the machine does meets both: the log of one is read, the
    pipe of the other is full. Of each, four clients ask for chats and for pages that there are not,
    each of which is a long line of the log. p99 is within 100 ms; on a machine that lets every
    request take longer than that, within twice. Behind that, SIGTERM ends both."""
    with running_hub() as read_hub:
        read_hub.stop()
        with (
            start_into_pipe(own_hub, tmp_path / "full"),
            start_into_pipe(read_hub, tmp_path / "read"),
            subprocess.Popen(["cat", tmp_path / "read"], stdout=subprocess.DEVNULL) as reader,
        ):
            try:
                ask_for_nothing(own_hub, LONG, LINES)
                own_hub.wait(lambda: count_dropped(own_hub) > 0, "no dropped line is counted")
                before = count_dropped(own_hub)
                requests = {hub.port: mixed(hub, provider) for hub in (own_hub, read_hub)}
                pids = {hub.port: pid_of(hub) for hub in (own_hub, read_hub)}
                port, other = own_hub.port, read_hub.port
                with crowd_beside(other, requests[other], 4, pid=pids[other]) as beside:
                    full = put_on(port, requests[port], 4, seconds=20.0, pid=pids[port])
                    own_hub.wait(lambda: count_dropped(own_hub) > before, "no line is dropped")
                ended_s = []
                for hub in (own_hub, read_hub):
                    began = time.monotonic()
                    assert hub.process is not None
                    hub.process.terminate()
                    hub.ended()
                    ended_s.append(time.monotonic() - began)
            finally:
                reader.kill()
    print(  # noqa: T201
        f"\np99 without a reader {1000 * full.p99_s:.0f} ms of {len(full.served_s)}, beside one "
        f"{1000 * beside.p99_s:.0f} ms of {len(beside.served_s)}; ended in "
        f"{ended_s[0]:.1f} s and {ended_s[1]:.1f} s"
    )
    assert set(full.statuses) == set(beside.statuses) == {200, 404}
    assert full.lost_s == []
    assert full.untyped == []
    assert full.p99_s <= max(beside.p99_s + 0.1, 2 * beside.p99_s)


def mixed(hub: Hub, provider: FakeUpstream) -> list[bytes]:
    chat = request_of(hub.tenant("1000"), hub.model(provider), "#tokens=4")
    return [f"GET /{LONG} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode(), *4 * [chat]]


def pid_of(hub: Hub) -> int:
    assert hub.process is not None
    return hub.process.pid


BEAT = [sys.executable, "-m", "celery", "--app", "config.celery", "--quiet", "beat", "--pidfile="]


@pytest.mark.parametrize("command", [worker_command(), BEAT], ids=["worker", "beat"])
def test_worker_and_beat_run_without_a_log_reader(own_hub: Hub, command: list[str]) -> None:
    """Both count what they drop; SIGTERM ends them."""
    load_queues(own_hub.dsn)
    chatty = [one.replace("config.celery", "tests.relay.chatty") for one in command]
    environment = os.environ | {"DATABASE_URL": own_hub.dsn, "BROKER_URL": ""}
    reading, writing = os.pipe()
    process = subprocess.Popen(chatty, cwd=ROOT, env=environment, stdout=writing, stderr=writing)
    os.close(writing)
    try:
        own_hub.wait(lambda: count_dropped(own_hub) > 0, "no dropped line is counted")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)
