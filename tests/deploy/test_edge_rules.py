"""What the edge may not do with a request or an answer, whatever stands behind it: send it twice,
compress it, cut it, serve it without TLS (P1, P24)."""

import contextlib
import itertools
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from config.server.request_limits import BODY_BYTES_MAX, UPLOADS
from gateway.channels.channels import TIMEOUTS
from relay.downstream.error_answers import OVERLOADED, answer_of_kind, error_response
from relay.endpoints.table import find_endpoint, is_claimed, listed_rows, read_invocation
from relay.requests.invocation import Invocation
from tests.deploy import files
from tests.deploy.client import WAIT_SECONDS, Answer, ask, send_raw
from tests.deploy.shape import Running, Shape, until
from tests.deploy.test_files import GIVEN
from tests.fakes.realtime import FakeRealtime
from tests.runner.programs import need
from tests.support.ports import free_port

NGINX = files.ROOT / "deploy/nginx"
PAGE = b"<!doctype html>" + b"<p>the balance, and what a visitor wrote</p>" * 100
CHAT = "/v1/chat/completions"


class Upstream:
    """Says the same to every request, or nothing before it closes; keeps the first lines."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            got = connection.recv(65536)
            if not got:
                return
            head += got
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = head.partition(b"\r\n\r\n")[2]
        while length and len(body) < int(length[1]):
            body += connection.recv(65536)
        self.asked.append(head.partition(b"\r\n")[0].decode())
        connection.sendall(self._answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def answer_of(status: str, body: bytes, content_type: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    return f"{head}\r\nConnection: close\r\n\r\n".encode() + body


class TlsShape(Shape):
    """nginx with the certificate of the test, at a port of its own."""

    def __init__(self, directory: Path, tls: Path) -> None:
        super().__init__(directory, {**GIVEN, "EDGE": "tls", "TLS_DIR": str(tls)}, "")

    def _configuration(self, name: str, text: str) -> str:
        for written, local in (("", "127.0.0.1:"), ("[::]:", "[::1]:")):
            text = text.replace(f"listen {written}8443 ssl;", f"listen {local}{self.tls_port} ssl;")
        # nginx learnt this directive in 1.25; distributions still ship older ones.
        return super()._configuration(name, text.replace("    http2 on;\n", ""))


@contextlib.contextmanager
def edge_before(shape: Shape, *answers: bytes) -> Iterator[tuple[Running, list[Upstream]]]:
    """nginx before as many web processes as there are answers."""
    upstreams = [Upstream(answer) for answer in answers]
    for upstream in upstreams:
        ended = subprocess.Popen(["true"])
        ended.wait()
        shape.webs.append(Running("web", ended, upstream.port, Path("/dev/null")))
    try:
        edge = shape.start("nginx")
        for upstream in upstreams:
            upstream.asked.clear()
        yield edge, upstreams
    finally:
        shape.close()
        for upstream in upstreams:
            upstream.close()


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port whose host answers nothing, as the address of a container that was removed."""
    with contextlib.ExitStack() as until_done:
        listener = until_done.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # One waits to be accepted; the kernel drops what the others say.
        for _ in range(4):
            filling = until_done.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_request_skips_stopped_processes(tmp_path: Path) -> None:
    """P10: however many processes are just stopping, and though an address answers nothing."""
    shape = Shape(tmp_path, GIVEN, "")
    with silent_port() as silent:
        live = Upstream(answer_of("200 OK", b"{}", "application/json"))
        shape.web_ports = [*(free_port() for _ in range(5)), silent, live.port]
        shape.webs = [Running("web", subprocess.Popen(["true"]), live.port, Path("/dev/null"))]
        shape.webs[0].process.wait()
        try:
            edge = shape.start("nginx")
            live.asked.clear()
            answers = [ask(edge.port, CHAT, body={"n": n}).status for n in range(8)]
        finally:
            shape.close()
            live.close()
    assert answers == [200] * 8
    assert len(live.asked) == 8


