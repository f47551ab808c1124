import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stack import probe

ROLE = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n'
TEXT = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n'
USAGE = b'data: {"choices": [], "usage": {"total_tokens": 3}}\n'
END = b"data: [DONE]\n"

ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = ANSWERS[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    ANSWERS.clear()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("line", "text"), [(ROLE, False), (TEXT, True), (USAGE, False), (END, False), (b"\n", False)]
)
def test_generated_text_is_distinguished_from_the_rest(line: bytes, text: bool) -> None:
    assert probe.has_text(line) is text


def test_the_first_page_is_at_the_end_of_its_redirects(port: int) -> None:
    ANSWERS["/"] = (302, {"Location": "/login"}, b"")
    ANSWERS["/login"] = (200, {}, b"page")
    assert probe.time_first_page("127.0.0.1", port) > 0


def test_a_root_without_a_page_is_told(port: int) -> None:
    ANSWERS["/"] = (500, {}, b"")
    with pytest.raises(probe.ProbeFailed, match="GET / answered 500"):
        probe.time_first_page("127.0.0.1", port)
    ANSWERS["/"] = (302, {"Location": "/"}, b"")
    with pytest.raises(probe.ProbeFailed, match="in a circle"):
        probe.time_first_page("127.0.0.1", port)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "login", ""])
def test_a_page_elsewhere_is_not_the_first_page(port: int, elsewhere: str) -> None:
    ANSWERS["/"] = (302, {"Location": elsewhere}, b"")
    ANSWERS[elsewhere] = (200, {}, b"page")
    with pytest.raises(probe.ProbeFailed, match="GET / answered 302"):
        probe.time_first_page("127.0.0.1", port)


def test_the_first_token_is_the_first_text(port: int) -> None:
    ANSWERS["/v1/chat/completions"] = (200, {}, ROLE + TEXT + USAGE + END)
    assert probe.time_first_token("127.0.0.1", port, "key", "model") > 0


def test_an_answer_without_text_is_told(port: int) -> None:
    ANSWERS["/v1/chat/completions"] = (200, {}, ROLE + USAGE + END)
    with pytest.raises(probe.ProbeFailed, match="without any text"):
        probe.time_first_token("127.0.0.1", port, "key", "model")
    ANSWERS["/v1/chat/completions"] = (402, {}, b"no credit")
    with pytest.raises(probe.ProbeFailed, match="402: no credit"):
        probe.time_first_token("127.0.0.1", port, "key", "model")


def test_only_200_means_serving(port: int) -> None:
    ANSWERS["/readyz"] = (503, {}, b"")
    assert not probe.is_serving("127.0.0.1", port)
    ANSWERS["/readyz"] = (200, {}, b"")
    assert probe.is_serving("127.0.0.1", port)


def test_a_closed_port_does_not_serve() -> None:
    assert not probe.is_serving("127.0.0.1", 1)
