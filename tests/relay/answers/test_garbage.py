"""What a request leaves behind: the relay's own things go with it, and nothing of them waits for
the next collection of garbage."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub, Tenant, running_hub

PATH = "/v1/chat/completions"
# A thing that each request left would be there so many times; what comes with time, by itself, is
# there once or twice.
REQUESTS = 100


@pytest.fixture(scope="module")
def collecting() -> Iterator[Hub]:
    with running_hub(application="tests.relay.collecting") as hub:
        yield hub


def garbage(hub: Hub) -> dict[str, int]:
    """What only a collection has freed since this was last asked, by type."""
    body: dict[str, int] = hub.get("/_garbage").json()
    return {name: count for name, count in body.items() if count >= REQUESTS // 2}


def asking(tenant: Tenant, body: Any, **headers: str) -> dict[str, Any]:
    return {
        "method": "POST",
        "url": PATH,
        "body": json.dumps(body),
        "headers": {"authorization": f"Bearer {tenant.key}", **headers},
    }


def chat(model: str, words: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": words}], **fields}


@pytest.mark.parametrize(
    ("words", "fields", "headers"),
    [
        ("hi", {}, {}),
        ("hi", {"stream": True}, {}),
        ("#fault=F6:400", {}, {}),
        ("#fault=F14:eof@2", {"stream": True}, {}),
        ("hi", {"messages": 3}, {}),
        ("hi", {}, {"connection": "close"}),
    ],
    ids=["whole", "streamed", "refused upstream", "cut upstream", "refused", "closed"],
)
def test_answered_request_leaves_no_garbage(
    collecting: Hub, fake: FakeUpstream, words: str, fields: Any, headers: dict[str, str]
) -> None:
    tenant, model = collecting.tenant(), collecting.model(fake)
    request = asking(tenant, chat(model, words) | fields, **headers)
    connection = http.client.HTTPConnection("127.0.0.1", collecting.port)

    def ask() -> None:
        connection.request(**request)
        connection.getresponse().read()

    try:
        assert not left_by(collecting, tenant, ask)
    finally:
        connection.close()


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_client_leaves_no_garbage(
    collecting: Hub, fake: FakeUpstream, stream: bool
) -> None:
    tenant, model = collecting.tenant(), collecting.model(fake)
    raw = json.dumps(chat(model, "#hold=1", stream=stream)).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {tenant.key}\r\n"
    head += f"content-length: {len(raw)}\r\n\r\n"

    def leave() -> None:
        with socket.create_connection(("127.0.0.1", collecting.port)) as client:
            client.sendall(head.encode() + raw)
            if stream:
                client.recv(1)

    assert not left_by(collecting, tenant, leave)


def left_by(hub: Hub, tenant: Tenant, act: Callable[[], None]) -> dict[str, int]:
    act()
    garbage(hub)
    for _ in range(REQUESTS):
        act()
    hub.settled(tenant)
    return garbage(hub)
