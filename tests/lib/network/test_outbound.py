"""By which way a host is reached: what is said to proxies, in whatever pieces they answer; whom TLS
trusts; and that no inside address is reached by it (P13)."""

import base64
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.network.egress import EgressError, EgressPolicy, guarded_client, send_request
from lib.network.guarded_pool import exchanged_briefly, guarded_pool
from lib.network.outbound import (
    BadPem,
    BadProxy,
    Outbound,
    Proxy,
    ProxyFault,
    Talk,
    check_login,
    read_authorities,
    read_identity,
    read_proxy,
    tls_context,
    tunnel,
)
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.http1 import Reason
from tests.fakes.listeners import Authority
from tests.fakes.proxies import FakeProxy, Kind
from tests.lib.inside import canary, inside_forms, known_names

HTTP, SOCKS = Proxy("http", "p", 1), Proxy("socks5", "p", 1)
LOGIN = "me:pass word"


def exchange(talk: Talk, answers: bytes, size: int) -> tuple[bytes, bool]:
    """What is sent while answers come in pieces of a size, and whether the tunnel stands. An answer
    is given only once all that leads to it is sent."""
    sent = next(talk)
    try:
        for at in range(0, len(answers), size):
            sent += talk.send(answers[at : at + size])
    except StopIteration:
        return sent, True
    return sent, False


