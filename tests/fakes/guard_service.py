"""A service that guards call: it keeps each request, and answers as the path of its URL says.

/pass /refuse /flag      that action, /refuse/CODE and /flag/CODE with a code
/change                  every text with omega for alpha
/repeat                  every text with what stands for a masked one behind it: <EMAIL_1>
/hang                    nothing until the service ends
/dies                    half of an answer, then the connection is reset
/html /list /unknown /place /fewer /wrong /stray /code /latin       200, and an answer of no valid
                         form
/big                     10 MB of a valid answer
/huge                    an answer that never ends
/redirect                302 to 169.254.169.254
/status/N                that status
/trickle                 an answer of which a byte comes each 50 ms
/presidio/analyze        as Presidio's analyzer: every `alpha` is a PERSON; its other lies are
                         /presidio/LIE/analyze with outside, wrong, html and hang
/judge/HOW/v1/chat/completions      as a model that judges topics: a text with `alpha` is about
                         weapons; HOW is well, plain (it knows no form of answers), prose, hang
"""

import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIES: dict[str, bytes] = {
    "html": b"<!doctype html><title>Welcome</title>",
    "list": b'["pass"]',
    "unknown": b'{"action": "pass", "reason": "because"}',
    "place": b'{"action": "pass", "place": "tool_result"}',
    "fewer": b'{"action": "change", "texts": []}',
    "wrong": b'{"action": "change", "texts": [1]}',
    "stray": b'{"action": "pass", "texts": ["all"]}',
    "code": b'{"action": "refuse", "code": "No! Never"}',
    "latin": b'{"action": "refuse", "code": "caf\xe9"}',
}


@dataclass
class GuardService:
    """`asked` are the headers, in small letters, and bodies of all requests."""

    url: str = ""
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def asked_by(self, request_id: str) -> list[dict[str, Any]]:
        """The bodies of the requests about one request."""
        bodies = [json.loads(body) for _, body in self.asked]
        names = ("request_id", "correlation_id")
        return [one for one in bodies if request_id in [one.get(name) for name in names]]


def _verdict(path: list[str], body: dict[str, Any]) -> bytes:
    action = path[0]
    answer: dict[str, Any] = {"action": action}
    if action == "change":
        answer["texts"] = [text.replace("alpha", "omega") for text in body["texts"]]
    elif action == "repeat":
        answer = {"action": "change", "texts": [f"{text} <EMAIL_1>" for text in body["texts"]]}
    if len(path) > 1:
        answer["code"] = path[1]
    return json.dumps(answer).encode()


def _findings(lie: str, text: str) -> bytes:
    if lie == "wrong":
        return b'[{"start": "0", "end": 1, "entity_type": "PERSON", "score": 1}]'
    if lie == "html":
        return LIES["html"]
    findings = []
    begin = text.find("alpha")
    while begin >= 0:
        finding = {"entity_type": "PERSON", "start": begin, "end": begin + 5, "score": 0.85}
        findings.append(finding | {"analysis_explanation": None, "recognition_metadata": {}})
        begin = text.find("alpha", begin + 1)
    if lie == "outside":
        findings.append({"entity_type": "X", "start": 0, "end": len(text) + 1, "score": 1.0})
    return json.dumps(findings).encode()


def _judged(how: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """The answer of a judge: the texts are a JSON object on the second line of the question."""
    if how == "plain" and "response_format" in body:
        return 400, b'{"error": {"message": "response_format is unknown", "code": "unknown"}}'
    texts = json.loads(body["messages"][-1]["content"].split("\n")[1])
    matches = [
        {"text": int(number), "topic": "weapons"}
        for number, text in texts.items()
        if "alpha" in text
    ]
    judged = json.dumps({"matches": matches, "last_text": len(texts)})
    content = "All fine." if how == "prose" else judged
    message = {"role": "assistant", "content": content}
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }  # fmt: skip
    return 200, json.dumps(answer).encode()


@contextmanager
def guard_service() -> Iterator[GuardService]:
    service, ended = GuardService(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            service.asked.append(({k.lower(): v for k, v in self.headers.items()}, body))
            with suppress(OSError):
                self._answer(self.path.strip("/").split("/"), body)

        def _answer(self, path: list[str], body: bytes) -> None:
            first = path[0]
            if first == "presidio":
                if path[1] == "hang":
                    ended.wait(30)
                self._send(200, _findings(path[1], json.loads(body)["text"]))
            elif first == "judge":
                if path[1] == "hang":
                    ended.wait(30)
                self._send(*_judged(path[1], json.loads(body)), content_type="application/json")
            elif first == "hang":
                ended.wait(30)
            elif first == "dies":
                self._begin(200, 1_000)
                self.wfile.write(b'{"action": "pa')
                self.wfile.flush()
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                # Others refer to the socket, so that closing it would leave it open.
                os.close(self.connection.detach())
                self.close_connection = True
            elif first == "huge":
                self._begin(200, 10**12)
                while not ended.is_set():
                    self.wfile.write(b'{"action": "pass"}' + b" " * 65_536)
            elif first == "big":
                self._send(200, b'{"action": "pass"}' + b" " * 10_000_000)
            elif first == "trickle":
                self._begin(200, 10**6)
                while not ended.wait(0.05):
                    self.wfile.write(b" ")
            elif first == "redirect":
                self._send(302, b"", location="http://169.254.169.254/latest/meta-data")
            elif first == "status":
                self._send(int(path[1]), b'{"action": "pass"}')
            elif first in LIES:
                self._send(200, LIES[first])
            else:
                self._send(200, _verdict(path, json.loads(body)))

        def _begin(self, status: int, length: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(length))
            self.end_headers()

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self._begin(status, len(body), **headers)
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
