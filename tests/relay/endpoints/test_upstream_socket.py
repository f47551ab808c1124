"""Turns of a client's WebSocket on a WebSocket to the provider: what the provider was sent, what
its books say, and what becomes of a turn whose socket ends.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.endpoints.test_responses_socket import TOOL, connected, records, text_of
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import RATES, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture
def provider() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a", sockets=True) as fake:
        yield fake


@pytest.fixture
def model(hub: Hub, provider: FakeUpstream) -> str:
    return hub.model(provider, rates=RATES, **UPSTREAMS["responses"])


def inputs_of(event: dict[str, Any]) -> list[str]:
    """What an event brings: the words of messages, the kinds of other items."""
    given = event["input"]
    if isinstance(given, str):
        return [given]
    return [_words(item) for item in given]


def _words(item: dict[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return str(content or item["type"])


def test_a_turn_sends_only_what_is_new(hub: Hub, provider: FakeUpstream, model: str) -> None:
    """P3, I10: one socket for a tool loop; each turn is booked as what the provider counted."""
    tenant = hub.tenant()
    provider.script("#reasoning=2 #tokens=2 #tools=1", times=1)
    sealed = {"include": ["reasoning.encrypted_content"], "tools": [TOOL]}
    with connected(hub, tenant.key) as client:
        client.create(model, "look into it", **sealed)
        first = client.response()
        (call,) = [item for item in first["output"] if item["type"] == "function_call"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "file 1"}
        client.send(
            type="response.create", model=model, input=[result], store=False,
            previous_response_id=first["id"], **sealed,
        )  # fmt: skip
        second = client.response()
        client.create(model, "thanks", previous_response_id=second["id"], **sealed)
        third = client.response()
    (events,) = provider.sockets()
    assert [event["type"] for event in events] == ["response.create"] * 3
    assert [event.get("previous_response_id") for event in events] == [
        None, first["id"], second["id"],
    ]  # fmt: skip
    assert inputs_of(events[1]) == ["function_call_output"]
    assert inputs_of(events[2]) == ["thanks"]
    assert not any({"stream", "background", "stream_id"} & set(event) for event in events)
    heard = provider.books()[-1]["heard"]
    assert (heard[0], heard[-1]) == ("user: look into it", "user: thanks")
    assert "result: file 1" in heard
    assert third["usage"]["input_tokens"] > second["usage"]["input_tokens"]
    for row, turn in zip(records(hub, tenant, 3), (first, second, third), strict=True):
        usage = turn["usage"]
        assert row["meters"]["in_text"] == usage["input_tokens"]
        assert row["charge_nano"] == usage["input_tokens"] + 3 * usage["output_tokens"]
        assert row["basis"] == "measured"


def test_unsealed_reasoning_is_not_read_again(hub: Hub, provider: FakeUpstream, model: str) -> None:
    """I13: a turn reads what its hold covers, so it brings the whole conversation."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(model, "think #reasoning=3 #tokens=2")
        first = client.response()
        client.create(model, "go on", previous_response_id=first["id"])
        client.response()
    (events,) = provider.sockets()
    assert "previous_response_id" not in events[1]
    assert inputs_of(events[1])[0].startswith("think")