CONNECTED = b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n"
STANDS = [
    (HTTP, "h.example", CONNECTED,
     b"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n"),
    (HTTP, "2001:db8::1", CONNECTED,
     b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"),
    (Proxy("http", "p", 1, LOGIN), "h", b"HTTP/1.0 204 x\r\n\r\n",
     b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nProxy-Authorization: Basic "
     + base64.b64encode(LOGIN.encode()) + b"\r\n\r\n"),
    (SOCKS, "8.8.8.8", b"\5\0" b"\5\0\0\1\1\2\3\4\0\x50",
     b"\5\1\0" b"\5\1\0\1\x08\x08\x08\x08\1\xbb"),
    (SOCKS, "2001:db8::1", b"\5\0" b"\5\0\0\4" + bytes(18),
     b"\5\1\0\5\1\0\4" + bytes.fromhex("20010db8000000000000000000000001") + b"\1\xbb"),
    (Proxy("socks5", "p", 1, "me:pw"), "8.8.8.8", b"\5\2" b"\1\0" b"\5\0\0\3\3abc\0\x50",
     b"\5\1\2" b"\1\2me\2pw" b"\5\1\0\1\x08\x08\x08\x08\1\xbb"),
]  # fmt: skip


@pytest.mark.parametrize(("proxy", "host", "answers", "sent"), STANDS)
def test_tunnel_opens_however_the_answers_are_split(
    proxy: Proxy, host: str, answers: bytes, sent: bytes
) -> None:
    assert exchange(tunnel(proxy, host, 443), answers, 1) == (sent, True)
    if proxy.scheme == "http":
        for size in range(2, len(answers) + 1):
            assert exchange(tunnel(proxy, host, 443), answers, size) == (sent, True)
    for end in range(len(answers)):
        talk = tunnel(proxy, host, 443)
        assert exchange(talk, answers[:end], 1)[1] is False
        with pytest.raises(ProxyFault):
            talk.send(b"")


REFUSED = [
    (HTTP, b"HTTP/1.1 407 x\r\n\r\n", "login"),
    (HTTP, b"HTTP/1.1 403 x\r\n\r\n", "403"),
    (HTTP, b"HTTP/1.1 503 x\r\n\r\n", "503"),
    (HTTP, b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
    (HTTP, CONNECTED + b"more", "more than its answer"),
    (HTTP, b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 9000, "too long"),
    (SOCKS, b"\5\xff", "wants a login"),
    (SOCKS, b"\4\0", "does not speak SOCKS5"),
    (SOCKS, b"HT", "does not speak SOCKS5"),
    (SOCKS, b"\5\0\5\2\0\1\0\0\0\0\0\0", "not allowed"),
    (SOCKS, b"\5\0\5\5\0\1\0\0\0\0\0\0", "connection refused"),
    (SOCKS, b"\5\0\5\x63\0\1\0\0\0\0\0\0", "code 99"),
    (SOCKS, b"\5\0\5\0\0\x09\0\0\0\0\0\0", "does not speak SOCKS5"),
    (Proxy("socks5", "p", 1, LOGIN), b"\5\2\1\1", "another login"),
]


@pytest.mark.parametrize(("proxy", "answers", "why"), REFUSED)
def test_proxy_rejection_is_reported_without_the_login(
    proxy: Proxy, answers: bytes, why: str
) -> None:
    with pytest.raises(ProxyFault, match=why) as refused:
        exchange(tunnel(proxy, "8.8.8.8", 443), answers, 1 if proxy.scheme == "socks5" else 4096)
    assert "pass word" not in str(refused.value)
    assert "pass word" not in repr(proxy)


@pytest.mark.parametrize("answers", [[b"\5\0x"], [b"\5\0", b"\5\0\0\1" + bytes(6) + b"x"]])
def test_socks_proxy_sends_nothing_before_the_host(answers: list[bytes]) -> None:
    talk = tunnel(SOCKS, "8.8.8.8", 443)
    next(talk)
    *earlier, last = answers
    for answer in earlier:
        talk.send(answer)
    with pytest.raises(ProxyFault, match="more than its answer"):
        talk.send(last)


def test_the_address_of_a_proxy() -> None:
    assert read_proxy("http://p.example:3128/") == Proxy("http", "p.example", 3128)
    assert read_proxy("socks5://[2001:db8::1]") == Proxy("socks5", "2001:db8::1", 1080)
    for wrong in (
        "p.example:1", "https://p:1", "socks4://p:1", "http://", "http://p:0", "http://p:99999",
        "http://me@p:1", "http://p:1/x", "http://p:1?x", "http://p:1#x", "http://p :1", "http://é:1",
        "http://p:1\r\nx: y", "ftp://p:1", "", "http:\\\\p:1",
    ):  # fmt: skip
        with pytest.raises(BadProxy):
            read_proxy(wrong)
    check_login("me:a b:c")
    for login in ("me", ":x", "é:x", "me:x\r\n", "a" * 256 + ":x", "me:" + "x" * 256, "me:\0"):
        with pytest.raises(BadProxy):
            check_login(login)


# ---- TLS


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """An authority, a certificate of it, and the certificate's key."""
    folder = tmp_path_factory.mktemp("pems")
    authority = Authority(folder)
    both = authority.certificate(folder, "me", expired=False, trusted=True).read_text()
    key, certificate = both.split("-----BEGIN CERTIFICATE-----")
    return authority.path.read_text(), f"-----BEGIN CERTIFICATE-----{certificate}", key


def test_only_the_named_authorities_are_trusted(pems: tuple[str, str, str]) -> None:
    context = tls_context(Outbound(ca_pem=read_authorities(f"a note\r\n{pems[0]}\r\n")))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_a_certificate_needs_its_own_key(pems: tuple[str, str, str], tmp_path: Path) -> None:
    _, certificate, key = pems
    assert read_identity(certificate, key)[0].startswith("-----BEGIN CERTIFICATE-----")
    other = Authority(tmp_path).certificate(tmp_path, "x", expired=False, trusted=True).read_text()
    for cert_pem, key_pem in (
        (certificate, other), (certificate, ""), ("", key), (key, certificate), ("x", "\0"),
        (certificate, "\ud800"),
    ):  # fmt: skip
        with pytest.raises(BadPem):
            read_identity(cert_pem, key_pem)
    for wrong in ("", "x", key, "\ud800"):
        with pytest.raises(BadPem):
            read_authorities(wrong)


# ---- inside

# The proxy alone is permitted: none of the forms stands for its address.
PROXY_AT = "127.0.0.9"
ONLY_PROXY = EgressPolicy([f"{PROXY_AT}/32"])


class _Failed(Exception):
    pass


def _failed(reason: Reason, detail: str) -> Exception:
    return _Failed(reason)


async def by_relay(url: str, policy: EgressPolicy, outbound: Outbound) -> None:
    pool = ConnectionPool(
        url, policy, _failed, connect_s=2, tls_s=2, head_s=2, reuse=True, outbound=outbound
    )
    connection = await pool.connection(fresh=True)
    connection.cut()


async def by_client(url: str, policy: EgressPolicy, outbound: Outbound) -> None:
    with guarded_client(
        policy, connect_s=2, schemes=("http", "https"), outbound=outbound
    ) as client:
        send_request(client, "GET", url, {}, b"")


async def by_host(url: str, policy: EgressPolicy, outbound: Outbound) -> None:
    with guarded_pool(policy, until=time.monotonic() + 2, outbound=outbound) as pool:
        exchanged_briefly(pool, "GET", url, {}, b"", schemes=("http", "https"), bytes_max=100)


By = Callable[[str, EgressPolicy, Outbound], object]
REFUSALS = (_Failed, EgressError, BadProxy, ValueError)


@pytest.mark.parametrize("by", [by_relay, by_client, by_host])
@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_no_proxy_is_asked_for_an_inside_address(
    by: By, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_names(monkeypatch)
    with canary() as counted, FakeProxy(kind, address=PROXY_AT) as proxy:
        outbound = Outbound(read_proxy(proxy.url))
        forms = inside_forms(counted.port)
        assert len(forms) > 120
        for form in forms:
            with pytest.raises(REFUSALS):
                await by(form, ONLY_PROXY, outbound)  # type: ignore[misc]
        assert proxy.asked == []
        assert counted.hits == []


@pytest.mark.parametrize("by", [by_relay, by_client, by_host])
@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_no_proxy_is_inside_unless_it_is_permitted(
    by: By, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_names(monkeypatch)
    with canary() as counted:
        for form in inside_forms(counted.port):
            where = form.removesuffix("/x.png").replace("https://", f"{kind}://", 1)
            where = where.replace("http://", f"{kind}://", 1)
            with pytest.raises(REFUSALS):
                await by("http://8.8.8.8:9/x", EgressPolicy(), Outbound(read_proxy(where)))  # type: ignore[misc]
        assert counted.hits == []


@pytest.mark.parametrize("by", [by_relay, by_client, by_host])
async def test_http_proxy_gets_the_name_and_socks_the_checked_address(
    by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads inside for the proxy alone can be kept from SOCKS only."""
    known_names(monkeypatch)
    policy = EgressPolicy(["127.0.0.0/8", "::1/128"])
    body = {}
    for kind in ("http", "socks5"):
        with canary() as counted, FakeProxy(kind, leads=("127.0.0.1", counted.port)) as proxy:
            outbound = Outbound(read_proxy(proxy.url))
            try:
                await by("http://a.inside.example:81/", policy, outbound)  # type: ignore[misc]
            except EgressError:
                # The canary says nothing.
                assert by in (by_client, by_host)
            body[kind] = proxy.asked[0]
    assert body == {"http": ("a.inside.example", 81), "socks5": ("127.0.0.1", 81)}
