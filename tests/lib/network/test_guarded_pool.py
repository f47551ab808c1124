"""Pooled connections for brief requests: they are kept, judged, and never outlast their time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import pytest

from lib.network import egress
from lib.network.egress import (
    EgressDenied,
    EgressError,
    EgressFailed,
    EgressPolicy,
    GuardedNetwork,
    exchanged_at_most,
    guarded_client,
)
from lib.network.guarded_pool import BriefAnswer, Pool, exchanged_briefly, guarded_pool
from lib.network.outbound import DIRECT, Outbound
from tests.fakes.listeners import Authority

LOOPBACK = EgressPolicy(["127.0.0.1/32"])
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
LAST = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


class Host:
    """Answers each request of each connection by what stands there, then closes."""

    def __init__(self, *connections: Sequence[bytes], tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[bytes] = []
        self._connections = connections
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for answers in self._connections:
            connection, _ = self._listener.accept()
            with connection, suppress(OSError):
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                for answer in answers:
                    asked = connection.recv(65536)
                    if b"\r\nContent-Length: 2\r\n" in asked and not asked.endswith(b"{}"):
                        asked += connection.recv(65536)
                    self.asked.append(asked)
                    connection.sendall(answer)
                connection.close()

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@contextmanager
def host(*connections: Sequence[bytes]) -> Iterator[tuple[Host, Pool]]:
    there = Host(*connections)
    try:
        with guarded_pool(LOOPBACK, until=time.monotonic() + 5) as pool:
            yield there, pool
    finally:
        there.close()


def get(pool: Pool, url: str, key: str = "k", *, read_s: float = 1) -> BriefAnswer:
    return exchanged_briefly(
        pool, "GET", url, {"authorization": key}, b"",
        schemes=("http", "https"), read_s=read_s, bytes_max=100,
    )  # fmt: skip


def ask(there: Host, pool: Pool, target: str = "/v1/x") -> BriefAnswer:
    return get(pool, f"http://127.0.0.1:{there.port}{target}")


def test_one_connection_for_many_requests() -> None:
    with host([OK, CHUNKED, OK, LAST], [OK]) as (there, client):
        for target in ("/a", "/b?c", "?d", "", "/e"):
            assert ask(there, client, target)[::2] == (200, b"{}")
    lines = [request.partition(b"\r\n")[0].decode() for request in there.asked]
    assert lines == [f"GET {target} HTTP/1.1" for target in ("/a", "/b?c", "/?d", "/", "/e")]
    fields = there.asked[0].decode().lower().split("\r\n")
    assert sorted(fields[1:-2]) == [
        "accept-encoding: identity", "accept: */*", "authorization: k",
        f"host: 127.0.0.1:{there.port}", "user-agent: weir",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_answer_is_not_the_answer(status: bytes) -> None:
    """Nor is the answer that to the next request, which may be another customer's (P12)."""
    interim = b"HTTP/1.1 %b\r\nlink: <a>\r\n\r\n" % status
    other = OK.replace(b"{}", b"[]")
    with host([interim * 2 + OK, other]) as (there, client):
        assert ask(there, client)[::2] == (200, b"{}")
        assert ask(there, client)[::2] == (200, b"[]")


def test_errors_do_not_reveal_what_was_sent() -> None:
    """P14: a key that no field can hold is not put into a log for it."""
    with host() as (there, client):
        for key in ("sk-secret\n", "sk-secret-\N{SNOWMAN}"):
            with pytest.raises(EgressFailed) as failed:
                get(client, f"http://127.0.0.1:{there.port}/", key)
            assert "sk-" not in str(failed.value)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "broken"),
        (b"\r\n\r\n", "broken"),
        (b"nothing of HTTP\r\n\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 200_000 + b"\r\n\r\n", "broken"),
        (OK[:-1], "broken"),
        (CHUNKED[:-5], "broken"),
        (CHUNKED[:-9], "broken"),
        (CHUNKED.replace(b"1\r\n", b"x\r\n"), "broken"),
    ],
)
def test_broken_answer(answer: bytes, reason: str) -> None:
    with host([answer], [OK]) as (there, client):
        with pytest.raises(EgressFailed) as failed:
            ask(there, client)
        assert failed.value.reason == reason
        assert ask(there, client).status == 200


def test_oversized_late_and_missing_answers() -> None:
    large = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101
    with host([large], [OK]) as (there, client):
        assert ask(there, client)[::2] == (200, None)
        assert ask(there, client).body == b"{}"
        with (
            guarded_pool(LOOPBACK, until=time.monotonic()) as late,
            pytest.raises(EgressFailed) as failed,
        ):
            ask(there, late)
        assert failed.value.reason == "timeout"
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    with (
        silent,
        guarded_pool(LOOPBACK, until=time.monotonic() + 5) as client,
        pytest.raises(EgressFailed) as failed,
    ):
        get(client, url, read_s=0.01)
    assert failed.value.reason == "timeout"
    with (
        guarded_pool(LOOPBACK, until=time.monotonic() + 5) as client,
        pytest.raises(EgressFailed) as failed,
    ):
        get(client, url)
    assert failed.value.reason == "refused"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 200 OK\r\na: ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n",
    ],
)
@pytest.mark.parametrize("pooled", [True, False])
def test_an_answer_that_comes_byte_by_byte_ends_in_time(begun: bytes, pooled: bool) -> None:
    """Whatever it is in the middle of: who asks has others to ask."""
    ask = fetch_pooled if pooled else fetch
    with dripping(begun) as url, pytest.raises(EgressFailed) as failed:
        ask(url, time.monotonic() + 0.2)
    assert failed.value.reason == "timeout"


