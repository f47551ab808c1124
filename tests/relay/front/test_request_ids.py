"""The request's id stands in the header section and in the body of every error response: of every
kind, in every form, from the relay as from the web server before it."""

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from config.server import protocol
from dialects.errors.errors import KINDS, RequestFault
from lib.ids import id_text, new_id, parse_id
from relay.config import RelayConfig
from relay.downstream.downstream import ErrorAnswer
from relay.endpoints.table import find_endpoint, response_at
from relay.requests.body import read_body
from tests.config.server.test_protocol import LARGE, Transport, connect
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Answer, Hub, Tenant

# One path of each form, with and without a row.
PATHS = {
    "openai": ("/v1/chat/completions", "/v1/nothing", "/", "/page", ""),
    "openai texts": ("/v1/completions", "/v1/edits", "/v1/embeddings", "/v1/files"),
    "responses": ("/v1/responses", "/v1/responses/compact"),
    "anthropic": ("/v1/messages", "/v1/messages/nothing", "/anthropic/v1/nothing"),
    "gemini": ("/v1beta/models/m:generateContent", "/v1beta/nothing", "/v1/models/m:embedContent"),
    "gemini array": ("/v1beta/models/m:streamGenerateContent",),
    "converse": ("/model/m/converse", "/model/m/converse-stream", "/model/m/nothing"),
    "interactions": ("/v1beta/interactions", "/v1/interactions/v1_1/nothing"),
    "mj": ("/mj/submit/imagine", "/mj-fast/mj/nothing"),
    "suno": ("/suno/submit/music",),
    "kling": ("/kling/v1/videos",),
    "jimeng": ("/jimeng",),
}
FORMS = {path: form for form, paths in PATHS.items() for path in paths}


def id_in(form: str, body: bytes) -> str | None:
    """The request's id, at the place that the form has for it."""
    decoded: Any = json.loads(body)
    if form.startswith("gemini"):
        error = decoded[0]["error"] if isinstance(decoded, list) else decoded["error"]
        (info,) = [one for one in error["details"] if one["@type"].endswith(".RequestInfo")]
        return str(info["requestId"])
    request_id: str | None = decoded["request_id"]
    return request_id


def check(form: str, answer: Answer, status: int) -> None:
    assert answer.status == status, answer.body
    assert parse_id(answer.headers["x-request-id"]) is not None
    assert id_in(form, answer.body) == answer.headers["x-request-id"]
    if form == "anthropic":
        assert answer.headers["request-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", FORMS)
def test_every_kind_in_the_form_of_a_path(path: str) -> None:
    request_id = id_text(new_id())
    for kind, row in KINDS.items():
        response = response_at(path, ErrorAnswer(kind, row.status, "message"), request_id)
        assert id_in(FORMS[path], response.body) == request_id, kind
        assert (b"content-type", b"application/json") in response.fields


# ---- the web server, before the relay


def refused(path: str) -> Iterator[tuple[int, bytes]]:
    """What it refuses by itself, and by which status."""
    at = path.encode()
    yield 400, b"GET " + at + b" HTTP/1.1\r\nhost: h\r\n: nothing\r\n\r\n"
    yield 400, b"GET " + at + b" HTTP/1.1\r\n\r\n"
    yield 431, b"GET " + at + b" HTTP/1.1\r\nhost: h\r\nx: " + LARGE
    yield 431, b"GET " + at + b" HTTP/1.1\r\nhost: h\r\n" + b"a: b\r\n" * 101 + b"\r\n"


async def never(scope: object, receive: object, send: object) -> None:
    raise AssertionError("asked")


def parsed(transport: Transport) -> Answer:
    raw = b"".join(transport.written)
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert int(fields["content-length"]) == len(body)
    return Answer(int(first.split(" ")[1]), fields, body)


@pytest.mark.parametrize("path", [path for path in FORMS if path])
async def test_web_servers_own_rejections(path: str) -> None:
    for status, raw in refused(path):
        server, transport = connect(never)
        server.data_received(raw)
        assert transport.closed
        check(FORMS[path], parsed(transport), status)


@pytest.mark.parametrize("path", [path for path in FORMS if path])
async def test_late_head(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.001)
    server, transport = connect(never)
    server.data_received(b"POST " + path.encode() + b" HTTP/1.1\r\nx: ")
    await transport.ended.wait()
    check(FORMS[path], parsed(transport), 408)


async def test_full_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "connections_max", lambda: 0)
    _, transport = connect(never)
    check("openai", parsed(transport), 503)
    assert parsed(transport).headers["retry-after"] == "5"


@pytest.mark.parametrize("path", [path for path in FORMS if path])
async def test_failure_below_the_application(path: str) -> None:
    server, transport = connect(never)
    server.data_received(b"GET " + path.encode() + b" HTTP/1.1\r\nhost: h\r\n\r\n")
    await asyncio.wait(server.tasks)
    await asyncio.sleep(0)
    check(FORMS[path], parsed(transport), 500)


# ---- the relay

SIZE = {"content-length": str(72 * 1024 * 1024 + 1), "content-type": "application/json"}
TEXT = {"content-type": "text/plain"}


@pytest.mark.parametrize("path", [path for path, form in FORMS.items() if path[:3] == "/v1"])
def test_relays_own_rejections(hub: Hub, path: str) -> None:
    form, tenant = FORMS[path], hub.tenant()
    known = find_endpoint(path) is not None
    for status, method, asker, body, headers in (
        (401, "POST", None, b"{}", {}),
        (405, "PUT", tenant, None, {}),
        (413, "POST", tenant, None, SIZE),
        (415, "POST", tenant, b"{}", TEXT),
        (400, "POST", tenant, b"{", {}),
    ):
        if path == "/v1/files":
            status = status if status in (401, 405) else 501
        answer = hub.request(method, path, asker, body, headers)
        check(form, answer, status if known else 404)


def test_a_call_of_a_model_that_is_no_row(hub: Hub) -> None:
    check("gemini", hub.request("POST", "/v1/models/m:nothing", hub.tenant(), b"{}"), 404)


@pytest.mark.parametrize(
    "path", [path for path in FORMS if path[:3] in ("/mj", "/su", "/kl", "/ji")]
)
def test_paths_of_task_services(hub: Hub, path: str) -> None:
    known = find_endpoint(path) is not None
    check(FORMS[path], hub.request("POST", path, None, b"{}"), 401 if known else 404)


def test_rejections_for_model_money_and_upstream(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    poor: Tenant = hub.tenant("0")
    check("openai", hub.post(tenant, ask("no-such-model")), 404)
    check("openai", hub.post(poor, ask(model, max_tokens=50)), 402)
    check("openai", hub.post(tenant, ask(model) | {"n": 0}), 422)
    check("openai", hub.post(tenant, ask(model, "#fault=F10:500")), 502)


async def test_late_body_is_408() -> None:
    """The same as on pages; it was 400 once."""
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Any:
        return pieces.pop() if pieces else await asyncio.Event().wait()

    config = RelayConfig(dsn="", kek="", pepper="", body_wait_s=0.0)
    with pytest.raises(RequestFault) as raised:
        await read_body(receive, None, 100, config)
    assert KINDS[raised.value.kind].status == 408
    assert "send it again" in raised.value.message


def test_non_http_request_to_the_hub(hub: Hub) -> None:
    with closing(socket.create_connection(("127.0.0.1", hub.port), timeout=20)) as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
    check("anthropic", answer, 400)
    assert re.search(r"one Host", answer.body.decode())
