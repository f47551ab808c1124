"""The headers of every answer: of a stream in each dialect, of a refusal, for a page of another
origin; and what of a client's words may stand in one."""

from typing import Any

import pytest

from reference.answers.headers import ANSWERED
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Hub

# Told to operators alone, whose page is ours.
OF_OPERATORS = {"x-weir-channel", "x-weir-attempts"}
LIMITS = {"requests", "tokens"}


@pytest.mark.parametrize(
    ("client", "again"),
    # What a Responses request asks not to be stored is not kept for another try either.
    [*((client, False) for client in SPEAKERS), ("openai", True), ("anthropic", True)],
)
def test_no_proxy_stores_or_delays_a_stream(
    hub: Hub, fake: FakeUpstream, client: str, again: bool
) -> None:
    """It would be shown late, or to somebody else."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), hub.model(fake)
    body = speaker.body(model, Wish("#tokens=2", stream=True))
    headers = {"idempotency-key": f"{model}-{client}"} if again else {}
    for _ in range(1 + again):
        path = speaker.path(model, stream=True)
        answer = hub.post(tenant, body, path=path, headers=headers)
        assert answer.status == 200, answer.body
    assert answer.headers.get("idempotent-replayed") == ("true" if again else None)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"


def test_cross_origin_page_may_read_every_header(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    messages = {name for field in ANSWERED for name in field.name.split(", ")} - OF_OPERATORS
    messages |= {name.replace("requests", unit) for name in messages for unit in LIMITS}
    for answer in (
        hub.post(tenant, ask(model, "#tokens=1"), headers={"origin": "https://x.example"}),
        hub.post(tenant, ask("no-such"), headers={"origin": "https://x.example"}),
        hub.post(None, ask(model), headers={"origin": "https://x.example"}),
    ):
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert messages <= exposed
        assert not exposed & OF_OPERATORS


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/v1/chat/completions", 73 * 1024 * 1024, 413),
        ("/v1/messages", 73 * 1024 * 1024, 413),
        ("/v1/files", 2, 501),
        ("/v1/fine_tuning/jobs", 2, 501),
    ],
)
def test_unread_body_ends_its_connection(hub: Hub, path: str, size: int, status: int) -> None:
    """The rest of the body would be waited for, whatever is answered."""
    headers = {"content-length": str(size), "content-type": "application/json"}
    answer = hub.request("POST", path, hub.tenant(), headers=headers)
    assert (answer.status, answer.headers.get("connection")) == (status, "close")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "name", ["x\r\nset-cookie: a=b", "é", "a b", "a,b", "a\x00b", "x" * 65, "", "\u2028"], ids=ascii
)
def test_client_made_names_are_in_no_header(
    hub: Hub, fake: FakeUpstream, name: str, stream: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **UPSTREAMS["anthropic"])
    body: dict[str, Any] = {**ask(model, "#tokens=1", stream=stream), name: 1, "seed": 7}
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-weir-dropped-params"].split(",") == ["seed"]
