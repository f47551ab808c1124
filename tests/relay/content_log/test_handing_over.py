"""P31: what a web process hands over to the writer of its content log, and what it does when that
writer dies, without a process."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from content.log.kept import Kept
from lib.ids import new_id
from relay.content_log import content_log
from relay.content_log.content_log import ContentLog, _name_of
from relay.content_log.entry import (
    Caller,
    Connection,
    Ended,
    Line,
    NewEntry,
    Ready,
    Setup,
    SpanContent,
    Submitted,
    frame,
    read_for_writer,
)


class Writer:
    """A writer, by what it is sent."""

    def __init__(self) -> None:
        self.got: list[Submitted] = []
        self.calls: list[str] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._connection = Connection(self._take)

    def _take(self, raw: bytes) -> None:
        message = read_for_writer(raw)
        assert isinstance(message, Submitted)
        self.got.append(message)

    def send(self, raw: bytes) -> None:
        # However it is cut.
        self._connection.data_received(raw[:5])
        self._connection.data_received(raw[5:])

    def send_eof(self) -> None:
        self.calls.append("eof")

    def abort(self) -> None:
        self.calls.append("abort")

    @property
    def models(self) -> str:
        return "".join(one.entry.model for one in self.got)


class Spans:
    def __init__(self, without: Sequence[UUID] = ()) -> None:
        self.without = without
        self.ended: list[tuple[UUID, SpanContent]] = []

    def wait_for_content(self, request_id: UUID) -> bool:
        return request_id not in self.without

    def end_waiting(self, request_id: UUID, content: SpanContent) -> None:
        self.ended.append((request_id, content))


class Log(ContentLog):
    """A content log whose writers are those here, and ready at once."""

    def __init__(self, spans: Any = None) -> None:
        super().__init__(Setup("", "", 1.0), spans=spans)
        self.writers: list[Writer] = []
        self.pauses: list[bool] = []

    async def _run_writer(self) -> int:
        self._works = False
        writer = Writer()
        self.writers.append(writer)
        self._connection: Any = writer
        self._receive(Ready())
        try:
            return await writer.ended
        finally:
            self._is_ready, self._connection = False, None

    def end(self, entries: int = 1, dropped: int = 0, **contents: Any) -> None:
        """Let the present writer end entries."""
        self._receive(Ended(entries, dropped, contents.get("contents", {})))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_log, "_PAUSE_S_MIN", 0.0)
    monkeypatch.setattr(content_log, "_TOGETHER_S", 0.0)


def entry(model: str, size: int = 1) -> NewEntry:
    caller = Caller(new_id(), new_id(), new_id(), None)
    return NewEntry(
        new_id(), caller, None, model, "openai", "chat_completions", 200, 1.0, 1, 24, (), {},
        Kept(b"x" * size),
    )  # fmt: skip


async def turns() -> None:
    """Let everything happen that can."""
    for _ in range(8):
        await asyncio.sleep(0)


async def begun(*models: str, spans: Any = None) -> Log:
    log = Log(spans)
    for model in models:
        assert log.add(entry(model))
    await turns()
    return log


async def test_first_entry_is_sent_alone_and_the_rest_once_it_is_written() -> None:
    log = await begun("a", "b", "c")
    (writer,) = log.writers
    assert writer.models == "a"
    # Those that come now wait as well.
    log.add(entry("d"))
    await turns()
    assert writer.models == "a"
    log.end()
    assert writer.models == "abcd"
    log.end(2, dropped=1)
    assert log.take_dropped() == 1
    assert log.take_dropped() == 0
    log.end()
    assert log._bytes == log._sent_bytes == 0
    log.add(entry("e"))
    assert writer.models == "abcd"
    await turns()
    assert writer.models == "abcde"


async def test_writer_has_a_part_of_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_log, "_SENT_BYTES_MAX", 3_000)
    log = await begun("a", *"bcd")
    (writer,) = log.writers
    log.end()
    # Of about 1,200 bytes each.
    assert writer.models == "abc"
    log.end()
    assert writer.models == "abcd"


async def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    size = content_log._ENTRY_BYTES + len(frame(Submitted(entry("a"))))
    monkeypatch.setattr(content_log, "WAITING_BYTES_MAX", 3 * size)
    log = Log()
    assert [log.add(entry("a")) for _ in range(4)] == [True, True, True, False]
    assert log.take_dropped() == 1
    await turns()
    # What is with the writer is there twice.
    assert log._bytes == 4 * size
    log.end()
    assert log._bytes == 4 * size
    log.end(2)
    assert log._bytes == 0


async def test_next_writer_has_what_the_last_one_did_not_finish(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spans = Spans()
    log = await begun("a", "b", "c", spans=spans)
    log.end(contents={})
    log.writers[0].ended.set_result(-9)
    await turns()
    second = log.writers[1]
    assert second.models == "b"
    assert [one.described for one in second.got] == [True]
    second.ended.set_result(1)
    await turns()
    # Two writers died of it.
    third = log.writers[2]
    assert (third.models, log.take_dropped()) == ("c", 1)
    lost = second.got[0].entry.request_id
    assert spans.ended[1:] == [(lost, {})]
    log.end()
    third.ended.set_result(0)
    await turns()
    assert len(log.writers) == 3
    assert log._bytes == log._sent_bytes == 0
    assert caplog.messages == [
        "the writer of the content log ended with SIGKILL",
        "1 requests are missing from the content log: their writer died",
        "the writer of the content log ended with exit code 1",
    ]


async def test_writer_that_cannot_start_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log, run, errors = Log(), Log._run_writer, [OSError("no process"), RuntimeError("no thread")]

    async def fail(self: Log) -> int:
        if errors:
            raise errors.pop(0)
        return await run(self)

    monkeypatch.setattr(Log, "_run_writer", fail)
    log.add(entry("a"))
    await turns()
    await turns()
    assert [writer.models for writer in log.writers] == ["a"]
    assert caplog.messages == [
        "the writer of the content log cannot start: no process",
        "the writer of the content log cannot start: no thread",
    ]


async def test_pauses_grow_until_a_writer_works(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, timeout = list[float](), asyncio.timeout

    def noted(seconds: float) -> Any:
        pauses.append(seconds)
        return timeout(0)

    monkeypatch.setattr(content_log, "_PAUSE_S_MIN", 1.0)
    monkeypatch.setattr(content_log, "_PAUSE_S_MAX", 5.0)
    monkeypatch.setattr(asyncio, "timeout", noted)
    log = Log()
    for number in range(9):
        log.add(entry("a"))
        await turns()
        if number == 4:
            log.end()
        log.writers[-1].ended.set_result(1)
        await turns()
    assert pauses[:4] == [2.0, 4.0, 5.0, 5.0]
    assert pauses[4:6] == [1.0, 2.0]


async def test_span_ends_with_the_content_of_its_request() -> None:
    plain = entry("a")
    spans = Spans(without=[plain.request_id])
    log = Log(spans)
    log.add(plain)
    log.add(described := entry("b"))
    log.add(missing := entry("c"))
    await turns()
    log.end()
    log.end(2, contents={described.request_id: {"said": "hello"}})
    assert [one.described for one in log.writers[0].got] == [False, True, True]
    assert spans.ended == [(described.request_id, {"said": "hello"}), (missing.request_id, {})]


async def test_stop_hands_over_all_and_waits_for_it() -> None:
    log = await begun("a", "b", "c")
    (writer,) = log.writers
    stop = asyncio.create_task(log.stop())
    await turns()
    assert (writer.models, writer.calls) == ("abc", ["eof"])
    assert not log.add(entry("d"))
    log.end(3)
    writer.ended.set_result(0)
    await stop
    assert (log.take_dropped(), writer.calls) == (1, ["eof", "eof"])
    unused = Log()
    await unused.stop()
    assert unused.writers == []


async def test_stop_does_not_wait_for_a_writer_that_finishes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(content_log, "_SILENT_S", 0.0)
    spans = Spans()
    log = await begun("a", "b", spans=spans)
    await log.stop()
    assert log.take_dropped() == 2
    assert log.writers[0].calls == ["eof", "abort"]
    assert len(spans.ended) == 2
    assert caplog.messages == ["2 requests are missing from the content log: the process stops"]


async def test_lines_of_the_writer_are_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    Log()._receive(Line(logging.WARNING, "relay.writer", "50 % of it"))
    assert caplog.record_tuples == [("relay.writer", logging.WARNING, "50 % of it")]


def test_end_of_a_writer_has_its_name() -> None:
    assert [_name_of(code) for code in (-15, 3, -200)] == [
        "SIGTERM",
        "exit code 3",
        "exit code -200",
    ]


def test_connection_sends_until_it_is_over() -> None:
    class Transport:
        def __getattr__(self, name: str) -> Any:
            return lambda *values: calls.append((name, *values))

    calls: list[Any] = []
    ends: list[str] = []
    for on_eof, ended in ((None, False), (lambda: ends.append("eof"), True)):
        connection = Connection(lambda raw: None, on_eof)
        connection.send(b"too early")
        connection.connection_made(Transport())  # type: ignore[arg-type]
        connection.send(b"frame")
        connection.send_eof()
        connection.send_eof()
        connection.close()
        connection.abort()
        assert calls == [("write", b"frame"), ("write_eof",), ("close",), ("abort",)]
        calls.clear()
        # With `on_eof`, what is still to be said can be.
        assert connection.eof_received() is ended
        connection.connection_lost(None)
        connection.send(b"too late")
        assert connection.closed.is_set()
        assert calls == []
    assert ends == ["eof", "eof"]


def test_frames_are_read_however_they_come() -> None:
    got: list[bytes] = []
    connection = Connection(got.append)
    messages = [msgspec.msgpack.encode(Line(1, "n", "x" * size)) for size in (0, 3, 300)]
    raw = b"".join(len(one).to_bytes(4, "big") + one for one in messages)
    for cut in range(0, len(raw), 3):
        connection.data_received(raw[cut : cut + 3])
    connection.data_received(raw)
    assert got == messages * 2