def test_stored_responses_are_continued_by_id(hub: Hub, provider: FakeUpstream, model: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.send(type="response.create", model=model, input="one #tokens=2", store=True)
        first = client.response()
        client.send(
            type="response.create", model=model, input="two", previous_response_id=first["id"]
        )
        client.response()
    (events,) = provider.sockets()
    assert events[1]["previous_response_id"] == first["id"]
    assert inputs_of(events[1]) == ["two"]


def test_each_lane_has_its_own_socket(hub: Hub, provider: FakeUpstream, model: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        for lane in ("a", "b", "a"):
            client.create(model, f"in {lane}", stream_id=lane)
            last = client.response()
        client.create(model, "fork", stream_id="c", previous_response_id=last["id"])
        client.response()
    a, b, c = provider.sockets()
    assert (len(a), len(b)) == (2, 1)
    assert inputs_of(c[0])[0] == "in a"


@pytest.mark.parametrize("loss", ["hang_up", "forget_turns"])
def test_messages_the_socket_had_read_are_resent(
    hub: Hub, provider: FakeUpstream, model: str, loss: str
) -> None:
    """The provider has closed the socket, or forgot: the client notices nothing."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(model, "one #tokens=2")
        first = client.response()
        getattr(provider, loss)()
        client.create(model, "two", previous_response_id=first["id"])
        second = client.response()
    assert text_of(second)
    assert inputs_of(provider.sockets()[1][0])[0] == "one #tokens=2"
    assert provider.books()[-1]["heard"][0] == "user: one #tokens=2"
    records(hub, tenant, 2)


def test_broken_socket_fails_its_turn(hub: Hub, provider: FakeUpstream, model: str) -> None:
    """P7: what was delivered is charged; the next turn has another socket."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(model, "#tokens=9 #delay_ms=5 #fault=F14:eof@3")
        failed = client.until("response.failed")["response"]
        assert failed["error"]["code"] == "server_error"
        client.create(model, "again", previous_response_id=failed["id"])
        assert client.error()["error"]["code"] == "previous_response_not_found"
        client.create(model, "anew #tokens=2")
        client.response()
    assert len(provider.sockets()) == 2
    broken, refused, whole = records(hub, tenant, 3)
    assert broken["kind"] == "upstream_truncated"
    assert (refused["status"], refused["charge_nano"]) == (400, 0)
    assert broken["charge_nano"] > 0
    assert whole["status"] == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [("#fault=F6:400", 400), ("#fault=F8:seconds", 429), ("#fault=F10:500", 502)],
)
def test_errors_match_http(hub: Hub, provider: FakeUpstream, text: str, status: int) -> None:
    tenant, errors = hub.tenant(), []
    # Each has a channel of its own, because an error may leave it out for a while.
    for over_socket in (True, False):
        model = hub.model(provider, rates=RATES, retries=0, **UPSTREAMS["responses"])
        if over_socket:
            with connected(hub, tenant.key) as client:
                client.create(model, text)
                event = client.error()
            assert event["status"] == status
            errors.append({**event["error"], "headers": None})
            continue
        body = {"model": model, "input": text, "stream": True, "store": False}
        answer = hub.post(tenant, body, path="/v1/responses")
        assert answer.status == status
        code = answer.error["code"] or answer.error["type"]
        errors.append({**answer.error, "code": code, "headers": None})
    # The second was answered later, and has less to wait for.
    for error in errors:
        error["message"] = re.sub(r"retry in \d+ s", "retry soon", error["message"])
    assert errors[0] == errors[1]
    assert len(provider.sockets()) == 1


def test_another_channel_answers(
    hub: Hub, provider: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P7: before its first event a turn may go to any channel, over HTTP too."""
    model = hub.model(provider, other_fake, rates=RATES, **UPSTREAMS["responses"])
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(model, "one #a.fault=F10:500 #tokens=2")
        first = client.response()
        client.create(model, "two #tokens=2", previous_response_id=first["id"])
        client.response()
    assert len(provider.sockets()) == 2
    assert provider.books()[-1]["heard"][0].startswith("user: one")


def test_provider_without_sockets_is_tried_once(hub: Hub) -> None:
    with FakeUpstream(name="a") as plain:
        model = hub.model(plain, rates=RATES, **UPSTREAMS["responses"])
        tenant = hub.tenant()
        with connected(hub, tenant.key) as client:
            for _ in range(3):
                client.create(model, "#tokens=2")
                client.response()
        assert plain.sockets() == []
        assert len(records(hub, tenant, 3)) == 3


def test_leaving_client_ends_the_socket(hub: Hub, provider: FakeUpstream, model: str) -> None:
    """P6: the provider notices, as it does over HTTP, and both books agree."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(model, "#tokens=500 #delay_ms=20")
        client.until("response.output_text.delta")
    (record,) = records(hub, tenant, 1)
    assert record["kind"] == "client_closed"
    provider.wait_for(lambda totals: totals["cut"] == 1)
    (row,) = provider.books()
    assert row["outcome"] == "cut"
