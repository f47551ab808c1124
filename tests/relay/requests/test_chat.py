"""A chat request through a real server to a real provider: bytes, records, money."""

import json

import pytest

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask
from tests.relay.clients import OpenAIClient
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


def test_plain_answer_and_record_match_the_upstream(hub: Hub, fake: FakeUpstream) -> None:
    """P1, I10: same bytes, same tokens, exact nano."""
    tenant, model = hub.tenant("1.00"), hub.model(fake)
    answer = hub.post(tenant, ask(model, "plain #tokens=20 one two three"))
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == expected_text(
        "a", "plain #tokens=20 one two three", 20
    )
    record = hub.record(answer.headers["x-request-id"])
    usage = body["usage"]
    assert record["meters"] == {
        "in_text": usage["prompt_tokens"],
        "out_text": usage["completion_tokens"],
    }
    assert record["charge_nano"] == usage["prompt_tokens"] + 3 * usage["completion_tokens"]
    assert (record["status"], record["basis"], record["finish_reason"]) == (200, "measured", "stop")
    hub.settled(tenant)
    balance = hub.balance(tenant)
    assert balance["customer:available"] == 10**9 - record["charge_nano"]
    assert balance["revenue"] == record["charge_nano"]


def test_official_client_streams(hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream) -> None:
    """P1: the openai client reads a stream, and its usage chunk when it asks for it."""
    tenant, model = hub.tenant("1.00"), hub.model(fake)
    client = openai_client(tenant.key)
    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "stream #tokens=30"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == expected_text("a", "stream #tokens=30", 30)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 30
    hub.settled(tenant)


def test_stream_is_the_upstreams_bytes_without_unasked_usage(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("1.00"), hub.model(fake)
    answer = hub.post(tenant, ask(model, "bytes #tokens=9", stream=True))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    frames = answer.body.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-2]]
    assert all(chunk["choices"] for chunk in chunks)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == expected_text("a", "bytes #tokens=9", 9)
    record = hub.record(answer.headers["x-request-id"])
    assert record["meters"]["out_text"] == 9
    assert record["basis"] == "measured"
