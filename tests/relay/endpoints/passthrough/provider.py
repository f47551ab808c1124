"""A provider of an API that no dialect has: it notes what it is sent, byte by byte where that
matters, and answers as each path says."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-provider-0123456789abcdef"
PIECE = b"0123456789abcdef" * 4096


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    size: int = 0
    digest: str = ""


Answer = Callable[["Handler"], None]


@dataclass
class Provider:
    """`answers` are by the path after the base URL; every other path is answered by `otherwise`, at
    first with what was sent."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    left: threading.Event = field(default_factory=threading.Event)
    otherwise: Answer = field(default_factory=lambda: echo)

    key: str = KEY

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def last(self) -> Seen:
        return self.seen[-1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def _answer(self) -> None:
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.provider.seen.append(seen)
        path = self.path.partition("?")[0].removeprefix("/v1")
        early = self.provider.answers.get(f"early {path}")
        if early is not None:
            early(self)
            self.close_connection = True
            return
        summed = hashlib.sha256()
        for piece in self._pieces():
            summed.update(piece)
            seen.size += len(piece)
        seen.digest = summed.hexdigest()
        self.provider.answers.get(path, self.provider.otherwise)(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("content-length", 0))
        while left:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                break
            left -= len(piece)
            yield piece

    def reply(
        self, body: bytes, *, status: int = 200, kind: str = "application/json", **headers: str
    ) -> None:
        """Answer with this; `_` in names of headers is a hyphen."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, kind: str = "text/event-stream", **headers: str) -> None:
        """Begin an answer in chunks."""
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def echo(handler: Handler) -> None:
    seen = handler.provider.last
    told = {"method": seen.method, "target": seen.target, "headers": seen.headers}
    handler.reply(json.dumps({**told, "size": seen.size, "digest": seen.digest}).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left."""


@contextmanager
def running_provider() -> Iterator[Provider]:
    """A provider that runs as long as the context lasts."""
    provider = Provider()
    handler = type("Bound", (Handler,), {"provider": provider})
    with _Server(("127.0.0.1", 0), handler) as server:
        provider.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()
