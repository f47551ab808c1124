"""What the fakes of task services share: a server of JSON in threads of this process, and the words
of a prompt that steer it."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_WORD = re.compile(r"#(\w+)(?:=(\S+))?")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def words_of(text: str) -> dict[str, str]:
    """`{"polls": "2"}` of `a cat #polls=2`."""
    return {name: value or "" for name, value in _WORD.findall(text)}


class TaskServer(ThreadingHTTPServer):
    """A provider whose accounts are its keys."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], keys: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.keys = keys
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The base URL of a channel."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves in the middle is no news."""


class TaskHandler(BaseHTTPRequestHandler):
    """Answers with JSON, or with bytes in parts."""

    protocol_version = "HTTP/1.1"

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def json(self, status: int, body: Any) -> None:
        self.bytes(status, json.dumps(body).encode())

    def broken(self, word: str | None) -> bool:
        """Whether it answers with what is no answer, as a word says."""
        match word:
            case "html":
                self.bytes(200, b"<html>", "text/html")
            case "json":
                self.bytes(200, b'{"id": ')
            case "empty":
                self.bytes(200, b"")
            case _:
                return False
        return True

    def content(self, content: bytes, kind: str) -> None:
        """Content, or the part of it that is asked for."""
        asked = _RANGE.fullmatch(self.headers.get("range", ""))
        if asked is None:
            self.bytes(200, content, kind)
            return
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        part = content[start : end + 1]
        span = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        self.bytes(206, part, kind, {"content-range": span})

    def bytes(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        fields: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, **(fields or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
