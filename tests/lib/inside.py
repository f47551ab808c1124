"""Addresses that lead inside, in every dress that some parser takes for one; and who counts what
arrives there, be it nothing but a connection."""

import ipaddress
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

# Each stands for this machine to one parser or another.
_LOOPBACK = """
127.0.0.1 127.0.0.2 127.1.2.3 127.255.255.254 0.0.0.0 0.0.0.1 127.1 127.0.1 0 0x0 00 2130706433
2130706434 4294967295 017700000001 0177.0.0.1 0177.0.0.01 0177.1 0177.0.1 00000177.0.0.1
0x7f.0.0.1 0x7f.0x0.0x0.0x1 0x7f000001 0x7F000001 0x7f.1 0x7f.0.1 0x0000007f000001 127.0.0x0.1
127.00.00.01 127.000.000.001 0127.0.0.1 127.0.0.1. 127.1. 127.0.0.1.. .127.0.0.1 127..0.1
2130706433. 0x7f000001. 127.0.0.256 127.0.0.1%00 127.0.0.1%20 %31%32%37.0.0.1 127%2e0%2e0%2e1
①②⑦.⓪.⓪.① ⑫⑦.0.0.1 127。0。0。1 127．0．0．1 １２７．０．０．１ 127｡0｡0｡1 𝟏𝟐𝟕.𝟎.𝟎.𝟏 ٱ٢٧.٠.٠.١
xn--127-.0.0.1 [::1] [::] [0:0:0:0:0:0:0:1] [0000::0001] [::0.0.0.1] [::127.0.0.1] [::7f00:1]
[::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:7F00:0001] [0:0:0:0:0:ffff:127.0.0.1]
[::ffff:0:127.0.0.1] [::ffff:0.0.0.0] [::ffff:127.0.0.2] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b:1::7f00:1] [64:ff9b:1:fffe::127.0.0.1] [2002:7f00:1::] [2002:7f00:0001::1]
[2001:0:7f00:1::] [2001::80ff:fffe] [2001:0:4136:e378:8000:63bf:80ff:fffe] [fe80::1]
[fe80::1%25lo] [::1%25lo] [::1%25] [::1%lo] [fe80::5efe:127.0.0.1] [fec0::1]
"""
# Names that lead there, by the system's resolver or by that of a test.
_NAMES = """
localhost LOCALHOST LocalHost localhost. ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌｏｃａｌｈｏｓｔ loc%61lhost
localhost.inside.example a.inside.example mapped.inside.example six.inside.example
nat.inside.example mixed.inside.example metadata.inside.example xn--inside-.inside.example
ínside.inside.example a.inside.example. A.INSIDE.EXAMPLE
"""
_ELSEWHERE_INSIDE = """
10.0.0.1 172.16.0.1 172.31.255.254 192.168.0.1 169.254.169.254 2852039166 0xA9FEA9FE
0251.0376.0251.0376 100.100.100.200 100.64.0.1 198.18.0.1 192.0.0.192 224.0.0.1 255.255.255.255
240.0.0.1 [fd00:ec2::254] [fc00::1] [fe80::a9fe:a9fe] [ff02::1] [::ffff:169.254.169.254]
[2002:a9fe:a9fe::] [64:ff9b::a9fe:a9fe] [2001:db8::1]
"""
_DISGUISED = (
    "{s}://public.example@127.0.0.1:{p}/",
    "{s}://public.example:443@127.0.0.1:{p}/",
    "{s}://me:secret@localhost:{p}/",
    "{s}://127.0.0.1:{p}@localhost:{p}/",
    "{s}://127.0.0.1:{p}\\@public.example/",
    "{s}://public.example\\@127.0.0.1:{p}/",
    "{s}://localhost:{p}#@public.example/",
    "{s}://localhost:{p}?@public.example/",
    "{s}:\\\\127.0.0.1:{p}\\",
    "{s}:/127.0.0.1:{p}/",
    "{s}:127.0.0.1:{p}",
    "{s}:///127.0.0.1:{p}/",
    "{s}://127.0.0.1:0{p}/",
    "{s}://127.0.0.1:{p}\t/",
    "{s}://127.0.0.1\r\nhost: x:{p}/",
    "{S}://127.0.0.1:{p}/",
    "//127.0.0.1:{p}/",
    "127.0.0.1:{p}",
    "file:///etc/passwd",
    "file://127.0.0.1:{p}/etc/passwd",
    "gopher://127.0.0.1:{p}/_GET",
    "ftp://127.0.0.1:{p}/",
    "ws://127.0.0.1:{p}/",
    "unix:///tmp/x",
    "dict://127.0.0.1:{p}/",
)
_KNOWN = {
    "localhost.inside.example": ["127.0.0.1"],
    "a.inside.example": ["127.0.0.1", "::1"],
    "mapped.inside.example": ["::ffff:127.0.0.1"],
    "six.inside.example": ["::1"],
    "nat.inside.example": ["64:ff9b::7f00:1"],
    "mixed.inside.example": ["8.8.8.8", "127.0.0.1"],
    "metadata.inside.example": ["169.254.169.254"],
    "xn--nside-zsa.inside.example": ["127.0.0.1"],
}


def inside_forms(port: int) -> Sequence[str]:
    """More than 120 of them, by http and https in turn; `port` is where somebody counts."""
    hosts = f"{_LOOPBACK}{_NAMES}{_ELSEWHERE_INSIDE}".split()
    whole = [f"http{'s' * (n % 2)}://{host}:{port}/x.png" for n, host in enumerate(hosts)]
    return whole + [form.format(s="http", S="HTTP", p=port) for form in _DISGUISED]


def _entry(address: str, port: int) -> Any:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


def known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put names that lead inside before the system's resolver, which knows `localhost`."""
    system = socket.getaddrinfo

    def resolve_known(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = (host.decode() if isinstance(host, bytes) else str(host)).rstrip(".").lower()
        if name == "localhost":
            return system(host, port, *args, **kwargs)
        try:
            addresses = _KNOWN.get(name) or [str(ipaddress.ip_address(name))]
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return [_entry(one, int(port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_known)


@dataclass
class Canary:
    """A listener on every address of this machine."""

    port: int
    hits: list[Any] = field(default_factory=list)


@contextmanager
def canary() -> Iterator[Canary]:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        counted = Canary(listener.getsockname()[1])

        def count() -> None:
            while True:
                connection, peer = listener.accept()
                connection.close()
                if peer[1] == own[0]:
                    return
                counted.hits.append(peer)

        own = [0]
        thread = threading.Thread(target=count)
        thread.start()
        try:
            yield counted
        finally:
            with socket.socket() as last:
                last.bind(("127.0.0.1", 0))
                own[0] = last.getsockname()[1]
                last.connect(("127.0.0.1", counted.port))
                thread.join()


@contextmanager
def leading_on(address: str, to: Sequence[str]) -> Iterator[str]:
    """A server whose path /n redirects to the address n of `to`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", to[int(self.path[1:])].encode().decode("latin-1"))
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
