"""P9: 100 MB pass in both directions within 5 MB of memory, however slow either end is."""

import hashlib
import http.client
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.channels.passthrough.rules import PassThroughRule
from lib.ids import id_text
from tests.relay.endpoints.passthrough.passing import channel_of
from tests.relay.endpoints.passthrough.provider import PIECE, Handler, Provider, running_provider
from tests.relay.front.test_memory import measured, peak
from tests.support.hub import Hub, Tenant, running_hub

MIB = 1024 * 1024
PIECES = 100 * MIB // len(PIECE)
ANSWERED = len(PIECE) * PIECES
RULES = [PassThroughRule(("GET", "POST"), "/**", "0.01")]


@pytest.fixture(scope="module")
def lonely() -> Iterator[Hub]:
    """A process of its own, whose memory nobody else grows."""
    with running_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.answers["/large"] = _answer_large
        provider.answers["/chunks"] = _answer_chunks
        yield provider


def _answer_large(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/octet-stream")
    handler.send_header("content-length", str(ANSWERED))
    handler.end_headers()
    for _ in range(PIECES):
        handler.wfile.write(PIECE)


def _answer_chunks(handler: Handler) -> None:
    handler.begin("application/octet-stream")
    for _ in range(PIECES):
        handler.chunk(PIECE)
    handler.chunk(b"")


def _exchange(
    hub: Hub, tenant: Tenant, path: str, pieces: int, *, chunked: bool
) -> tuple[int, int, str]:
    """Send so many pieces and read the answer in pieces; its status, size and id."""
    with closing(http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)) as client:
        headers = {"authorization": f"Bearer {tenant.key}"}
        if not chunked:
            headers["content-length"] = str(pieces * len(PIECE))
        body = (PIECE for _ in range(pieces))
        client.request("POST", path, body, headers, encode_chunked=chunked)
        answer, size = client.getresponse(), 0
        while piece := answer.read(len(PIECE)):
            size += len(piece)
        return answer.status, size, answer.headers["x-request-id"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/large", "/chunks"])
def test_hundred_megabytes_up_and_down_take_no_memory(
    lonely: Hub, provider: Provider, path: str, chunked: bool
) -> None:
    root, tenant = channel_of(lonely, provider, RULES), lonely.tenant("1.00")
    # The first ones also grow what all of them share.
    _exchange(lonely, tenant, root + path, 160, chunked=chunked)
    before = measured(lonely)
    status, size, request_id = _exchange(lonely, tenant, root + path, PIECES, chunked=chunked)
    growth = peak(lonely) - before
    print(f"{path}, chunked={chunked}: {growth / MIB:.2f} MiB")  # noqa: T201 - seen with -s
    assert (status, size) == (200, ANSWERED)
    assert provider.last.size == ANSWERED
    assert provider.last.digest == hashlib.sha256(PIECE * PIECES).hexdigest()
    assert growth <= 5_000_000
    assert lonely.record(request_id)["charge_nano"] == 10_000_000


def test_slow_reader_holds_back_the_other_end(lonely: Hub, provider: Provider) -> None:
    read, go_on = threading.Event(), threading.Event()

    def read_late(handler: Handler) -> None:
        read.set()
        go_on.wait(30)
        left = int(handler.headers["content-length"])
        while left:
            left -= len(handler.rfile.read(min(left, len(PIECE))))
        _answer_large(handler)

    provider.answers["early /late"] = read_late
    root, tenant = channel_of(lonely, provider, RULES), lonely.tenant("1.00")
    before = measured(lonely)
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        client.connect(("127.0.0.1", lonely.port))
        head = f"POST {root}/late HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall(f"{head}content-length: {ANSWERED}\r\n\r\n".encode())
        assert read.wait(30)
        # Nobody reads: the client is held back once the buffers on the way are full.
        client.setblocking(False)
        sent = _fill(client)
        assert sent < ANSWERED // 2
        go_on.set()
        client.setblocking(True)
        client.settimeout(60)
        while sent < ANSWERED:
            client.sendall(PIECE[: min(len(PIECE), ANSWERED - sent)])
            sent += min(len(PIECE), ANSWERED - sent)
        received = 0
        while received < ANSWERED:
            received += len(client.recv(65536))
    assert peak(lonely) - before <= 5_000_000


def _fill(client: socket.socket) -> int:
    """Send until nothing more is taken for a while, or an answer is there; how much was sent."""
    sent = 0
    while sent < ANSWERED:
        # What is sent after an answer is dropped, and in the end resets the connection.
        readable, writable, _ = select.select([client], [client], [], 0.5)
        if readable or not writable:
            break
        sent += client.send(PIECE)
    return sent


def test_provider_that_stops_reading_is_a_timeout(lonely: Hub, provider: Provider) -> None:
    go_on = threading.Event()

    def wait(handler: Handler) -> None:
        go_on.wait(20)

    provider.answers["early /stuck"] = wait
    timeouts = {"connect": 3, "first_content": 60, "idle": 0.3, "total": 60}
    root = channel_of(lonely, provider, RULES, timeouts=timeouts)
    tenant = lonely.tenant("1.00")
    with closing(socket.create_connection(("127.0.0.1", lonely.port), 30)) as client:
        head = f"POST {root}/stuck HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall(f"{head}content-length: {ANSWERED}\r\n\r\n".encode())
        client.setblocking(False)
        _fill(client)
        client.setblocking(True)
        client.settimeout(30)
        assert client.recv(65536).startswith(b"HTTP/1.1 504")
    go_on.set()
    lonely.settled(tenant)
    assert _ended(lonely, tenant)[0] == 504
    assert lonely.balance(tenant)["customer:available"] == 10**9


def test_client_leaving_its_upload_pays_nothing(lonely: Hub, provider: Provider) -> None:
    root, tenant = channel_of(lonely, provider, RULES), lonely.tenant("1.00")
    with closing(socket.create_connection(("127.0.0.1", lonely.port), 30)) as client:
        head = f"POST {root}/large HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall(f"{head}content-length: {ANSWERED}\r\n\r\n".encode() + PIECE)
        arrived = len(provider.seen)
        lonely.wait(lambda: _attempts(lonely, tenant) == 1, "it is not admitted")
        lonely.wait(lambda: len(provider.seen) > arrived - 1, "it is not sent")
    lonely.settled(tenant)
    assert _ended(lonely, tenant) == (499, "none", 0)
    assert lonely.balance(tenant)["customer:available"] == 10**9
    lonely.assert_books_balance()


def test_client_leaving_its_answer_pays_the_request(lonely: Hub, provider: Provider) -> None:
    root, tenant = channel_of(lonely, provider, RULES), lonely.tenant("1.00")
    broken = threading.Event()

    def answer(handler: Handler) -> None:
        try:
            _answer_chunks(handler)
        except OSError:
            broken.set()
            raise

    provider.answers["/left"] = answer
    with closing(socket.create_connection(("127.0.0.1", lonely.port), 30)) as client:
        head = f"GET {root}/left HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall(f"{head}\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    # P6: the provider notices.
    assert broken.wait(10)
    lonely.settled(tenant)
    assert _ended(lonely, tenant) == (499, "drained", 10_000_000)
    lonely.assert_books_balance()


def test_provider_that_answers_early_stops_the_upload(lonely: Hub, provider: Provider) -> None:
    body = b'{"too": "large"}'
    provider.answers["early /early"] = lambda handler: handler.reply(body, status=413)
    root, tenant = channel_of(lonely, provider, RULES), lonely.tenant("1.00")
    with closing(socket.create_connection(("127.0.0.1", lonely.port), 30)) as client:
        head = f"POST {root}/early HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall(f"{head}content-length: {ANSWERED}\r\n\r\n".encode() + PIECE)
        answer = b""
        while body not in answer:
            answer += client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")
    lonely.settled(tenant)
    assert _ended(lonely, tenant) == (413, "none", 0)


def test_body_beyond_the_limit_is_refused(lonely: Hub, provider: Provider) -> None:
    root, tenant = channel_of(lonely, provider, RULES), lonely.tenant("1.00")
    before = len(provider.seen)
    with closing(socket.create_connection(("127.0.0.1", lonely.port), 30)) as client:
        head = f"POST {root}/x HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall(f"{head}content-length: {1024 * MIB + 1}\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 413")
    assert len(provider.seen) == before
    assert _attempts(lonely, tenant) == 0


def _attempts(hub: Hub, tenant: Tenant) -> int:
    query = "SELECT id FROM usage_attempt WHERE organisation_id = %s"
    return len(hub.rows(query, tenant.organisation_id))


def _ended(hub: Hub, tenant: Tenant) -> tuple[int, str, int]:
    """How the tenant's only request ended: status, basis, charge."""
    query = "SELECT request_id FROM usage_attempt WHERE organisation_id = %s"
    (row,) = hub.rows(query, tenant.organisation_id)
    ended = hub.record(id_text(row["request_id"]))
    return ended["status"], ended["basis"], ended["charge_nano"]