def asked(upstreams: list[Upstream]) -> list[str]:
    return [line for upstream in upstreams for line in upstream.asked]


def test_websocket_upgrades_pass(tmp_path: Path) -> None:
    """A WebSocket goes through, at either address of realtime connections, with what its client
    says of itself."""
    shape = Shape(tmp_path, GIVEN, "")
    with FakeRealtime() as web:
        ended = subprocess.Popen(["true"])
        ended.wait()
        shape.webs.append(Running("web", ended, web.port, Path("/dev/null")))
        try:
            shape.start("nginx")
            for path in ("/v1/realtime", "/api/v1/realtime"):
                url = f"ws://127.0.0.1:{shape.edge_port}{path}?model=m"
                names = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-1")]
                with connect(url, subprotocols=names, compression=None) as socket:
                    assert json.loads(socket.recv(timeout=20))["type"] == "session.created"
            asked = [session.headers for session in web.sessions]
            assert [headers["connection"] for headers in asked] == ["upgrade"] * 2
            assert all("sk-1" in headers["sec-websocket-protocol"] for headers in asked)
        finally:
            shape.close()


@pytest.fixture(scope="module")
def paging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    shape = Shape(tmp_path_factory.mktemp("paging"), GIVEN, "")
    with edge_before(shape, answer_of("200 OK", PAGE, "text/html; charset=utf-8")) as (edge, _):
        yield edge


