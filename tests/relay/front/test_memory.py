"""P9: bounded memory, whatever the peer does: nobody who reads slowly or not at all, no answer that
never ends its line, and none that unpacks to more than it is takes the process's memory."""

import asyncio
import contextlib
import json
import socket
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.front.request import ClientWatch
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.many import Post, post_all
from tests.support.hub import Hub, Tenant, running_hub

KIB, MIB = 1024, 1024 * 1024
# A token of the endless stream costs nothing that matters; the hold is for a million of them.
CHEAP = {"in_text": 1, "out_text": 1}
PATIENT = {"connect": 3, "first_content": 60, "idle": 60, "total": 120}


@pytest.fixture(scope="module")
def lonely() -> Iterator[Hub]:
    """A process of its own, whose memory nobody else grows. However long it takes to be answered:
    signs of life would come before the errors."""
    with running_hub({"KEEP_ALIVE_SECONDS": "600"}) as hub:
        yield hub


def memory(hub: Hub) -> int:
    """Resident bytes of the process."""
    assert hub.process is not None
    status = Path(f"/proc/{hub.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * KIB


def measured(hub: Hub) -> int:
    """Resident bytes now, from which on the peak is counted."""
    assert hub.process is not None
    Path(f"/proc/{hub.process.pid}/clear_refs").write_text("5")
    return memory(hub)


def peak(hub: Hub) -> int:
    """The most that it had since then."""
    assert hub.process is not None
    status = Path(f"/proc/{hub.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * KIB


@contextlib.contextmanager
def dead_readers(hub: Hub, tenant: Tenant, body: Any, count: int) -> Iterator[None]:
    """Clients that ask and never read."""
    raw = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: hub\r\n"
        f"authorization: Bearer {tenant.key}\r\ncontent-length: {len(raw)}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
            client.connect(("127.0.0.1", hub.port))
            client.sendall(head + raw)
        yield


def is_idle(hub: Hub, fake: FakeUpstream, count: int) -> bool:
    """Whether so many answers are open, none of them moves any more, and the hub has read all that
    was on its way to it."""
    assert hub.process is not None
    stat = Path(f"/proc/{hub.process.pid}/stat")
    seen, doing = [], set()
    for _ in range(40):
        seen.append(fake.totals())
        fields = stat.read_text().rpartition(")")[2].split()
        # Its state, and the ticks of processor time that it has used.
        doing.add((fields[0], fields[11], fields[12]))
    still = len({one["version"] for one in seen}) == 1 and len(doing) == 1
    return still and seen[-1]["open"] == count and fields[0] == "S"


@pytest.mark.slow
def test_dead_readers(lonely: Hub) -> None:
    """The upstream is held back, not the answer piled up: 256 KiB for each such stream (P9)."""
    with FakeUpstream(name="endless", directives="#fault=F18 #uncapped", process=True) as fake:
        tenant = lonely.tenant("100.00")
        model = lonely.model(fake, rates=CHEAP, timeouts=PATIENT)
        body = ask(model, stream=True, max_tokens=10_000_000)
        # The first ones also grow what all of them share.
        with dead_readers(lonely, tenant, body, 10):
            lonely.wait(lambda: is_idle(lonely, fake, 10), "the streams go on", seconds=60)
            before = memory(lonely)
            with dead_readers(lonely, tenant, body, 30):
                lonely.wait(lambda: is_idle(lonely, fake, 40), "they go on", seconds=60)
                assert (memory(lonely) - before) / 30 <= 256 * KIB


def test_lines_that_never_end(lonely: Hub) -> None:
    """An event may have 32 MiB, all unfinished ones of a process as much together; what is aborted
    is told as any malformed answer (F17)."""
    with FakeUpstream(name="endless", process=True) as fake:
        tenant = lonely.tenant("100.00")
        model = lonely.model(
            fake, rates=CHEAP, timeouts=PATIENT, retries=0, breaker={"enabled": False}
        )
        before = measured(lonely)
        body = ask(model, "#fault=F17", stream=True)
        # What the first twelve gathered has gone when the next come.
        for _ in range(3):
            answers = post_all(lonely, [Post(tenant.key, "/v1/chat/completions", body)] * 12)
            assert {answer.status for answer in answers} == {502}
            assert {answer.error["code"] for answer in answers} == {"upstream_malformed"}
        # A growing buffer is half as large again for a moment.
        assert peak(lonely) - before <= 128 * MIB
        # What was gathered is given back: a large event still finds room.
        answers = post_all(lonely, [Post(tenant.key, "/v1/chat/completions", body)])
        assert answers[0].error["code"] == "upstream_malformed"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_bombs(lonely: Hub, stream: bool) -> None:
    """F20: nothing is unpacked: of eight times 16 MiB not one is seen."""
    with FakeUpstream(name="bomb") as fake:
        tenant = lonely.tenant()
        model = lonely.model(fake, timeouts=PATIENT, retries=0)
        before = measured(lonely)
        body = ask(model, "#fault=F20:bomb #bytes=16777216", stream=stream)
        answers = post_all(lonely, [Post(tenant.key, "/v1/chat/completions", body)] * 8)
        assert {(one.status, one.error["code"]) for one in answers} == {(502, "upstream_error")}
        assert peak(lonely) - before <= 64 * MIB


class _Answered:
    """A request with its body, as far as its watch knows it."""

    def leave(self) -> None:
        raise AssertionError("its client has not gone")


async def test_watched_request_is_freed_at_its_end() -> None:
    """P9: nothing of it waits for the collection of garbage."""
    run = _Answered()
    gone = weakref.ref(run)
    watch = ClientWatch(_nothing_comes, run.leave)
    watch._begin()
    await asyncio.sleep(0)
    watch.stop()
    del run, watch
    # The task hears that it is cancelled, and the loop lets go of it; tests collect no garbage.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert gone() is None


async def _nothing_comes() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


# ---- files up, and files down

# As long as those of clients are.
BOUNDARY = b"0123456789abcdef" * 2


def upload(port: int, key: str, model: str, size: int) -> bytes:
    """Send a form with a file of so many bytes, a piece of it at a time; the answer."""
    head = (
        b"--"
        + BOUNDARY
        + b'\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nID3'
    )
    tail = (
        b"\r\n--"
        + BOUNDARY
        + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
        + model.encode()
        + b"\r\n--"
        + BOUNDARY
        + b"--\r\n"
    )
    fields = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(head) + size + len(tail)}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        client.sendall(fields.encode() + head)
        for _ in range(size // MIB):
            client.sendall(bytes(MIB))
        client.sendall(tail)
        return b"".join(iter(lambda: client.recv(MIB), b""))


def download(port: int, key: str, model: str, size: int) -> int:
    """Ask for speech of so many bytes; how many came."""
    body = {"model": model, "input": f"hello #bytes={size}", "voice": "alloy"}
    raw = json.dumps(body).encode()
    fields = (
        f"POST /v1/audio/speech HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        client.sendall(fields.encode() + raw)
        return sum(map(len, iter(lambda: client.recv(MIB), b"")))


@pytest.mark.slow
def test_a_file_of_100_mib_passes_through(lonely: Hub, fake: FakeUpstream) -> None:
    """P9: up and down, and nothing of it is left on the disk."""
    tenant = lonely.tenant("1000")
    way = (lonely.port, tenant.key)
    received, spoken = (lonely.model(fake, rates={name: 1}) for name in ("audio_ms", "characters"))
    assert b"200 OK" in upload(*way, received, MIB)
    assert download(*way, spoken, MIB) > MIB
    before = measured(lonely)
    assert b"200 OK" in upload(*way, received, 100 * MIB)
    assert peak(lonely) - before < 20 * MIB
    before = measured(lonely)
    assert download(*way, spoken, 100 * MIB) > 100 * MIB
    assert peak(lonely) - before < 20 * MIB
    assert not list(lonely.spool.glob("tmp*"))
