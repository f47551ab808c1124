"""Somebody's server that gets events: it keeps each request and answers as it is told to."""

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`statuses` are answered in turn, the last one for ever; or what `judge` makes of a path and a
    body: status and answer."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    judge: Callable[[str, bytes], tuple[int, bytes]] | None = None


def signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a request that was got has the signature of that secret."""
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")


@contextmanager
def receiver() -> Iterator[Receiver]:
    new_receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            new_receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status, answer = 0, b""
            if new_receiver.judge is not None:
                status, answer = new_receiver.judge(self.path, body)
            else:
                status = (
                    new_receiver.statuses.pop(0)
                    if len(new_receiver.statuses) > 1
                    else new_receiver.statuses[0]
                )
            self.send_response(status)
            if status == 302:
                self.send_header("location", new_receiver.url + "/elsewhere")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    new_receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield new_receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