@pytest.mark.parametrize("path", ["/login", "/api/v1/keys", CHAT])
def test_answers_with_secrets_are_not_compressed(paging: Running, path: str) -> None:
    """BREACH: a page holds a secret beside what a visitor wrote."""
    answer = ask(paging.port, path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert (answer.status, answer.all("content-encoding")) == (200, [])
    assert answer.body == PAGE


@pytest.mark.parametrize("path", ["/login", "/api/v1/keys", CHAT])
@pytest.mark.parametrize("status", ["500 Error", "502 Bad", "503 Busy", "504 Late", "429 Many"])
def test_answered_request_is_sent_to_no_other_process(
    tmp_path: Path, path: str, status: str
) -> None:
    """P1: a request that was taken in may have been paid for."""
    answer = answer_of(status, b"{}", "application/json")
    # The edge asks whether they are well before it is used; that is answered the same.
    shape = Shape(tmp_path, GIVEN, "")
    shape.services["nginx"].pop("healthcheck")
    with edge_before(shape, answer, answer) as (edge, upstreams):
        wait_for(edge.port)
        ask(edge.port, path, body={"model": "m"})
        assert asked(upstreams) == [f"POST {path} HTTP/1.1"]


def test_received_unanswered_request_is_sent_to_no_other_process(tmp_path: Path) -> None:
    shape = Shape(tmp_path, GIVEN, "")
    shape.services["nginx"].pop("healthcheck")
    with edge_before(shape, b"", b"") as (edge, upstreams):
        wait_for(edge.port)
        assert ask(edge.port, CHAT, body={"model": "m"}).status == 503
        assert asked(upstreams) == [f"POST {CHAT} HTTP/1.1"]


def wait_for(port: int) -> None:
    """Until the port is listened at; no request goes on."""

    def listening() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    until(listening, "nginx does not listen")


@pytest.mark.parametrize("path", ["/login", "/api/v1/keys", CHAT])
def test_every_edge_error_says_when_to_retry(tmp_path: Path, path: str) -> None:
    """Nothing keeps the answer of a moment, and it has an id that its log line has too."""
    shape = Shape(tmp_path, GIVEN, "")
    shape.services["nginx"].pop("healthcheck")
    with edge_before(shape, b"") as (edge, _):
        wait_for(edge.port)
        answer = ask(edge.port, path)
        assert answer.status == 503
        assert answer.one("retry-after") == "5"
        line = f'"id":"{answer.one("x-request-id")}"'
        until(lambda: line in edge.told(), "the log has no line of this answer")
        assert answer.all("cache-control") == (["no-store"] if path == "/login" else [])


def forms() -> dict[str, Invocation]:
    """Paths of OpenAI's, Anthropic's and Google's clients; Amazon's clients of Claude and those of
    task services read other forms."""
    names = {"{model}": "m:x", "{id}": "i", "{project}": "p", "{location}": "l"}
    paths = [re.sub("{[a-z]+}", lambda one: names.get(one[0], "x"), row) for row in listed_rows()]
    paths += ["/v1/v1/messages", "/v1/v1/models/gemini:generateContent"]
    paths += ["/v1/models/ft:gpt:org", "/anthropic/x", "/v1beta1/publishers/anthropic/models/m:x"]
    return {
        path: one
        for path in paths
        if is_claimed(path)
        and not path.startswith("/model/")
        and (one := read_invocation(find_endpoint(path), path, [], b"")).family is None
        and one.codec.name in ("openai", "anthropic", "gemini")
    }


def without_id(body: Any) -> Any:
    """The words of an error: without the id of the request, which other places name too, and as
    the object that a stream without events has in an array."""
    error = dict(body[0] if isinstance(body, list) else body)
    error.pop("request_id", None)
    error["error"] = {**error["error"]}
    error["error"].pop("details", None)
    return error


def test_edge_errors_have_the_form_of_the_relays(tmp_path: Path) -> None:
    """A client library reads no other form: it would not know that it may come again."""
    shape = Shape(tmp_path, GIVEN, "")
    shape.services["nginx"].pop("healthcheck")
    with edge_before(shape, b"") as (edge, upstreams):
        wait_for(edge.port)
        upstreams[0].close()
        read = forms()
        for path, invocation in read.items():
            answer = ask(edge.port, path)
            wanted = error_response(OVERLOADED, invocation, "")
            assert answer.status == wanted.status, path
            assert without_id(answer.json) == without_id(json.loads(wanted.body)), path
            # Of a body that is larger than any may be.
            head = f"POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {2 << 30}\r\n\r\n"
            answer = send_raw(edge.port, head.encode())
            wanted = error_response(answer_of_kind("body_too_large"), invocation, "")
            told, expected = without_id(answer.json), without_id(json.loads(wanted.body))
            del told["error"]["message"], expected["error"]["message"]
            assert (answer.status, told) == (413, expected), path
    assert {one.codec.name for one in read.values()} == {"openai", "anthropic", "gemini"}


def test_the_edge_waits_longer_than_a_channel_may_take() -> None:
    """F11: the time limit of a channel is the relay's to keep, and told by it."""
    hub = (NGINX / "hub.conf").read_text()
    relay, *others = re.findall(r"location [^{]*\{([^}]*)\}", re.sub(r'"[^"]*"', "", hub))
    [waited] = re.findall(r"proxy_read_timeout (\w+);", relay)
    assert files.seconds(waited) > TIMEOUTS["total"]
    for other in others:
        for silence in re.findall(r"proxy_read_timeout (\w+);", other):
            # The longest silence of a page's own stream is 15 s.
            assert files.seconds(silence) > 60


def test_edge_takes_every_upload_that_the_hub_takes() -> None:
    """And no other page more than the hub does."""
    text = (NGINX / "hub.conf").read_text()
    locations = re.findall(r'location ~ "([^"]+)" \{\s+client_max_body_size (\d+)m;', text)
    paths = [
        (path.pattern.replace("[^/]+", "acme").replace("(?:/media)?", media), bytes_max)
        for path, bytes_max in UPLOADS
        for media in ("", "/media")
    ]
    assert len(set(paths)) == len(UPLOADS) + 1
    for path, bytes_max in paths:
        taken = next((int(mib) for pattern, mib in locations if re.search(pattern, path)), 0)
        assert taken * 2**20 >= bytes_max, path
    [rest] = re.findall(r"location / \{\s+client_max_body_size (\d+)m;", text)
    assert int(rest) * 2**20 == BODY_BYTES_MAX


def certificate_in(folder: Path) -> Path:
    """The folder, with a certificate for `hub` as TLS_DIR has one."""
    folder.mkdir()
    subprocess.run(
        [
            *(need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-subj", "/CN=hub", "-addext", "subjectAltName=DNS:hub"),
            *("-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsShape, list[Upstream]]]:
    directory = tmp_path_factory.mktemp("secured")
    shape = TlsShape(directory / "shape", certificate_in(directory / "given"))
    answer = answer_of("200 OK", b"{}", "application/json")
    with edge_before(shape, answer) as (_, upstreams):
        yield shape, upstreams


@pytest.mark.parametrize("path", ["/", "/login?next=/o/acme", f"{CHAT}?key=k", "/api/v1/keys"])
def test_plain_http_serves_only_redirects_to_tls(
    secured: tuple[TlsShape, list[Upstream]], path: str
) -> None:
    """308 and not 301: a POST stays a POST."""
    shape, upstreams = secured
    upstreams[0].asked.clear()
    for body in (None, {"model": "m"}):
        answer: Answer = ask(shape.edge_port, path, body=body, headers={"Host": "hub.example"})
        assert (answer.status, answer.one("location")) == (308, f"https://hub.example{path}")
    assert asked(upstreams) == []


def test_application_learns_of_tls(secured: tuple[TlsShape, list[Upstream]]) -> None:
    shape, upstreams = secured
    context = ssl.create_default_context(cadata=_certificate(shape))
    with (
        socket.create_connection(("127.0.0.1", shape.tls_port), WAIT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="hub") as connection,
    ):
        assert connection.version() == "TLSv1.3"
        connection.sendall(b"GET /login HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert asked(upstreams)[-1] == "GET /login HTTP/1.1"


def _certificate(shape: TlsShape) -> str:
    return (Path(shape.given["TLS_DIR"]) / "fullchain.pem").read_text()


def test_old_versions_of_tls_and_its_tickets_are_off() -> None:
    """Read off the file: the library of this machine may refuse the old versions by itself."""
    text = (NGINX / "tls.conf").read_text()
    assert re.findall(r"^ *ssl_protocols (.*);$", text, re.M) == ["TLSv1.2 TLSv1.3"]
    # A ticket's key lives as long as the process, and opens every session that it has written.
    assert re.findall(r"^ *ssl_session_tickets (.*);$", text, re.M) == ["off"]


def connects(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, WAIT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("edge_ipv6", ["true", "false"])
@pytest.mark.parametrize("edge", ["plain", "tls"])
def test_nginx_alone_listens_for_ipv6_where_its_network_has_it(
    tmp_path: Path, edge: str, edge_ipv6: str
) -> None:
    """Docker hands the clients with IPv6 to the container's own address then, and a kernel without
    IPv6 refuses to listen so (EDGE_IPV6 of docs/operate/configure.md)."""
    shape = TlsShape(tmp_path, certificate_in(tmp_path / "given"))
    shape.given = {**shape.given, "EDGE": edge, "EDGE_IPV6": edge_ipv6}
    shape.services = files.services(shape.given, files.NGINX_ALONE)
    with edge_before(shape, answer_of("200 OK", b"{}", "application/json")):
        places = itertools.product(("127.0.0.1", "::1"), (shape.edge_port, shape.tls_port))
        at = {place for place in places if connects(place)}
    hosts = ("127.0.0.1", "::1") if edge_ipv6 == "true" else ("127.0.0.1",)
    ports = (shape.edge_port, shape.tls_port) if edge == "tls" else (shape.edge_port,)
    assert at == {(host, port) for host in hosts for port in ports}
