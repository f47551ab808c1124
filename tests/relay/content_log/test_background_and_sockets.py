"""P31: responses in the background, and each turn of a WebSocket, are kept like other requests."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from content.log.kept import Kept
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import (
    add_rule,
    entries,
    open_entry,
    text_of,
    turns_of,
    where,
)
from tests.relay.endpoints.test_responses_socket import Client, connected
from tests.support.hub import RATES, Hub, Tenant

CARD = "4111 1111 1111 1111"
FAILS = "#a.fault=F10:500"


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(fake)


def all_kept(hub: Hub, tenant: Tenant, count: int) -> list[tuple[dict[str, Any], Kept]]:
    """The entries of an organisation, once there are so many."""
    hub.wait(lambda: len(entries(hub, tenant)) >= count, f"fewer than {count} entries are kept")
    rows = entries(hub, tenant)
    assert len(rows) == count
    return [(row, open_entry(hub, row)) for row in rows]


def in_background(hub: Hub, tenant: Tenant, model: str, text: str, **headers: str) -> str:
    """Ask for a response in the background, wait for its end, and return what its header says."""
    body = {"model": model, "input": text, "background": True}
    answer = hub.post(tenant, body, path="/v1/responses", headers=headers)
    assert answer.status == 200
    path = f"/v1/responses/{answer.json()['id']}"
    hub.wait(
        lambda: hub.get(path, tenant).json()["status"] in ("completed", "failed"), "it does not end"
    )
    return answer.headers.get("x-weir-content-log", "")


def announced(client: Client) -> str | None:
    assert client.socket.response is not None
    return client.socket.response.headers.get("x-weir-content-log")


def turn(client: Client, model: str, text: str, **more: Any) -> str:
    """Make one turn, and return the id of its response."""
    client.send(type="response.create", model=model, input=text, **more)
    return str(client.response()["id"])


# ---- in the background


def test_response_in_the_background_is_kept_redacted(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    assert in_background(hub, tenant, model, f"{planted} {CARD}") == "kept"
    ((row, content),) = all_kept(hub, tenant, 1)
    assert (row["operation"], row["dialect"], row["status"]) == ("responses", "responses", 200)
    assert json.loads(content.request)["background"] is True
    asked, answered = turns_of(content, "responses", model)
    assert text_of(asked) == f"{planted} <CARD_1>"
    assert text_of(answered)
    assert where(hub, planted) == []


def test_response_in_the_background_is_kept_if_it_fails(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, keep="errors")
    assert in_background(hub, tenant, model, "Hello") == "not-kept"
    assert in_background(hub, tenant, model, f"{FAILS} Hello") == "not-kept"
    ((row, content),) = all_kept(hub, tenant, 1)
    assert row["status"] >= 500
    assert content.error


def test_response_in_the_background_can_be_left_out(hub: Hub, model: str) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    add_rule(hub, tenant)
    assert in_background(hub, without, model, "Hello") == ""
    assert in_background(hub, tenant, model, "Hello", **{"x-weir-store": "false"}) == "not-kept"
    assert in_background(hub, tenant, model, "The last one") == "kept"
    ((_, content),) = all_kept(hub, tenant, 1)
    assert json.loads(content.request)["input"] == "The last one"
    assert entries(hub, without) == []


# ---- over a WebSocket


def test_each_turn_of_a_socket_is_kept_redacted(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    with connected(hub, tenant.key) as client:
        assert announced(client) == "kept"
        first = turn(client, model, f"{planted} {CARD}")
        turn(client, model, "And now?", previous_response_id=first)
    (row, content), (again, further) = all_kept(hub, tenant, 2)
    assert (row["operation"], row["dialect"], row["status"]) == ("responses", "responses", 200)
    assert content.stream
    asked, answered = turns_of(content, "responses", model)
    assert text_of(asked) == f"{planted} <CARD_1>"
    assert text_of(answered)
    assert text_of(turns_of(further, "responses", model)[-2]) == "And now?"
    assert row["session_id"] == again["session_id"] is not None
    assert where(hub, planted) == []


def test_turn_without_storing_is_left_out(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with connected(hub, tenant.key) as client:
        turn(client, model, "Not this one", store=False)
        turn(client, model, "This one")
    ((_, content),) = all_kept(hub, tenant, 1)
    assert json.loads(content.request)["input"] == "This one"


def test_conversation_that_only_the_connection_remembers_is_kept(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, callers_may_opt_out=False)
    with connected(hub, tenant.key) as client:
        client.send(type="response.create", model=model, input="First", store=False, generate=False)
        prepared = client.response()["id"]
        turn(client, model, "Second", store=False, previous_response_id=prepared)
    ((_, content),) = all_kept(hub, tenant, 1)
    turns = turns_of(content, "responses", model)
    assert [text_of(one) for one in turns[:-1]] == ["First", "Second"]


def test_prepared_input_is_kept_by_the_rule_of_its_model(hub: Hub, fake: FakeUpstream) -> None:
    """Also if the name of the model sets the effort."""
    tenant, name = hub.tenant(), f"o4-mini-{secrets.token_hex(6)}"
    with hub.forgetful():
        hub.price(name, RATES)
        hub.channel(name, fake.url, fake.key)
        hub.know(name)
        add_rule(hub, tenant, "model", subject=name)
        with connected(hub, tenant.key) as client:
            ask = {"type": "response.create", "model": f"{name}-high", "generate": False}
            client.send(input="First", **ask)
            turn(client, name, "Second", previous_response_id=client.response()["id"])
    ((_, content),) = all_kept(hub, tenant, 1)
    assert text_of(turns_of(content, "responses", name)[0]) == "First"


@pytest.mark.parametrize("begins", ["opted out", "prepared", "not kept", "stored"])
def test_conversation_that_was_left_out_is_kept_with_no_later_turn(
    hub: Hub, fake: FakeUpstream, model: str, begins: str
) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    planted, first = f"planted {secrets.token_hex(8)}", model
    with hub.forgetful(), connected(hub, tenant.key) as client:
        if begins == "not kept":
            first = hub.model(fake)
            add_rule(hub, tenant, "model", subject=first, keep="nothing")
        elif begins == "stored":
            headers = {"x-weir-store": "false"}
            body = {"model": model, "input": planted}
            stored = hub.post(tenant, body, path="/v1/responses", headers=headers).json()["id"]
        if begins == "stored":
            asked, more = "Go on", {"previous_response_id": stored}
        else:
            asked, more = planted, {"generate": False} if begins == "prepared" else {}
        previous = turn(client, first, asked, store=False, **more)
        # The client gives up its wish, and the connection still has the conversation.
        for text in ("And now?", "And then?"):
            previous = turn(client, model, text, previous_response_id=previous)
    kept = [json.loads(content.request)["input"] for _, content in all_kept(hub, tenant, 2)]
    assert kept == ["And now?", "And then?"]


def test_socket_can_be_left_out(hub: Hub, model: str) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    with connected(hub, without.key) as client:
        assert announced(client) is None
        turn(client, model, "Hello")
        # A rule keeps nothing of a connection that it was not announced to.
        add_rule(hub, without)
        turn(client, model, "Hello again")
    add_rule(hub, tenant)
    with connected(hub, tenant.key, headers={"x-weir-store": "false"}) as client:
        assert announced(client) == "not-kept"
        turn(client, model, "Not this one")
    for one in (tenant, without):
        with connected(hub, one.key) as client:
            turn(client, model, "The last one")
        ((_, content),) = all_kept(hub, one, 1)
        assert json.loads(content.request)["input"] == "The last one"


def test_turn_that_fails_is_kept(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, keep="errors")
    with connected(hub, tenant.key) as client:
        assert announced(client) == "not-kept"
        turn(client, model, "Hello")
        client.send(type="response.create", model=model, input=f"{FAILS} Hello")
        client.error()
    ((row, content),) = all_kept(hub, tenant, 1)
    assert row["status"] >= 500
    assert content.error
    assert content.failures
