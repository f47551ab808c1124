"""Tricks with paths reach nothing beyond the list: as bytes on a socket, for clients would tidy
them, and as redirects that a provider sends."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.channels.passthrough.rules import PassThroughRule
from tests.relay.endpoints.passthrough.passing import channel_of, send_raw
from tests.relay.endpoints.passthrough.provider import Provider, running_provider
from tests.support.hub import Hub, Tenant

RULES = [
    PassThroughRule(("GET", "POST"), "/files/*"),
    PassThroughRule(("GET",), "/open/**"),
    PassThroughRule(("POST",), "/once"),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def root(hub: Hub, provider: Provider) -> str:
    provider.answers.clear()
    return channel_of(hub, provider, RULES)


@pytest.fixture
def tenant(hub: Hub, root: str) -> Tenant:
    return hub.tenant("1.00")


BEYOND = [
    "/admin", "/", "", "/files", "/files/", "/files/a/b", "/Files/a", "/files/../admin",
    "/files/a/../../admin", "/open/../admin", "/open/./a", "/open/%2e%2e/admin",
    "/open/%2E%2E/admin", "/open/.%2e/admin", "/open/%252e%252e/admin", "/open/%25252e/admin",
    "/open/..%2fadmin", "/open/..%2Fadmin", "/open/%2e%2e%2fadmin", "/open/..%5cadmin",
    "/open/..\\admin", "/open//admin", "//open/a", "/open/..;/admin", "/open/a;/../admin",
    "/open/%00", "/open/a%00/../admin", "/open/%0d%0ahost:%20evil", "/open/%c0%ae%c0%ae/admin",
    "/open/%ef%bc%8e%ef%bc%8e/admin", "/open/..%ef%bc%8fadmin", "/open/%e2%81%84admin",
    "/open/a%3fx=/../admin", "/open/a%23/../admin", "/open/%20", "/open/..%20/admin",
    "/open/%u002e%u002e/admin", "/open/%", "/open/%2", "/http://evil.example/open/a",
    "/open/http://evil.example", "/@evil.example/open/a", "/once/",
]  # fmt: skip


@pytest.mark.parametrize("path", BEYOND)
def test_trick_reaches_nothing(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, path: str
) -> None:
    before = len(provider.seen)
    status, answer = send_raw(hub, tenant, f"GET {root}{path} HTTP/1.1")
    assert status in (400, 404, 405), answer
    assert len(provider.seen) == before
    assert hub.balance(tenant).get("customer:held", 0) == 0


@pytest.mark.parametrize(
    "line",
    [
        "GET {root}/../{name}/admin HTTP/1.1",
        "GET /passthrough/../{name}/open/a HTTP/1.1",
        "GET /passthrough//{name}/open/a HTTP/1.1",
        "GET //passthrough/{name}/open/a HTTP/1.1",
        "GET /%70assthrough/{name}/open/a HTTP/1.1",
        "GET /passthrough%2f{name}/open/a HTTP/1.1",
        "GET /passthrough/{name}%2fopen/a HTTP/1.1",
        "GET /passthrough/%ff/open/a HTTP/1.1",
        "GET /passthrough/nobody/open/a HTTP/1.1",
        "GET http://evil.example{root}/../admin HTTP/1.1",
        "PUT {root}/open/a HTTP/1.1",
        "DELETE {root}/files/a HTTP/1.1",
        "TRACE {root}/files/a HTTP/1.1",
        "CONNECT {root}/files/a HTTP/1.1",
    ],
)
def test_trick_with_request_line_reaches_nothing(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, line: str
) -> None:
    before = len(provider.seen)
    name = root.removeprefix("/passthrough/")
    status, _ = send_raw(hub, tenant, line.format(root=root, name=name))
    assert 400 <= status < 500
    assert len(provider.seen) == before


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("GET {root}/open/a%20b/%C3%A9 HTTP/1.1", "/v1/open/a%20b/%C3%A9"),
        ("GET {root}/open/%61%2d HTTP/1.1", "/v1/open/a-"),
        ("GET {root}/open/a/b/?q=../../x HTTP/1.1", "/v1/open/a/b/?q=../../x"),
        # The authority of an absolute form names nobody: the channel's address does.
        ("GET http://evil.example{root}/open/a HTTP/1.1", "/v1/open/a"),
        ("POST {root}/once HTTP/1.1", "/v1/once"),
        ("HEAD {root}/open/a HTTP/1.1", ""),
    ],
)
def test_path_arrives_in_the_compared_form(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, line: str, target: str
) -> None:
    before = len(provider.seen)
    status, _ = send_raw(hub, tenant, line.format(root=root))
    seen = [one.target for one in provider.seen[before:]]
    assert (status, seen) == ((200, [target]) if target else (405, []))


def test_rejected_method_lists_the_allowed_ones(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    """RFC 9110, section 15.5.6."""
    before = len(provider.seen)
    answer = hub.request("DELETE", f"{root}/once", tenant)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    answer = hub.request("POST", f"{root}/open/a", tenant, b"{}")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    unknown = hub.request("GET", f"{root}/admin", tenant)
    assert (unknown.status, "allow" in unknown.headers) == (404, False)
    assert len(provider.seen) == before


def test_headers_cannot_smuggle_a_second_request(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    before = len(provider.seen)
    smuggled = "0\r\n\r\nGET /v1/admin HTTP/1.1\r\nhost: x\r\n\r\n"
    head = f"content-length: {len(smuggled)}\r\ntransfer-encoding: chunked\r\n"
    with closing(socket.create_connection(("127.0.0.1", hub.port), 30)) as client:
        text = f"POST {root}/once HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        client.sendall((text + head + "\r\n" + smuggled).encode())
        client.settimeout(10)
        client.recv(65536)
    assert "/v1/admin" not in [one.target for one in provider.seen[before:]]


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("place", "here"),
    [
        ("/v1/open/b?x=1", "{root}/open/b"),
        ("b", "{root}/open/b"),
        ("http://127.0.0.1:{port}/v1/open/b", "{root}/open/b"),
        ("//127.0.0.1:{port}/v1/open/b", "{root}/open/b"),
        ("http://evil.example/v1/open/b", None),
        ("//evil.example/v1/open/b", None),
        ("https://127.0.0.1:{port}/v1/open/b", None),
        ("http://127.0.0.1:{port}@evil.example/v1/open/b", None),
        ("http://127.0.0.1:1/v1/open/b", None),
        ("/v1/admin", None),
        ("/v2/open/b", None),
        ("/v1/open/../admin", None),
        ("/v1/open/%2e%2e/admin", None),
        ("/v1/open/..%2fadmin", None),
        ("javascript:alert(1)", None),
        ("http://[", None),
    ],
)
def test_redirect_stays_on_the_list(
    hub: Hub,
    provider: Provider,
    root: str,
    tenant: Tenant,
    status: int,
    place: str,
    here: str | None,
) -> None:
    location = place.format(port=provider.port)
    provider.answers["/open/a"] = lambda handler: handler.reply(
        b"moved", status=status, location=location
    )
    before = len(provider.seen)
    answer = hub.request("GET", f"{root}/open/a", tenant)
    # It is never followed.
    assert len(provider.seen) == before + 1
    if here is None:
        assert (answer.status, answer.error["code"]) == (502, "upstream_error")
        assert "location" not in answer.headers
        assert location not in answer.body.decode()
    else:
        assert (answer.status, answer.body) == (status, b"moved")
        assert answer.headers["location"] == here.format(root=root)
    hub.settled(tenant)


def test_own_key_without_pass_through_rejects_requests(
    hub: Hub, provider: Provider, root: str
) -> None:
    """The installation's key, which passes requests on, is not used without being asked; others use
    it as before, and nobody's own key is sent (P12)."""
    name = root.removeprefix("/passthrough/")
    (row,) = hub.rows("SELECT id FROM gateway_channel WHERE name = %s", name)
    alice, bob, charlie = (hub.tenant("1.00") for _ in range(3))
    hub.own_key(alice, row["id"], "sk-alice-11111", fall_back=False)
    hub.own_key(bob, row["id"], "sk-bobby-22222", fall_back=True)
    hub.know(hub.model("http://127.0.0.1:9"))
    before = len(provider.seen)
    status, answer = send_raw(hub, alice, f"GET {root}/open/a HTTP/1.1")
    assert status == 400
    assert b"with its own provider key only" in answer
    assert len(provider.seen) == before
    for tenant in (bob, charlie):
        assert send_raw(hub, tenant, f"GET {root}/open/a HTTP/1.1")[0] == 200
    assert [one.headers["authorization"] for one in provider.seen[before:]] == [
        f"Bearer {provider.key}"
    ] * 2
