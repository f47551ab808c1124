"""Two tiny proxies, over real sockets: HTTP's CONNECT and SOCKS5 (RFC 1928, 1929). Each notes whom
it was asked for, and connects to there."""

import base64
import contextlib
import ipaddress
import socket
import threading
from typing import Literal, Self

Kind = Literal["http", "socks5"]


class FakeProxy:
    """Running while it is entered. `asked` are the hosts and ports, as they were told. With `login`
    (`user:password`) nobody else is served. `leads` is where all of them are then led."""

    def __init__(
        self,
        kind: Kind,
        *,
        address: str = "127.0.0.1",
        login: str = "",
        leads: tuple[str, int] | None = None,
    ) -> None:
        self.kind = kind
        self.login = login
        self.leads = leads
        self.asked: list[tuple[str, int]] = []
        self._listener = socket.create_server((address, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        address, port = self._listener.getsockname()
        return f"{self.kind}://{address}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError, IndexError):
            host, port = self._http(client) if self.kind == "http" else self._socks(client)
            self.asked.append((host, port))
            with socket.create_connection(self.leads or (host, port)) as target:
                client.sendall(b"HTTP/1.1 200 OK\r\nvia: fake\r\n\r\n" if self.kind == "http" else
                               b"\5\0\0\1\0\0\0\0\0\0")  # fmt: skip
                back = threading.Thread(target=_pump, args=(target, client), daemon=True)
                back.start()
                _pump(client, target)
                back.join()

    def _http(self, client: socket.socket) -> tuple[str, int]:
        head = b""
        while b"\r\n\r\n" not in head:
            head += _some(client)
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 405 Not Allowed\r\ncontent-length: 0\r\n\r\n")
            raise ValueError(method)
        wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and f"Proxy-Authorization: {wanted}" not in lines:
            client.sendall(b"HTTP/1.1 407 Login\r\ncontent-length: 0\r\n\r\n")
            raise ValueError("login")
        host, _, port = target.rpartition(":")
        return host.strip("[]"), int(port)

    def _socks(self, client: socket.socket) -> tuple[str, int]:
        _, count = _exactly(client, 2)
        wanted = 2 if self.login else 0
        if wanted not in _exactly(client, count):
            client.sendall(b"\5\xff")
            raise ValueError("method")
        client.sendall(bytes((5, wanted)))
        if self.login:
            user = _exactly(client, _exactly(client, 2)[1])
            password = _exactly(client, _exactly(client, 1)[0])
            good = user + b":" + password == self.login.encode()
            client.sendall(b"\1\0" if good else b"\1\1")
            if not good:
                raise ValueError("login")
        kind = _exactly(client, 4)[3]
        if kind == 3:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            host = str(ipaddress.ip_address(_exactly(client, 4 if kind == 1 else 16)))
        return host, int.from_bytes(_exactly(client, 2), "big")


def _exactly(client: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = client.recv(size - len(got))
        if not piece:
            raise ValueError("closed")
        got += piece
    return got


def _some(client: socket.socket) -> bytes:
    piece = client.recv(4096)
    if not piece:
        raise ValueError("closed")
    return piece


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
