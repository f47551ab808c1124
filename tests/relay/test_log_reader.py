"""P34: a reader of the log that stops, or is slow, keeps no request waiting; what is dropped is
counted; SIGTERM ends the process in order."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.prepare import load_queues
from stack.up import worker_command
from tests.hub import ROOT, Hub
from tests.relay.chatty import LINES, LONG

WAIT_S = 120.0


@contextmanager
def start_into_pipe(hub: Hub, path: Path) -> Iterator[int]:
    """A hub that writes its log into a pipe, and the end of it that is read."""
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    hub._log = path
    hub.application = "tests.from_source"
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


def test_a_reader_that_stops_keeps_no_request_waiting(own_hub: Hub, tmp_path: Path) -> None:
    tenant = own_hub.tenant()
    manager = own_hub.key(tenant, kind="management")
    own_hub.person(manager)
    own_hub.connection.execute("UPDATE accounts_membership SET role = 'owner'")
    with start_into_pipe(own_hub, tmp_path / "log"):
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


BEAT = [sys.executable, "-m", "celery", "--app", "config.celery", "--quiet", "beat", "--pidfile="]


@pytest.mark.parametrize("command", [worker_command(), BEAT], ids=["worker", "beat"])
def test_a_worker_and_a_beat_go_on_without_a_reader(own_hub: Hub, command: list[str]) -> None:
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
