"""P31: the process that writes the content log dies, hangs, or loses its web process. No request
waits for it, and what it does not keep is counted."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from content.log.kept import Kept
from lib.ids import new_id
from lib.vault import Vault
from relay.content_log import content_log, entry_writer, writer_process
from relay.content_log.content_log import ContentLog
from relay.content_log.entry import (
    Caller,
    Connection,
    Line,
    NewEntry,
    Setup,
    SpanContent,
    read_from_writer,
)
from relay.content_log.entry_writer import EntryWriter
from relay.database.database import PipelinedConnection
from tests.bench.process import tree
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import add_rule, asked, entries, kept
from tests.relay.content_log.writers import DEADLY, SILENT
from tests.support.hub import Hub, Tenant, running_hub

FAILING = "tests.relay.content_log.writers"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def model(hub: Hub, fake: FakeUpstream) -> str:
    return hub.model(fake)


@pytest.fixture
def tenant(hub: Hub) -> Tenant:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    return tenant


def test_signals_to_stop_do_not_end_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent to all processes of an installation at once, and the entries of the web process
    come later."""
    handlers: dict[int, Any] = {}

    async def serve(describe: object) -> int:
        return 1

    monkeypatch.setattr(signal, "signal", handlers.setdefault)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(writer_process, "_serve", serve)
    with pytest.raises(SystemExit) as ended:
        writer_process.main()
    assert ended.value.code == 1
    assert handlers == dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), signal.SIG_IGN)


async def test_log_of_the_writer_reaches_the_web_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the place of a defect; and standard error, once the web process is gone."""
    sent: list[Any] = []
    connection = Connection(lambda _: None)
    connection.connection_made(
        cast(Any, SimpleNamespace(write=lambda raw: sent.append(read_from_writer(raw[4:]))))
    )
    log = logging.Logger("relay.test")
    log.addHandler(writer_process._LogOfWebProcess(connection))
    log.warning("%d texts", 2)
    try:
        raise ValueError("the cause")
    except ValueError:
        log.exception("a defect")
    warning, defect = sent
    assert warning == Line(logging.WARNING, "relay.test", "2 texts")
    assert (defect.level, defect.name) == (logging.ERROR, "relay.test")
    assert defect.text.startswith("a defect\nTraceback")
    assert "ValueError: the cause" in defect.text
    assert capsys.readouterr().err == ""
    connection.connection_lost(None)
    log.error("too late")
    assert len(sent) == 2
    assert capsys.readouterr().err == "ERROR relay.test: too late\n"


def test_size_of_an_entry_is_that_of_request_and_answer() -> None:
    entry = new_entry("m", 5)
    assert entry.size == 5
    answered = msgspec.structs.replace(entry.kept, answer=b"123")
    assert msgspec.structs.replace(entry, kept=answered).size == 8


def writers(hub: Hub) -> list[int]:
    """The processes that write the content log of the hub's web process."""
    assert hub.process is not None
    return [pid for pid in tree(hub.process.pid) if b"writer_process" in command_line(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def writer_of(hub: Hub) -> int:
    """The only one, once it is there."""
    hub.wait(lambda: len(writers(hub)) == 1, "there is not one writer")
    return writers(hub)[0]


def dropped(hub: Hub) -> int:
    rows = hub.rows("SELECT value FROM gateway_traffictotal WHERE family = 'content_dropped'")
    return sum(row["value"] for row in rows)


def ask(hub: Hub, tenant: Tenant, model: str) -> None:
    path, body = asked("openai", model, "Hello", stream=False)
    answer = hub.post(tenant, body, path=path)
    assert (answer.status, answer.headers["x-weir-content-log"]) == (200, "kept")


def begin(hub: Hub, tenant: Tenant, model: str) -> int:
    """Ask once; the writer, after it has written that."""
    path, body = asked("openai", model, "Hello", stream=False)
    kept(hub, tenant, hub.post(tenant, body, path=path))
    return writer_of(hub)


def test_without_a_rule_no_process_is_started(hub: Hub, model: str) -> None:
    hub.stop()
    hub.start()
    path, body = asked("openai", model, "Hello", stream=False)
    assert hub.post(hub.tenant(), body, path=path).status == 200
    assert writers(hub) == []


def test_secrets_are_in_no_argument(hub: Hub, tenant: Tenant, model: str) -> None:
    line = command_line(begin(hub, tenant, model))
    for secret in (os.environ["WEIR_KEK"], hub.dsn):
        assert secret.encode() not in line


def test_writer_that_is_killed_is_replaced_and_loses_nothing(
    hub: Hub, tenant: Tenant, model: str
) -> None:
    first, before = begin(hub, tenant, model), dropped(hub)
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, hub, tenant, model) for _ in range(60)]
        asking[15].result()
        os.kill(first, signal.SIGKILL)
        for one in asking:
            one.result()
    hub.wait(lambda: len(entries(hub, tenant)) == 61, "requests are not kept")
    assert writer_of(hub) != first
    assert "the writer of the content log ended with SIGKILL" in hub.log()
    hub.stop()
    hub.start()
    assert dropped(hub) == before


