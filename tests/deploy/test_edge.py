"""nginx's shipped configuration before an upstream that writes down what reaches it."""

import contextlib
import http.client
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.api.api import api
from relay.config import MIB
from relay.endpoints.table import ENDPOINTS
from tests.deploy.client import WAIT_SECONDS, Answer, ask, send_raw
from tests.deploy.shape import Running, Shape
from tests.deploy.test_files import GIVEN
from tests.runner.programs import need
from tests.support.ports import free_port

ANSWER = b"HTTP/1.1 200 OK\r\nx-request-id: ours\r\nContent-Length: 2\r\n\r\nok"


class Recorder:
    """Answers every request with 200 once its head is there, and keeps the heads."""

    def __init__(self) -> None:
        self.heads: list[tuple[int, list[str]]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self.released = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            number = len(self._connections)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection:
            kept = b""
            while True:
                got = connection.recv(65536)
                if not got:
                    return
                kept += got
                if b"\r\n\r\n" in kept:
                    head = kept.partition(b"\r\n\r\n")[0]
                    kept = b""
                    self.heads.append((number, head.decode().split("\r\n")))
                    self._answer(connection, slow=b"/slow " in head)

    def _answer(self, connection: socket.socket, *, slow: bool) -> None:
        first, second = ANSWER[:-1], ANSWER[-1:]
        connection.sendall(first)
        if slow:
            self.released.wait()
        connection.sendall(second)

    def close(self) -> None:
        # Closing alone would leave the kernel to accept on, for the thread that waits there.
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def header(head: list[str], name: str) -> list[str]:
    results = (line.partition(": ") for line in head[1:])
    return [value for key, _, value in results if key.lower() == name.lower()]


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Running]:
    shape = Shape(tmp_path_factory.mktemp("edge"), GIVEN, "")
    shape.webs.append(Running("web", subprocess.Popen(["true"]), recorder.port, Path("/dev/null")))
    shape.webs[0].process.wait()
    yield shape.start("nginx")
    shape.close()


def open_post(port: int, path: str, size: int) -> Answer:
    """The answer to the head of a POST whose body has not come yet."""
    return send_raw(
        port, f"POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {size}\r\n\r\n".encode()
    )


def test_client_identity_headers_are_ours(edge: Running, recorder: Recorder) -> None:
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Prefix": "/evil",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-Request-ID": "theirs",
        "Host": "hub.example:8443",
        "Authorization": "Bearer sk",
    }
    assert ask(edge.port, "/v1/models", headers=forged).status == 200
    _, head = recorder.heads[-1]
    assert head[0] == "GET /v1/models HTTP/1.1"
    assert header(head, "x-forwarded-for") == ["127.0.0.1"]
    assert header(head, "x-forwarded-proto") == ["http"]
    assert header(head, "host") == ["hub.example:8443"]
    assert header(head, "authorization") == ["Bearer sk"]
    for name in ("host", "port", "prefix"):
        assert header(head, f"x-forwarded-{name}") == []
    for name in ("x-real-ip", "forwarded", "x-request-id", "connection"):
        assert header(head, name) == []


def test_the_request_id_is_the_one_of_the_application(edge: Running) -> None:
    answer = ask(edge.port, "/v1/models?key=sk-secret", headers={"X-Request-ID": "theirs"})
    assert answer.all("x-request-id") == ["ours"]
    line = edge.told().splitlines()[-1]
    assert '"id":"ours"' in line
    # A key in the query is in no log.
    assert "sk-secret" not in edge.told()


def test_every_management_operation_reaches_the_application(
    edge: Running, recorder: Recorder
) -> None:
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method in methods:
            filled = re.sub(r"\{[^}]*\}", "nothing", path)
            line = f"{method.upper()} {filled} HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n"
            assert send_raw(edge.port, line.encode()).status == 200
            assert recorder.heads[-1][1][0] == f"{method.upper()} {filled} HTTP/1.1"


