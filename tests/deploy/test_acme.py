"""The default edge, running: Caddy gets a certificate from Pebble, with which Let's Encrypt tests
clients and which looks for the host as that does. Then the first page opens over https.
"""

import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy.client import Answer
from tests.deploy.shape import WAIT_SECONDS, Running, accepts, until
from tests.deploy.stage import Stage, bearer, staged
from tests.runner.programs import need
from tests.support.ports import free_port

HOST = "hub.example.test"
# Caddy reaches nginx from another address of this machine.
CLIENT = "127.0.0.2"
CHAT = "/v1/chat/completions"


class Edge(NamedTuple):
    """Caddy before the whole shape, and the trust of a browser that knows Pebble's root."""

    stage: Stage
    caddy: Running
    trust: ssl.SSLContext
    redirect_port: int

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(
            ("127.0.0.1", self.caddy.port), WAIT_SECONDS, source_address=(CLIENT, 0)
        )
        return self.trust.wrap_socket(plain, server_hostname=HOST)

    @contextlib.contextmanager
    def response(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(HOST, timeout=WAIT_SECONDS)
        connection.sock = self.connect()
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body.encode() or None, named)
            yield connection.getresponse()

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        with self.response(method, path, body, **headers) as response:
            return Answer(response.status, response.getheaders(), response.read())


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("acme")
    need("caddy")
    image: Path = request.getfixturevalue("image")
    with contextlib.ExitStack() as until_done:
        stage = until_done.enter_context(staged(folder, image, public_url=f"https://{HOST}"))
        shape = stage.shape
        directory_port, roots_port = free_port(), free_port()
        authority = own_certificate(folder)
        settings = {
            "listenAddress": f"127.0.0.1:{directory_port}",
            "managementListenAddress": f"127.0.0.1:{roots_port}",
            "certificate": str(authority), "privateKey": str(folder / "pebble.key"),
            # Where it looks for the host that asks for a certificate.
            "httpPort": shape.redirect_port, "tlsPort": shape.tls_port,
            "ocspResponderURL": "", "externalAccountBindingRequired": False,
        }  # fmt: skip
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        dns_port = free_port()
        for command in (
            [
                *(need("pebble-challtestsrv"), "-dns01", f"127.0.0.1:{dns_port}"),
                *("-management", f"127.0.0.1:{free_port()}", "-defaultIPv6", ""),
                *("-http01", "", "-https01", "", "-tlsalpn01", ""),
            ],
            [
                *(need("pebble"), "-config", str(folder / "pebble.json")),
                *("-dnsserver", f"127.0.0.1:{dns_port}"),
            ],
        ):
            log = until_done.enter_context((folder / f"{Path(command[0]).name}.log").open("wb"))
            process = subprocess.Popen(
                command, env={"PEBBLE_VA_NOSLEEP": "1"}, stdout=log, stderr=log
            )
            until_done.callback(process.wait)
            until_done.callback(process.terminate)
        until(lambda: accepts(roots_port), "the authority does not listen")
        shape.services["caddy"]["environment"] |= {
            "ACME_CA": f"https://127.0.0.1:{directory_port}/dir",
            "SSL_CERT_FILE": "/tmp/pebble.pem",
        }
        (shape.directory / "caddy/tmp").mkdir(parents=True)
        shutil.copy(authority, shape.directory / "caddy/tmp/pebble.pem")
        caddy = shape.launch("caddy")
        trust = ssl.create_default_context(cadata=root_of(roots_port, authority))
        result = Edge(stage, caddy, trust, shape.redirect_port)
        until(lambda: opens(result), "Caddy has no certificate")
        yield result


def own_certificate(folder: Path) -> Path:
    """The certificate of Pebble's own address, which signs itself."""
    certificate = folder / "pebble.pem"
    subprocess.run(
        [
            *(need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=pebble", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "pebble.key"), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate


def root_of(port: int, authority: Path) -> str:
    """The root that Pebble made for this run, in PEM."""
    trust = ssl.create_default_context(cafile=str(authority))
    with urllib.request.urlopen(f"https://127.0.0.1:{port}/roots/0", context=trust) as answer:
        return str(answer.read().decode())


def opens(edge: Edge) -> bool:
    assert edge.caddy.process.poll() is None, edge.caddy.told()
    try:
        edge.connect().close()
    except (ssl.SSLError, ConnectionError):
        return False
    return True


def test_the_first_link_opens_and_its_form_works_over_https(edge: Edge) -> None:
    """As docs/operate/start.md has it; the cookies are those that a browser takes over https
    alone."""
    link = edge.stage.shape.exec(
        "web", ["python", "manage.py", "sign_in_link", "owner@example.org"]
    ).strip()
    assert link.startswith(f"https://{HOST}/")
    page = edge.ask("GET", "/login")
    assert page.status == 200
    [cookie] = [one for one in page.all("set-cookie") if "csrf" in one]
    assert re.match(r"__Host-\w+=\w+; ", cookie)
    assert "Secure" in cookie
    [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode()))
    form = f"csrfmiddlewaretoken={token}&login=nobody%40example.org&password=wrong"
    statuses = {
        origin: edge.ask(
            "POST", "/login", form, Cookie=cookie.partition(";")[0], Referer=f"{origin}/login",
            Content_Type="application/x-www-form-urlencoded",
        ).status
        for origin in (f"https://{HOST}", "https://evil.example")
    }  # fmt: skip
    # Where it came from is asked of a form over https alone.
    assert statuses == {f"https://{HOST}": 200, "https://evil.example": 403}


def test_http_leads_to_https(edge: Edge) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.redirect_port, timeout=WAIT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/login?next=/", headers={"Host": HOST})
        response = connection.getresponse()
    assert response.status == 308
    assert str(response.getheader("location")).startswith(f"https://{HOST}")


def test_caddy_states_the_client_address_not_the_client(edge: Edge) -> None:
    forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "http", "X_Real_IP": "6.6.6.6"}
    assert edge.ask("GET", "/docs/forged", **forged).status == 404

    def logged() -> list[str]:
        lines = map(json.loads, edge.stage.nginx.told().splitlines())
        return [line["client"] for line in lines if line["path"] == "/docs/forged"]

    # nginx writes its line behind its answer.
    until(lambda: bool(logged()), "nginx wrote no line")
    assert logged() == [CLIENT]


def test_a_stream_comes_event_by_event_and_ends_with_its_client(edge: Edge) -> None:
    """A client that leaves must be seen to leave: its request is cancelled at the provider."""
    body = {
        "model": "fake",
        "stream": True,
        "messages": [{"role": "user", "content": "#tokens=400 #delay_ms=50 a long answer"}],
    }
    with edge.response(
        "POST", CHAT, json.dumps(body), Content_Type="application/json", **bearer()
    ) as response:
        assert response.status == 200
        assert b"data:" in b"".join(response.readline() for _ in range(3))
    edge.stage.settle()
    [(status,)] = edge.stage.rows(
        "SELECT status FROM usage_usagerecord ORDER BY request_id DESC LIMIT 1"
    )
    assert status == 499


def test_a_key_in_the_query_is_in_no_log_even_without_nginx(edge: Edge) -> None:
    """Last of this file: it takes nginx away."""
    edge.stage.nginx.process.terminate()
    edge.stage.nginx.process.wait(WAIT_SECONDS)
    answer = edge.ask("GET", "/v1/models?key=sk-secret-in-a-query")
    assert (answer.status, answer.one("retry-after")) == (503, "5")
    assert answer.json["error"]["code"] == "server_overloaded"
    assert "sk-secret-in-a-query" not in edge.caddy.told()
