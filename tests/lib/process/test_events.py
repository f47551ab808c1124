"""What a process tells its readers: pages, logs and the service manager."""

import socket
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lib.ids import id_text
from lib.process import service_manager
from lib.process.log_context import REQUEST_ID, current_request_id
from lib.process.server_sent import event_stream, server_sent
from lib.process.ticks import seconds_to_next


def test_message_of_a_stream() -> None:
    assert server_sent("a") == "data: a\n\n"
    assert server_sent("a\nb\r\nc\rd") == "data: a\ndata: b\ndata: c\ndata: d\n\n"
    assert server_sent("a", id="7", event="rows") == "id: 7\nevent: rows\ndata: a\n\n"
    assert server_sent("", event="place") == "event: place\ndata: \n\n"


async def test_no_proxy_holds_a_stream_back() -> None:
    async def messages() -> AsyncIterator[str]:
        yield server_sent("a")

    response = event_stream(messages())
    assert response["X-Accel-Buffering"] == "no"
    assert response["Content-Type"].startswith("text/event-stream")
    assert [part async for part in response] == [b"data: a\n\n"]


def test_log_lines_have_the_id_that_the_client_received() -> None:
    id = uuid.uuid4()
    for value, text in ((id, id_text(id)), ("task-7", "task-7"), (None, None)):
        token = REQUEST_ID.set(value)
        assert current_request_id() == text
        REQUEST_ID.reset(token)


@pytest.mark.parametrize("abstract", [False, True])
def test_service_manager_is_told_of_life(monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notify"
        name = f"@{path}" if abstract else str(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("\0" + name[1:] if abstract else name)
            manager.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            assert service_manager.is_there()
            service_manager.notify_alive()
            assert manager.recv(100).split() == [b"READY=1", b"WATCHDOG=1"]
        service_manager.notify_alive()  # it is away now
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not service_manager.is_there()
    service_manager.notify_alive()


@pytest.mark.parametrize(
    ("period", "now", "left"),
    [(10, 3, 7), (10, 10, 10), (10, 9.2, 0.8), (10, 9.6, 10.4), (1, 5.99, 1.01)],
)
def test_tick_is_a_multiple_of_its_period(period: float, now: float, left: float) -> None:
    """A timer that fires a moment early means the tick after it."""
    assert seconds_to_next(period, now) == pytest.approx(left)