def test_stop_in_order_writes_all(hub: Hub, tenant: Tenant, model: str) -> None:
    """Also when the signal comes to all processes, as from a service manager."""
    writer, before = begin(hub, tenant, model), dropped(hub)
    os.kill(writer, signal.SIGTERM)
    for _ in range(20):
        ask(hub, tenant, model)
    hub.stop()
    assert command_line(writer) == b""
    hub.start()
    assert (len(entries(hub, tenant)), dropped(hub)) == (21, before)


def test_writer_ends_with_a_web_process_that_is_killed(
    hub: Hub, tenant: Tenant, model: str
) -> None:
    writer = begin(hub, tenant, model)
    hub.kill()
    hub.wait(lambda: command_line(writer) == b"", "the writer does not end")
    hub.start()


def test_requests_do_not_wait_for_a_writer_that_hangs(hub: Hub, tenant: Tenant, model: str) -> None:
    writer, before = begin(hub, tenant, model), dropped(hub)
    os.kill(writer, signal.SIGSTOP)
    for _ in range(5):
        ask(hub, tenant, model)
    assert len(entries(hub, tenant)) == 1
    hub.stop()
    assert command_line(writer) == b""
    hub.start()
    assert (len(entries(hub, tenant)), dropped(hub)) == (1, before + 5)
    assert "5 requests are missing from the content log" in hub.log()


# ---- a web process's side, with writers that fail


class Spans:
    """Spans of all requests."""

    def __init__(self) -> None:
        self.ended: dict[UUID, SpanContent] = {}
        self._more = asyncio.Event()

    def wait_for_content(self, request_id: UUID) -> bool:
        return True

    def end_waiting(self, request_id: UUID, content: SpanContent) -> None:
        self.ended[request_id] = content
        self._more.set()

    async def wait_for(self, count: int) -> None:
        """Return when so many have ended."""
        async with asyncio.timeout(120):
            while len(self.ended) < count:
                self._more.clear()
                await self._more.wait()


def new_entry(model: str, size: int = 1) -> NewEntry:
    caller = Caller(new_id(), new_id(), new_id(), None)
    return NewEntry(
        new_id(), caller, None, model, "openai", "chat_completions", 200, 1.0, 1, 24, (), {},
        Kept(b"x" * size),
    )  # fmt: skip


def with_writer(path: Path, work: Callable[[ContentLog, Spans], Awaitable[None]]) -> list[str]:
    """What the failing writers have written when some work is done and the log has stopped."""
    path.touch()

    async def run() -> None:
        spans = Spans()
        log = ContentLog(Setup(str(path), "", 1.0), FAILING, spans)
        await work(log, spans)
        await log.stop()

    asyncio.run(run())
    return path.read_text().split()


def test_request_that_writers_die_of_is_dropped_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent to `_SENDINGS_MAX` writers, one after the other."""
    monkeypatch.setattr(content_log, "_PAUSE_S_MIN", 0.0)
    added = [new_entry(model) for model in ("a", "b", DEADLY, "c", "d")]

    async def work(log: ContentLog, spans: Spans) -> None:
        for entry in added:
            assert log.add(entry)
        await spans.wait_for(len(added))
        assert log.take_dropped() == 1
        assert [spans.ended[entry.request_id] for entry in added] == [
            {"model": "a"}, {"model": "b"}, {}, {"model": "c"}, {"model": "d"},
        ]  # fmt: skip

    assert with_writer(tmp_path / "written", work) == ["a", "b", "c", "d"]


def test_what_waits_for_a_silent_writer_is_bounded_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 MiB in both processes: what the writer has is there twice."""
    monkeypatch.setattr(content_log, "_SILENT_S", 0.1)

    async def work(log: ContentLog, spans: Spans) -> None:
        log.add(new_entry("a"))
        await spans.wait_for(1)
        kept = [log.add(new_entry(SILENT, MIB)) for _ in range(16)]
        log._send()
        kept += [log.add(new_entry(SILENT, MIB)) for _ in range(64)]
        assert log._bytes <= content_log.WAITING_BYTES_MAX
        # 15 are with the writer.
        assert sum(kept) == 63 - 15
        assert log.take_dropped() == 80 - sum(kept)
        waiting.append(sum(kept))
        logs.append(log)

    logs, waiting = list[ContentLog](), list[int]()
    assert with_writer(tmp_path / "written", work) == ["a"]
    assert logs[0].take_dropped() == waiting[0]


def test_writer_that_gets_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_writer, "IDLE_S", 0.0)
    reports = list[Any]()
    connection = PipelinedConnection("host=127.0.0.1 port=1", 1.0)
    writer = EntryWriter(connection, Vault(os.environ["WEIR_KEK"]), reports.append)
    asyncio.run(writer.run())
    assert reports == []


def test_log_starts_another_writer_after_one_that_ended(tmp_path: Path) -> None:
    async def work(log: ContentLog, spans: Spans) -> None:
        for number, model in enumerate(("a", "b"), 1):
            log.add(new_entry(model))
            await spans.wait_for(number)
            assert log._connection is not None
            assert log._keeper is not None
            log._connection.send_eof()
            await log._keeper
        assert log.take_dropped() == 0

    assert with_writer(tmp_path / "written", work) == ["a", "b"]
