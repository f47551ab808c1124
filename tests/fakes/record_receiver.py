"""An HTTP receiver of usage records, as an operator would write one: it checks the signature by the
text of Standard Webhooks, and keeps each batch once, by its id. It shares no code with us.

    with receiver() as fake: RECORD_SINK_URL=fake.url, RECORD_SINK_SECRET=SECRET
"""

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Fake:
    """`batches` is what it has stored, by id. `misbehave` is what the next requests meet: a status,
    or a function that gets the handler before (False) and after (True) the batch is stored, and
    returns whether the connection ends there."""

    def __init__(self) -> None:
        self.url = ""
        self.batches: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, bytes]] = []
        self.misbehave: list[int | Callable[[_Handler, bool], bool]] = []
        self.done = threading.Event()

    def records(self) -> dict[str, dict[str, Any]]:
        """By their ids, each once."""
        return {
            line["id"]: line
            for lines in self.batches.values()
            for line in lines
            if line["type"] == "usage_record"
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: Fake

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        id, stamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = hmac.digest(KEY, f"{id}.{stamp}.".encode() + body, "sha256")
        if self.headers["webhook-signature"] != f"v1,{base64.b64encode(signed).decode()}":
            self.answer(401)
            return
        self.fake.requests.append((id, body))
        next_one = self.fake.misbehave.pop(0) if self.fake.misbehave else 204
        if callable(next_one):
            if next_one(self, False):
                self.close_connection = True
                return
        elif next_one != 204:
            self.answer(next_one)
            return
        if id not in self.fake.batches:
            self.fake.batches[id] = [json.loads(line) for line in body.splitlines()]
        if callable(next_one) and next_one(self, True):
            self.close_connection = True
            return
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiver() -> Iterator[Fake]:
    """One that is empty."""
    fake = Fake()
    handler = type("Handler", (_Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_address[1]}/usage"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            fake.done.set()
            server.shutdown()
            thread.join()