def test_connections_to_the_application_are_kept(edge: Running, recorder: Recorder) -> None:
    """Each request comes on a connection of its own; what goes on uses one of ours again."""
    before = len(recorder.heads)
    for _ in range(8):
        ask(edge.port, "/v1/models")
    numbers = [number for number, _ in recorder.heads[before:]]
    # One per worker process of nginx at most.
    assert len(set(numbers)) < len(numbers)


@pytest.mark.parametrize("path", ["/slow", "/api/slow", "/v1/slow"])
def test_answer_is_never_buffered(edge: Running, recorder: Recorder, path: str) -> None:
    """Its second half is said only when its first half has been read."""
    recorder.released.clear()
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", edge.port, timeout=WAIT_SECONDS)
    ) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.read(1) == b"o"
        assert not recorder.released.is_set()
        recorder.released.set()
        assert response.read() == b"k"


@pytest.mark.parametrize(
    "path", sorted(path for path, found in ENDPOINTS.items() if found.body_bytes_max)
)
def test_relay_path_accepts_its_body(edge: Running, path: str) -> None:
    """Its head goes on at once, and without a file between: the answer comes before the body."""
    size = ENDPOINTS[path].body_bytes_max
    assert open_post(edge.port, path, size).status == 200
    assert open_post(edge.port, path + "/", size).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/keys"])
def test_a_body_too_large_is_refused_in_the_shape_of_the_api(edge: Running, path: str) -> None:
    answer = open_post(edge.port, path, 129 * MIB + 1)
    assert answer.status == 413
    assert answer.one("content-type") == "application/json"
    assert len(answer.one("x-request-id")) == 32
    assert answer.json["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json["error"]["code"] == "request_too_large"


@pytest.mark.parametrize("path", ["/login", "/api/v1/keys", "/o/acme/keys/new"])
def test_page_accepts_only_small_bodies(edge: Running, path: str) -> None:
    assert open_post(edge.port, path, 3 * MIB + 1).status == 413


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: +5",
        f"X-Long: {'a' * 9000}",
    ],
)
def test_ambiguous_request_ends_here(edge: Running, recorder: Recorder, lines: str) -> None:
    """docs/promises.md, "Requests": one strict parser behind one strict proxy."""
    before = len(recorder.heads)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\n{lines}\r\n\r\nhello"
    assert send_raw(edge.port, head.encode()).status in (400, 501)
    assert len(recorder.heads) == before


def test_internals_are_never_named_in_edge_errors(edge: Running, recorder: Recorder) -> None:
    """Last of this file: it takes the application away."""
    recorder.close()
    refused = ask(edge.port, "/v1/models")
    assert refused.status == 503
    assert refused.one("retry-after") == "5"
    assert refused.json["error"]["code"] == "server_overloaded"
    assert len(refused.one("x-request-id")) == 32
    page = ask(edge.port, "/login")
    assert page.status == 503
    assert page.one("content-type") == "text/html; charset=utf-8"
    assert "暂时无法访问" in page.body.decode()
    for answer in (refused, page):
        assert answer.one("server") == "nginx"


def test_tls_terminates_here_too(tmp_path: Path) -> None:
    """The other edge: what it says is well-formed, with a certificate where it looks for one."""
    shape = Shape(tmp_path, {**GIVEN, "EDGE": "tls"}, "")
    shape.webs.append(Running("web", subprocess.Popen(["true"]), free_port(), Path("/dev/null")))
    shape.webs[0].process.wait()
    folder = tmp_path / "nginx" / "etc/weir"
    (folder / "tls").mkdir(parents=True)
    (tmp_path / "nginx/tmp").mkdir()
    subprocess.run(
        [
            *(need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-subj", "/CN=hub", "-keyout", str(folder / "tls/privkey.pem")),
            *("-out", str(folder / "tls/fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )
    shape.mount("nginx")
    edge = folder / "nginx/tls.conf"
    # nginx learnt this directive in 1.25; distributions still ship older ones.
    edge.write_text(edge.read_text().replace("    http2 on;\n", ""))
    done = subprocess.run(
        [need("nginx"), "-t", "-c", str(folder / "nginx/nginx.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
