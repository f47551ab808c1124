"""The client of one host: it keeps connections, and tells what is wrong with an answer."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lib.network.egress import EgressDenied, EgressError, EgressFailed, EgressPolicy
from lib.network.host_client import BriefAnswer, HostClient
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
def host(*connections: Sequence[bytes]) -> Iterator[tuple[Host, HostClient]]:
    there = Host(*connections)
    try:
        with HostClient(
            LOOPBACK, f"http://127.0.0.1:{there.port}/v1", schemes=("http",), read_s=1
        ) as client:
            yield there, client
    finally:
        there.close()


def ask(there: Host, client: HostClient, target: str = "/v1/x", **options: float) -> BriefAnswer:
    limits = {"bytes_max": 100, "until": time.monotonic() + 5, **options}
    url = f"http://127.0.0.1:{there.port}{target}"
    return client.ask("GET", url, {"authorization": "k"}, b"", **limits)  # type: ignore[arg-type]


def test_one_connection_for_many_requests() -> None:
    with host([OK, CHUNKED, OK, LAST], [OK]) as (there, client):
        for target in ("/a", "/b?c", "?d", "", "/e"):
            assert ask(there, client, target)[::2] == (200, b"{}")
    lines = [request.partition(b"\r\n")[0].decode() for request in there.asked]
    assert lines == [f"GET {target} HTTP/1.1" for target in ("/a", "/b?c", "/?d", "/", "/e")]
    fields = there.asked[0].decode().lower().split("\r\n")
    assert fields[1:-2] == [
        f"host: 127.0.0.1:{there.port}", "accept-encoding: identity", "user-agent: weir",
        "accept: */*", "authorization: k",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_what_comes_before_an_answer_is_not_the_answer(status: bytes) -> None:
    """Nor is the answer that to the next request, which may be another customer's (P12)."""
    interim = b"HTTP/1.1 %b\r\nlink: <a>\r\n\r\n" % status
    other = OK.replace(b"{}", b"[]")
    with host([interim * 2 + OK, other]) as (there, client):
        assert ask(there, client)[::2] == (200, b"{}")
        assert ask(there, client)[::2] == (200, b"[]")


def test_what_went_wrong_is_told_without_what_was_sent() -> None:
    """P14: a key that no field can hold is not put into a log for it."""
    with host() as (there, client):
        for key in ("sk-secret\n", "sk-secret-\N{SNOWMAN}"):
            with pytest.raises(EgressFailed) as failed:
                client.ask(
                    "GET", f"http://127.0.0.1:{there.port}/", {"authorization": key}, b"",
                    bytes_max=1, until=time.monotonic() + 5,
                )  # fmt: skip
            assert "sk-" not in str(failed.value)


def test_what_a_kept_connection_does_not_answer_is_asked_once_more() -> None:
    with host([OK], [OK], []) as (there, client):
        for _ in range(2):
            assert ask(there, client).body == b"{}"
        with pytest.raises(EgressFailed):
            ask(there, client)
    assert len(there.asked) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "broken"),
        (b"\r\n\r\n", "broken"),
        (b"nothing of HTTP\r\n\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n", "broken"),
        (OK[:-1], "broken"),
        (CHUNKED[:-5], "broken"),
        (CHUNKED[:-9], "broken"),
        (CHUNKED.replace(b"1\r\n", b"x\r\n"), "broken"),
    ],
)
def test_an_answer_that_breaks(answer: bytes, reason: str) -> None:
    with host([answer], [OK]) as (there, client):
        with pytest.raises(EgressFailed) as failed:
            ask(there, client)
        assert failed.value.reason == reason
        assert ask(there, client).status == 200


