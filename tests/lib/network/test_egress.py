"""The guarded client: which forms of addresses it reaches, and that it asks a name only once."""

import asyncio
import ipaddress
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import cast

import httpx
import pytest

from lib.network.egress import (
    EgressDenied,
    EgressError,
    EgressFailed,
    EgressPolicy,
    TooLarge,
    Unreachable,
    Unresolved,
    check_form_of_named,
    check_named_by_user,
    guarded_async_client,
    guarded_client,
    host_and_port,
    permitted_addresses,
)
from lib.network.fetching import Fetched, fetch_url, read_response
from lib.network.guarded_pool import exchanged_briefly, guarded_pool
from tests.lib.inside import known_names, leading_on

LOOPBACK = EgressPolicy(["127.0.0.1/32"])
NOTHING_PRIVATE = EgressPolicy()

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_denied(address: str) -> None:
    with pytest.raises(EgressDenied, match="not a public address"):
        NOTHING_PRIVATE.check(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted(address: str) -> None:
    NOTHING_PRIVATE.check(address)


def test_listed_addresses_are_permitted_in_mapped_form_too() -> None:
    policy = EgressPolicy(["127.0.0.1/32", "fd00::/8"])
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd12::1"):
        policy.check(address)
    for address in ("127.0.0.2", "10.0.0.1", "::1"):
        assert not policy.permits(address)


CONTENT = b"what is there"


class _Counting(BaseHTTPRequestHandler):
    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["host"]))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", "http://127.0.0.1:9/")
        else:
            status, _, encoding = self.path[1:].partition("/")
            self.send_response(int(status) if status.isdigit() else 200)
            if encoding:
                self.send_header("content-encoding", encoding)
        self.send_header("set-cookie", "a=b")
        self.send_header("content-length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args: object) -> None:
        pass


class Server:
    def __init__(self, port: int, seen: list[tuple[str, str]]) -> None:
        self.port = port
        self.seen = seen


@pytest.fixture
def server() -> Iterator[Server]:
    seen: list[tuple[str, str]] = []
    handler = type("Handler", (_Counting,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = False
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(http.server_port, seen)
        http.shutdown()
        thread.join()


# Each stands for the loopback address to one parser or another, or hides where it leads.
DISGUISED = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://127.000.000.001:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://public.example@127.0.0.1:{port}/",
    "http://public.example:80@127.0.0.1:{port}/",
    "http://127.0.0.1%2f@public.example/",
    "http://127.0.0.1\\@public.example/",
    "http://public.example#@127.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http:///",
    "http://%31%32%37.0.0.1:{port}/",
    "http://[::1%25lo]:{port}/",
]


def names(host: str, port: int) -> list[str]:
    """A resolver of names that a test knows; numerals are read as the C library does."""
    known = {"localhost": ["127.0.0.1", "::1"], "metadata": ["169.254.169.254"]}
    if host.rstrip(".").lower() in known:
        return known[host.rstrip(".").lower()]
    if host == "public.example":
        raise OSError("no such name")
    try:
        return [str(ipaddress.ip_address(host.partition("%")[0]))]
    except ValueError:
        return [socket.inet_ntoa(socket.inet_aton(host))]


@pytest.mark.parametrize("form", DISGUISED)
def test_no_form_of_a_private_address_is_reached(form: str, server: Server) -> None:
    url = form.replace("{port}", str(server.port))
    with (
        guarded_client(NOTHING_PRIVATE, schemes=("http", "https"), resolver=names) as client,
        pytest.raises((EgressError, httpx.InvalidURL, httpx.UnsupportedProtocol)),
    ):
        client.get(url)
    assert server.seen == []


@pytest.mark.parametrize("form", DISGUISED)
def test_pooled_connections_reach_no_private_address(form: str, server: Server) -> None:
    url = form.replace("{port}", str(server.port))
    with (
        guarded_pool(NOTHING_PRIVATE, until=time.monotonic() + 5, resolver=names) as pool,
        pytest.raises(EgressError),
    ):
        exchanged_briefly(pool, "GET", url, {}, b"", schemes=("http", "https"), bytes_max=100)
    assert server.seen == []


@pytest.mark.parametrize("form", DISGUISED)
async def test_asynchronous_client_reaches_no_private_address(form: str, server: Server) -> None:
    url = form.replace("{port}", str(server.port))
    async with guarded_async_client(
        NOTHING_PRIVATE, schemes=("http", "https"), resolver=names
    ) as client:
        with pytest.raises((EgressError, httpx.InvalidURL, httpx.UnsupportedProtocol)):
            await client.get(url)
    assert server.seen == []


@pytest.mark.parametrize(
    "odd", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "134744072", "8.8.8", "1.1.1.1."]
)
def test_unusual_numeral_is_denied_even_for_a_permitted_address(odd: str, server: Server) -> None:
    everywhere = EgressPolicy(["0.0.0.0/0"])
    with (
        guarded_client(everywhere, schemes=("http",)) as client,
        pytest.raises((EgressDenied, httpx.InvalidURL)),
    ):
        client.get(f"http://{odd}:{server.port}/")
    assert server.seen == []


def test_permitted_address_is_reached_under_its_requested_name(server: Server) -> None:
    def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with guarded_client(LOOPBACK, schemes=("http",), resolver=resolver) as client:
        assert client.get(f"http://model.internal:{server.port}/x").status_code == 200
        sent = (client.headers["user-agent"], client.headers["accept-encoding"])
    assert sent == ("Weir", "identity")
    assert server.seen == [("/x", f"model.internal:{server.port}")]


async def test_a_permitted_address_is_reached_asynchronously(server: Server) -> None:
    def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with guarded_async_client(LOOPBACK, schemes=("http",), resolver=resolver) as client:
        assert (await client.get(f"http://model.internal:{server.port}/x")).status_code == 200
        sent = (client.headers["user-agent"], client.headers["accept-encoding"])
    assert sent == ("Weir", "identity")
    assert server.seen == [("/x", f"model.internal:{server.port}")]


def test_one_private_answer_among_public_ones_denies_the_name(server: Server) -> None:
    def resolver(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    with (
        guarded_client(NOTHING_PRIVATE, schemes=("http",), resolver=resolver) as client,
        pytest.raises(EgressDenied, match=r"127\.0\.0\.1"),
    ):
        client.get(f"http://mixed.example:{server.port}/")
    assert server.seen == []


class Rebinding:
    """A name that is permitted when asked the first time, and leads elsewhere from then on."""

    def __init__(self, first: str, then: str) -> None:
        self.answers = [first]
        self.then = then
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return [self.answers.pop()] if self.answers else [self.then]


def test_a_rebinding_name_is_resolved_once_and_that_address_used(server: Server) -> None:
    resolver = Rebinding("127.0.0.1", "127.0.0.2")
    with guarded_client(LOOPBACK, schemes=("http",), resolver=resolver) as client:
        assert client.get(f"http://rebind.example:{server.port}/").status_code == 200
    assert resolver.asked == 1


def test_rebound_name_is_checked_again_at_the_next_connection(server: Server) -> None:
    resolver = Rebinding("127.0.0.1", "127.0.0.2")
    url = f"http://rebind.example:{server.port}/"
    with guarded_client(LOOPBACK, schemes=("http",), resolver=resolver) as client:
        client.get(url, headers={"connection": "close"})
        with pytest.raises(EgressDenied):
            client.get(url)
    assert len(server.seen) == 1


def test_name_rebinding_a_thousand_times_reaches_only_permitted_hosts(
    server: Server,
) -> None:
    """P13. What is permitted listens to nothing; who counts is beside it."""
    answers = itertools.cycle(
        [["127.0.0.9"], ["127.0.0.1"], ["127.0.0.9", "127.0.0.1"], ["::1"], ["127.0.0.9"]]
    )

    def resolver(host: str, port: int) -> list[str]:
        return next(answers)

    policy = EgressPolicy(["127.0.0.9/32"])
    with guarded_client(policy, schemes=("http",), resolver=resolver) as client:
        for _ in range(1000):
            with pytest.raises((EgressDenied, httpx.ConnectError)):
                client.get(f"http://rebind.example:{server.port}/")
    assert server.seen == []


class Lenient(EgressPolicy):
    """It denies the second address that it is asked about."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    def check(self, address: str) -> None:
        self.checked.append(address)
        if len(self.checked) == 2:
            raise EgressDenied(address)


def test_peer_address_is_checked_too(server: Server) -> None:
    policy = Lenient()
    with guarded_client(policy, schemes=("http",)) as client, pytest.raises(EgressDenied):
        client.get(f"http://127.0.0.1:{server.port}/")
    assert policy.checked == ["127.0.0.1", "127.0.0.1"]
    assert server.seen == []


async def test_peer_address_is_checked_asynchronously_too(server: Server) -> None:
    policy = Lenient()
    async with guarded_async_client(policy, schemes=("http",)) as client:
        with pytest.raises(EgressDenied):
            await client.get(f"http://127.0.0.1:{server.port}/")
    assert policy.checked == ["127.0.0.1", "127.0.0.1"]
    assert server.seen == []


def read_end(listener: socket.socket) -> bytes:
    """What comes over the next connection, up to its end. Raises TimeoutError if it stays open."""
    with listener.accept()[0] as connection:
        connection.settimeout(2)
        return connection.recv(100)


async def test_connection_to_a_denied_peer_is_closed_immediately() -> None:
    """P13: whoever is there hears nothing, and the socket does not stay open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with guarded_async_client(Lenient(), schemes=("http",)) as client:
            with pytest.raises(EgressDenied):
                await client.get(url)
            assert await asyncio.to_thread(read_end, listener) == b""
        with guarded_client(Lenient(), schemes=("http",)) as client:
            with pytest.raises(EgressDenied):
                client.get(url)
            assert read_end(listener) == b""


def test_a_second_address_is_tried_when_the_first_refuses(server: Server) -> None:
    policy = EgressPolicy(["127.0.0.0/8"])

    def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    with guarded_client(policy, schemes=("http",), resolver=resolver) as client:
        assert client.get(f"http://two.example:{server.port}/").status_code == 200


async def test_asynchronous_client_tries_the_second_address_too(server: Server) -> None:
    policy = EgressPolicy(["127.0.0.0/8"])
    answers = [["127.0.0.2", "127.0.0.1"], ["127.0.0.2", "127.0.0.3"]]

    def resolver(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with guarded_async_client(policy, schemes=("http",), resolver=resolver) as client:
        url = f"http://two.example:{server.port}/"
        assert (await client.get(url, headers={"connection": "close"})).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


def test_no_redirect_is_followed(server: Server) -> None:
    with guarded_client(LOOPBACK, schemes=("http",)) as client:
        assert client.get(f"http://127.0.0.1:{server.port}/away").status_code == 302
    assert len(server.seen) == 1


def test_environment_proxies_are_ignored(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with guarded_client(LOOPBACK, schemes=("http",)) as client:
        assert client.get(f"http://127.0.0.1:{server.port}/").status_code == 200


def test_only_https_is_allowed_by_default(server: Server) -> None:
    with (
        guarded_client(LOOPBACK) as client,
        pytest.raises(EgressDenied, match="expected https"),
    ):
        client.get(f"http://127.0.0.1:{server.port}/")


def test_a_name_without_an_address_is_told() -> None:
    with (
        guarded_client(LOOPBACK, schemes=("http",), resolver=lambda host, port: []) as client,
        pytest.raises(Unresolved),
    ):
        client.get("http://nowhere.example/")


class AllPublic(EgressPolicy):
    """Takes every address for a public one; what is listed is as it is."""

    def permits(self, address: str) -> bool:
        return True


async def test_each_redirect_of_a_user_url_is_checked_like_the_first(server: Server) -> None:
    """P13: plain http on another port is for what operators list, also behind a redirect."""
    policy = AllPublic(["127.0.0.2/32"])
    with leading_on("127.0.0.2", [f"http://127.0.0.1:{server.port}/"]) as start:
        with pytest.raises(Unreachable):
            await fetch_url(policy, f"http://127.0.0.1:{server.port}/", bytes_max=100)
        with pytest.raises(Unreachable):
            await fetch_url(policy, f"{start}/0", bytes_max=100)
    assert server.seen == []


@pytest.mark.parametrize("answer", ["201", "206", "404", "500", "200/gzip"])
async def test_only_a_whole_successful_answer_is_the_file(server: Server, answer: str) -> None:
    """An error page is no picture, and a part is not the whole."""
    url = f"http://127.0.0.1:{server.port}"
    with pytest.raises(EgressFailed, match=r"returned status|is compressed"):
        await fetch_url(LOOPBACK, f"{url}/{answer}", bytes_max=100)
    assert (await fetch_url(LOOPBACK, f"{url}/200/identity", bytes_max=100)).body == CONTENT


def test_plain_http_requires_every_address_to_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """P13"""
    known_names(monkeypatch)
    check_named_by_user(LOOPBACK, "http://localhost.inside.example:8080/")
    with pytest.raises(EgressDenied, match="https"):
        check_named_by_user(LOOPBACK, "http://mixed.inside.example:8080/")


# What a URL says by itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "goes_to"),
    [
        ("https://h.example/x", ("h.example", 443)),
        ("http://h.example", ("h.example", 80)),
        ("HTTPS://h.example:8443/", ("h.example", 8443)),
        ("http://[2606:4700::1111]/", ("2606:4700::1111", 80)),
        ("ftp://h.example/", None),
        ("//h.example/", None),
        ("http:///x", None),
        ("h.example", None),
        ("", None),
    ],
)
def test_target_of_a_url(url: str, goes_to: tuple[str, int] | None) -> None:
    if goes_to is not None:
        assert host_and_port(url) == goes_to
    else:
        with pytest.raises(EgressDenied):
            host_and_port(url)


FORMS = {
    # By nothing, by a network that has the address, by another one.
    "https://h.example/": (True, True, True),
    "https://h.example:8443/": (False, True, True),
    "http://h.example/": (False, True, True),
    "http://h.example:443/": (False, True, True),
    "https://8.8.8.8/": (True, True, True),
    "https://8.8.8.8:444/": (False, False, False),
    "https://127.0.0.1/": (False, True, False),
    "http://127.0.0.1:9/": (False, True, False),
    "https://localhost/": (False, True, False),
    "https://a.localhost./": (False, True, False),
    "https://[::1]/": (False, False, False),
    "ftp://h.example/": (False, False, False),
    "https://me@h.example/": (False, False, False),
    "https://127.1/": (False, False, False),
    "https://h_1.example/": (True, True, True),
    "https://h.example-/": (True, True, True),
}


@pytest.mark.parametrize("url", FORMS)
def test_url_forms_a_user_may_name(url: str) -> None:
    allowed = ((), ("127.0.0.0/8",), ("10.0.0.0/8",))
    for allow, taken in zip(allowed, FORMS[url], strict=True):
        try:
            check_form_of_named(EgressPolicy(allow), url)
        except EgressDenied:
            assert not taken, (url, allow)
        else:
            assert taken, (url, allow)


def test_a_name_without_an_address_is_not_reached() -> None:
    with pytest.raises(Unresolved, match="has no address"):
        permitted_addresses(NOTHING_PRIVATE, "h.example", 443, lambda host, port: [])


class Pieces:
    """An answer that comes in pieces."""

    status_code = 200
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


async def test_an_answer_is_read_up_to_its_bound() -> None:
    answer = cast(httpx.Response, Pieces(b"ab", b"", b"c"))
    assert await read_response(answer, 3) == Fetched(b"abc", "")
    with pytest.raises(TooLarge, match="more than 2 bytes"):
        await read_response(answer, 2)


async def test_no_redirect_is_followed_asynchronously(server: Server) -> None:
    async with guarded_async_client(LOOPBACK, schemes=("http",)) as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/away")
    assert answer.status_code == 302
    assert len(server.seen) == 1
