"""Same dialect, same bytes: what the upstream sent is what the client gets."""

import http.client
import json
import re
from contextlib import closing
from typing import Any

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, chunks_of
from tests.support.hub import Hub


def direct(fake: FakeUpstream, body: dict[str, Any]) -> bytes:
    """What the fake answers to this body when it is asked without us."""
    with closing(http.client.HTTPConnection("127.0.0.1", fake.port, timeout=60)) as connection:
        headers = {"content-type": "application/json", "authorization": f"Bearer {fake.key}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return connection.getresponse().read()


def numbered_alike(body: bytes) -> bytes:
    """The fake numbers its answers: the one thing in which two answers to one body differ."""
    return re.sub(rb'"chatcmpl-[^"]*"', b'"chatcmpl-n"', body)


SHAPES = [
    "#tokens=12",
    "#tokens=12 #lang=mixed",
    "#tokens=12 #crlf",
    "#tokens=12 #nospace",
    "#tokens=12 #comments",
    "#tokens=6 #reasoning=5",
    "#tokens=0 #tools=2",
    "#tokens=12 #nodone",
    "#tokens=12 #chunk_bytes=1",
    "#tokens=12 #chunk_bytes=7 #lang=emoji",
    "#fault=F29",
    "#fault=F31",
    "#tokens=12 #fault=F37:trailers",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_stream_with_usage_asked_is_byte_equal(hub: Hub, fake: FakeUpstream, shape: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, upstream_model="")
    body = ask(model, shape, stream=True, stream_options={"include_usage": True})
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    # F14a: the marker is all that is ever added.
    marker = b"data: [DONE]\n\n" if "#nodone" in shape else b""
    assert numbered_alike(answer.body) == numbered_alike(direct(fake, body)) + marker
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["basis"]) == (200, "measured")


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "chunk_bytes" not in shape])
def test_plain_answer_is_byte_equal(hub: Hub, fake: FakeUpstream, shape: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, upstream_model="")
    answer = hub.post(tenant, ask(model, shape))
    assert answer.status == 200, answer.body
    sent = direct(fake, ask(model, shape))
    assert numbered_alike(answer.body) == numbered_alike(sent)


def test_usage_chunk_is_requested_upstream_and_removed(hub: Hub, fake: FakeUpstream) -> None:
    """A client that did not ask gets every other byte."""
    tenant, model = hub.tenant(), hub.model(fake, upstream_model="")
    answer = hub.post(tenant, ask(model, "#tokens=4", stream=True))
    sent = direct(fake, ask(model, "#tokens=4", stream=True,
                            stream_options={"include_usage": True}))  # fmt: skip
    frames = sent.split(b"\n\n")
    without = [frame for frame in frames if b'"choices":[]' not in frame]
    assert len(without) == len(frames) - 1
    assert numbered_alike(answer.body) == numbered_alike(b"\n\n".join(without))
    assert all("usage" not in chunk or chunk["usage"] is None for chunk in chunks_of(answer))


def test_body_goes_upstream_with_only_the_allowed_edits(hub: Hub, fake: FakeUpstream) -> None:
    """Unknown members, spaces and the spelling of numbers stay as the client wrote them."""
    tenant, model = hub.tenant(), hub.model(fake)
    raw = (
        b'{ "model" : "%s",\n "temperature":0.70, "x_unknown": [1.0, {"a":null}] ,'
        b'"messages":[{"role":"user","content":"\\u4f60 #keep #tokens=3"}],"max_cost":"1.0"}'
    ) % model.encode()
    answer = hub.post(tenant, raw)
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    row = fake.row(id_text(record["id"]))
    assert row is not None
    wanted = raw.replace(b'"%s"' % model.encode(), b'"fake"').replace(b',"max_cost":"1.0"', b"")
    assert row["body"].encode() == wanted


def test_no_client_header_goes_upstream(hub: Hub, fake: FakeUpstream) -> None:
    """Only ours do: authentication of the channel, the attempt's id, the body's own."""
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(
        tenant,
        ask(model, "#keep"),
        headers={"cookie": "a=b", "x-forwarded-for": "10.0.0.1", "x-secret": "1",
                 "openai-organization": "org-1", "idempotency-key": "k"},
    )  # fmt: skip
    record = hub.record(answer.headers["x-request-id"])
    row = fake.row(id_text(record["id"]))
    assert row is not None
    assert set(row["headers"]) <= {
        "host", "content-type", "content-length", "accept", "accept-encoding", "user-agent",
        "authorization", "x-client-request-id",
    }  # fmt: skip
    assert tenant.key not in json.dumps(row["headers"])
    assert row["headers"]["accept-encoding"] == "identity"
    assert row["headers"]["user-agent"] == "weir"


def test_client_user_agent_goes_upstream_with_its_bytes(hub: Hub, fake: FakeUpstream) -> None:
    """Unless the channel says not, or it can stand in no header; what is
    translated is the hub's own."""
    tenant, model = hub.tenant(), hub.model(fake)

    def ask_with_agent(model: str, text: str) -> str:
        answer = hub.post(tenant, ask(model, "#keep #tokens=1"), headers={"user-agent": text})
        assert answer.status == 200, answer.body
        row = fake.wait_for_row(id_text(hub.record(answer.headers["x-request-id"])["id"]))
        assert row is not None
        agent: str = row["headers"]["user-agent"]
        return agent

    assert ask_with_agent(model, "AsyncOpenAI/Python 2.7.1") == "AsyncOpenAI/Python 2.7.1"
    assert ask_with_agent(model, "curl/8") == "curl/8"
    assert ask_with_agent(model, "x" * 2000) == "weir"
    translated = hub.model(fake, provider="anthropic", upstream_model="claude-sonnet-4-5")
    assert ask_with_agent(translated, "curl/8") == "weir"
    hub.connection.execute(
        "UPDATE gateway_channel SET names_client = false WHERE name = %s", [f"{model}-0"]
    )
    hub.bump()
    hub.wait(
        lambda: ask_with_agent(model, "curl/8") == "weir", "the channel still names the client"
    )