def test_too_much_too_late_and_never() -> None:
    large = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101
    with host([large], [OK], [OK]) as (there, client):
        assert ask(there, client)[::2] == (200, None)
        with pytest.raises(EgressFailed) as late:
            ask(there, client, until=time.monotonic())
        assert late.value.reason == "timeout"
        assert ask(there, client).body == b"{}"
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    with (
        silent,
        HostClient(LOOPBACK, url, schemes=("http",), read_s=0.01) as client,
        pytest.raises(EgressFailed) as failed,
    ):
        client.ask("GET", url, {}, b"", bytes_max=1, until=time.monotonic() + 1)
    assert failed.value.reason == "timeout"
    with HostClient(LOOPBACK, url, schemes=("http",)) as client, pytest.raises(EgressFailed) as no:
        client.ask("GET", url, {}, b"", bytes_max=1, until=time.monotonic() + 1)
    assert no.value.reason == "refused"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 200 OK\r\na: ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n",
    ],
)
def test_an_answer_that_comes_byte_by_byte_ends_in_time(begun: bytes) -> None:
    """Whatever it is in the middle of: who asks has others to ask."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        drips = threading.Thread(target=drip, args=(listener, begun))
        drips.start()
        with (
            HostClient(LOOPBACK, url, schemes=("http",), read_s=1) as client,
            pytest.raises(EgressFailed) as failed,
        ):
            client.ask("GET", url, {}, b"", bytes_max=9999, until=time.monotonic() + 0.2)
        assert failed.value.reason == "timeout"
        drips.join()


def drip(listener: socket.socket, begun: bytes) -> None:
    """Send a byte again and again, for five seconds or until nobody reads them."""
    connection, _ = listener.accept()
    pause = threading.Event()
    with connection, suppress(OSError):
        connection.sendall(begun)
        for _ in range(500):
            connection.sendall(b"1")
            pause.wait(0.01)


def test_nothing_leads_to_another_host() -> None:
    with host([OK]) as (there, client):
        own = f"http://127.0.0.1:{there.port}"
        for url in (f"{own}0/", f"{own}@127.0.0.2/", f"{own}\\@a/", "http://127.0.0.2/", "/x", ""):
            with pytest.raises(EgressDenied):
                client.ask("GET", url, {}, b"", bytes_max=1, until=0)
        for target in ("/a b", "/a\r\nx: y", "/é"):
            with pytest.raises(EgressError):
                ask(there, client, target)
        with pytest.raises(EgressError):
            client.ask("GET", f"{own}/", {"a": "b\r\nc: d"}, b"", bytes_max=1, until=0)
        assert ask(there, client).status == 200
    assert len(there.asked) == 1


def test_whom_it_trusts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(
        authority.certificate(tmp_path, "tasks.example", expired=False, trusted=True)
    )
    there = Host([], [], [OK, OK], [OK], tls=tls)
    trusting = Outbound(ca_pem=authority.path.read_text())
    limits = {"bytes_max": 9, "until": time.monotonic() + 5}
    for host, outbound in (("tasks.example", DIRECT), ("other.example", trusting)):
        url = f"https://{host}:{there.port}/"
        with (
            HostClient(LOOPBACK, url, resolver=lambda *_: ["127.0.0.1"], outbound=outbound) as one,
            pytest.raises(EgressFailed) as failed,
        ):
            one.ask("GET", url, {}, b"", **limits)  # type: ignore[arg-type]
        assert failed.value.reason == "tls"
    url = f"https://tasks.example:{there.port}/"
    with HostClient(LOOPBACK, url, resolver=lambda *_: ["127.0.0.1"], outbound=trusting) as client:
        for _ in range(3):
            assert client.ask("POST", url, {}, b"{}", **limits).body == b"{}"  # type: ignore[arg-type]
    there.close()
    assert [request.rpartition(b"\r\n\r\n")[2] for request in there.asked] == [b"{}"] * 3


def test_each_connection_is_judged() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    there = Host([LAST])
    url = f"http://rebind.example:{there.port}/"
    with HostClient(
        LOOPBACK, url, schemes=("http",), resolver=lambda host, port: answers.pop(0)
    ) as client:
        limits = {"bytes_max": 9, "until": time.monotonic() + 5}
        assert client.ask("GET", url, {}, b"", **limits).status == 200  # type: ignore[arg-type]
        with pytest.raises(EgressDenied):
            client.ask("GET", url, {}, b"", **limits)  # type: ignore[arg-type]
    there.close()
    assert b"\r\nhost: rebind.example:" in there.asked[0].lower()
