"""P34: a reader of the log that stops, or is slow, keeps no request waiting; what is dropped is
counted; SIGTERM ends the process in order."""

import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hub import Hub

# Each refused page is a line of the log that names its address: a few hundred fill the queue.
LONG = "x" * 20_000
MANY = 400


@contextmanager
def reader_of(hub: Hub, path: Path) -> Iterator[int]:
    """A hub that writes its log into a pipe of the smallest size, and the end that is read."""
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    hub._log = path
    try:
        hub.spawn()
        hub.wait(lambda: hub.get("/readyz").status == 200, "the hub does not become ready")
        yield reading
    finally:
        os.close(reading)
        hub.kill()


def times_of(hub: Hub, path: str, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.monotonic()
        assert hub.get(path).status == 404
        times.append(time.monotonic() - began)
    return times


def drain(reading: int) -> bytes:
    raw = b""
    try:
        while chunk := os.read(reading, 65_536):
            raw += chunk
    except BlockingIOError:
        pass
    return raw


def dropped(hub: Hub) -> int:
    rows = hub.rows("SELECT value FROM gateway_traffictotal WHERE family = 'log_lines_dropped'")
    return sum(row["value"] for row in rows)


def test_a_reader_that_stops_keeps_no_request_waiting(own_hub: Hub, tmp_path: Path) -> None:
    own_hub.environment["LOG_FORMAT"] = "json"
    with reader_of(own_hub, tmp_path / "log"):
        # Nobody reads. Were a request to wait for that, none of these would ever be answered.
        times = times_of(own_hub, f"/{LONG}", MANY)
        assert statistics.median(times) < 1
        own_hub.wait(lambda: dropped(own_hub) > 0, "no dropped line is counted")
        assert own_hub.process is not None
        own_hub.process.terminate()
        own_hub.ended()


def test_a_slow_reader_gets_whole_lines_and_a_sigterm_flushes_them(
    own_hub: Hub, tmp_path: Path
) -> None:
    own_hub.environment["LOG_FORMAT"] = "json"
    with reader_of(own_hub, tmp_path / "log") as reading:
        own_hub.get("/nothing-before")
        raw, ended = [], threading.Event()

        def read_slowly() -> None:
            while not ended.wait(0.001):
                raw.append(os.read(reading, 2_000) if poll(reading) else b"")
            raw.append(drain(reading))

        reader = threading.Thread(target=read_slowly)
        reader.start()
        times_of(own_hub, f"/{LONG[:1000]}", 100)
        assert own_hub.process is not None
        own_hub.process.terminate()
        own_hub.ended()
        ended.set()
        reader.join()
        lines = [json.loads(line) for line in b"".join(raw).decode().splitlines()]
        assert sum(LONG[:1000] in line["message"] for line in lines) == 100


def poll(reading: int) -> bool:
    import select

    return bool(select.select([reading], [], [], 0)[0])