def fetch_pooled(url: str, until: float) -> None:
    with guarded_pool(LOOPBACK, until=until) as pool:
        get(pool, url)


def fetch(url: str, until: float) -> None:
    with guarded_client(LOOPBACK, until=until, schemes=("http",)) as client:
        exchanged_at_most(client, "GET", url, {}, b"", bytes_max=10_000)


class SlowHost(httpcore.SyncBackend):
    """Connects after `connect_s`, and takes a second for each piece of a request."""

    def __init__(self, connect_s: float) -> None:
        self.now = 0.0
        self._connect_s = connect_s

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        timeout = args[2]
        self.now += min(self._connect_s, timeout)
        if timeout < self._connect_s:
            raise httpcore.ConnectTimeout
        return SlowStream(self)

    def monotonic(self) -> float:
        return self.now


class SlowStream(httpcore.NetworkStream):
    def __init__(self, host: SlowHost) -> None:
        self._host = host

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._host.now += 1

    def get_extra_info(self, info: str) -> Any:
        return ("127.0.0.1", 443)


@pytest.mark.parametrize("connect_s", [9.0, 0.0])
def test_connecting_and_sending_end_in_time(
    monkeypatch: pytest.MonkeyPatch, connect_s: float
) -> None:
    """Neither a name with many silent addresses nor a host that reads slowly takes more time."""
    slow = SlowHost(connect_s)
    monkeypatch.setattr(egress, "time", slow)
    network = GuardedNetwork(LOOPBACK, lambda host, port: ["127.0.0.1"] * 100, None, until=10.0)
    monkeypatch.setattr(network, "_inner", slow)
    with pytest.raises(httpcore.TimeoutException):
        network.connect_tcp("many.example", 443, 3.0).write(b"x" * 1_000_000, 10.0)
    assert slow.now == 10


@contextmanager
def dripping(begun: bytes) -> Iterator[str]:
    """Yield the address of a host that answers with `begun`, and then byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        drips = threading.Thread(target=drip, args=(listener, begun))
        drips.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            drips.join()


def drip(listener: socket.socket, begun: bytes) -> None:
    """Send a byte again and again, for five seconds or until nobody reads them."""
    listener.settimeout(5)
    pause = threading.Event()
    with suppress(OSError), listener.accept()[0] as connection:
        connection.sendall(begun)
        for _ in range(500):
            connection.sendall(b"1")
            pause.wait(0.01)


def test_a_request_cannot_be_split_or_misdirected() -> None:
    with host([], [OK]) as (there, client):
        own = f"http://127.0.0.1:{there.port}"
        for url in (f"{own}@127.0.0.2/", f"{own}\\@a/", "http://127.0.0.2/", "/x", "", "ftp://a/"):
            with pytest.raises(EgressError):
                get(client, url)
        with pytest.raises(EgressError):
            get(client, f"{own}/", "b\r\nc: d")
        with pytest.raises(EgressError):
            ask(there, client, "/a\r\nx: y")
        assert ask(there, client).status == 200
    assert len(there.asked) == 1


def loopback(*_: object) -> list[str]:
    return ["127.0.0.1"]


def test_trusted_authorities(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(
        authority.certificate(tmp_path, "tasks.example", expired=False, trusted=True)
    )
    there = Host([], [], [OK, LAST], [OK], tls=tls)
    trusting = Outbound(ca_pem=authority.path.read_text())
    until = time.monotonic() + 5
    for host, outbound in (("tasks.example", DIRECT), ("other.example", trusting)):
        url = f"https://{host}:{there.port}/"
        with (
            guarded_pool(LOOPBACK, until=until, resolver=loopback, outbound=outbound) as one,
            pytest.raises(EgressFailed) as failed,
        ):
            get(one, url)
        assert failed.value.reason == "tls"
    url = f"https://tasks.example:{there.port}/"
    with guarded_pool(LOOPBACK, until=until, resolver=loopback, outbound=trusting) as client:
        for _ in range(3):
            answer = exchanged_briefly(client, "POST", url, {}, b"{}", bytes_max=9)
            assert answer.body == b"{}"
    there.close()
    assert [request.rpartition(b"\r\n\r\n")[2] for request in there.asked] == [b"{}"] * 3


def test_each_connection_is_checked() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    there = Host([LAST])
    url = f"http://rebind.example:{there.port}/"
    with guarded_pool(
        LOOPBACK, until=time.monotonic() + 5, resolver=lambda host, port: answers.pop(0)
    ) as client:
        assert get(client, url).status == 200
        with pytest.raises(EgressDenied):
            get(client, url)
    there.close()
    assert b"\r\nhost: rebind.example:" in there.asked[0].lower()


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_sent_data_arrives_whole(body: bytes) -> None:
    with host([OK, OK]) as (there, client):
        answer = exchanged_briefly(
            client, "POST", f"http://127.0.0.1:{there.port}/", {}, body,
            schemes=("http",), bytes_max=2,
        )  # fmt: skip
        assert (answer.status, answer.body) == (200, b"{}")
        longer = exchanged_briefly(
            client, "GET", f"http://127.0.0.1:{there.port}/", {}, b"",
            schemes=("http",), bytes_max=1,
        )  # fmt: skip
        assert (longer.status, longer.body) == (200, None)
    head, _, sent = there.asked[0].partition(b"\r\n\r\n")
    assert sent == body
    assert (b"content-length: 2" in head.lower()) is (body != b"")
