"""Shadow traffic: what goes to a shadow too, what is compared, and what it never does."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from billing.currency.money import format_usd
from lib.ids import parse_id
from relay.attempts.shadow_traffic import IN_FLIGHT_MAX
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import final_record
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture
def shadowed(hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream) -> Callable[[], str]:
    """A model of one fake, all of whose requests go to the other one too."""

    return partial(shadow_model, hub, fake, other_fake)


def shadow_model(hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream) -> str:
    model, name = hub.model(fake), f"shadow-{uuid4().hex}"
    hub.channel(name, other_fake.url, other_fake.key)
    shadow = {"channel": f"{name}-0", "percent": 100, "cap": "1", "model": "fake"}
    hub.price("fake", {"in_text": 5 * 10**6, "out_text": 7 * 10**6}, kind="cost",
              channel=f"{name}-0")  # fmt: skip
    hub.rule(model, shadow=shadow)
    # A process sends none before it has read what today's have cost.
    someone = hub.tenant()

    def compares() -> bool:
        assert hub.post(someone, ask(model, "#tokens=1")).status == 200
        return bool(rows_of(hub, someone))

    hub.wait(compares, "nothing goes to the shadow")
    return model


def rows_of(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    query = (
        "SELECT * FROM gateway_shadowanswer WHERE request_id IN "
        "(SELECT request_id FROM usage_attempt WHERE organisation_id = %s) ORDER BY id"
    )
    return hub.rows(query, tenant.organisation_id)


def compared(hub: Hub, tenant: Tenant, count: int = 1) -> list[dict[str, Any]]:
    """The comparisons of an organisation's requests, once there are so many."""
    hub.wait(lambda: len(rows_of(hub, tenant)) >= count, "nothing was compared")
    return rows_of(hub, tenant)


def change(hub: Hub, model: str, shadow: dict[str, Any]) -> None:
    """The rule says something else; returns when the hub knows it."""
    hub.connection.execute(
        "UPDATE gateway_modelrule SET shadow = shadow || %s WHERE model = %s",
        [Jsonb(shadow), model],
    )
    hub.alias(f"knows-{uuid4().hex[:12]}", model)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_shadow_is_compared_and_only_one_answer_shown_and_paid(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, shadowed: Callable[[], str],
    stream: bool,
) -> None:  # fmt: skip
    tenant, model = hub.tenant(), shadowed()
    body = ask(model, "#a.tokens=4 #b.tokens=9 #prompt=10", stream=stream)
    answer = hub.post(tenant, body)
    assert answer.status == 200
    (row,) = compared(hub, tenant)
    record = final_record(hub, tenant)
    assert str(record["request_id"]) == str(row["request_id"])
    assert (row["main_status"], row["main_tokens"], row["tokens"]) == (200, 4, 9)
    assert (row["fault"], row["finish"], row["main_finish"]) == ("", "stop", "stop")
    assert row["cost_nano"] == 10 * 5 + 9 * 7
    assert 0 < row["likeness"] < 100
    assert row["same_structure"] is None
    assert row["ttft_ms"] is not None
    assert row["total_ms"] >= row["ttft_ms"]
    # The client has paid for its own answer, and there is no other record of it.
    assert record["charge_nano"] == 10 + 3 * 4
    assert record["channel_name"] == f"{model}-0"
    # Those of its own cap's and of the channel's own have it.
    both = (
        "SELECT (SELECT sum(cost_nano) FROM gateway_channelspend WHERE channel_id = %s)"
        " = (SELECT sum(cost_nano) FROM gateway_shadowanswer WHERE channel_id = %s) AS same"
    )
    assert hub.rows(both, row["channel_id"], row["channel_id"]) == [{"same": True}]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_shadow_of_a_response_gets_its_whole_conversation(
    hub: Hub, other_fake: FakeUpstream, shadowed: Callable[[], str], provider: str
) -> None:
    """In its own dialect and in another one; the shadow names and stores nothing."""
    tenant, model = hub.tenant(), shadowed()
    hub.connection.execute(
        "UPDATE gateway_channel SET provider = %s, base_url = %s WHERE name = "
        "(SELECT shadow->>'channel' FROM gateway_modelrule WHERE model = %s)",
        [provider, other_fake.url if provider == "openai" else other_fake.origin, model],
    )  # fmt: skip
    change(hub, model, {})
    since = max((row["seq"] for row in other_fake.books()), default=0)
    body = {"model": model, "input": "one two three #tokens=2 #b.prompt=20"}
    first = hub.post(tenant, body, path="/v1/responses")
    assert first.status == 200, first.body
    more = {"input": "four #tokens=3 #b.prompt=20", "previous_response_id": first.json()["id"]}
    assert hub.post(tenant, body | more | {"stream": True}, path="/v1/responses").status == 200
    rows = compared(hub, tenant, 2)
    assert [(row["fault"], row["main_tokens"], row["tokens"]) for row in rows] == [
        ("", 2, 2), ("", 3, 3),
    ]  # fmt: skip
    assert all(row["likeness"] is not None and row["cost_nano"] for row in rows)
    _, asked = other_fake.books(since)
    assert len(asked["heard"]) == 3
    sent = json.loads(asked["body"])
    assert "previous_response_id" not in sent
    assert sent.get("store") is (False if provider == "openai" else None)


def test_stored_provider_state_goes_to_no_shadow(
    hub: Hub, fake: FakeUpstream, shadowed: Callable[[], str]
) -> None:
    tenant, model = hub.tenant(), shadowed()
    hub.connection.execute(
        "UPDATE gateway_channel SET provider = 'openai' WHERE name = %s", [f"{model}-0"]
    )
    change(hub, model, {})
    body = {"model": model, "input": "one #tokens=2", "conversation": "conv_1"}
    answer = hub.post(tenant, body, path="/v1/responses")
    assert answer.status == 200, answer.body
    other = hub.post(tenant, {"model": model, "input": "two #tokens=2"}, path="/v1/responses")
    (row,) = compared(hub, tenant)
    assert row["request_id"] == parse_id(other.headers["x-request-id"])


def test_failing_shadow_harms_no_one(
    hub: Hub, shadowed: Callable[[], str], fake: FakeUpstream
) -> None:
    """Not the request, and not the channel: nothing of it is told to its breaker."""
    tenant, model = hub.tenant(), shadowed()
    for _ in range(6):
        assert hub.post(tenant, ask(model, "#b.fault=F10:500 #a.tokens=3")).status == 200
    rows = compared(hub, tenant, 6)
    assert {row["fault"] for row in rows} == {"F10"}
    assert {row["likeness"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("script", "fault", "unknown"),
    [
        # The provider may bill what it has read (F10, F15), and what it names in words that we do
        # not know (P28). One that rejects the request bills nothing (F8).
        ("#b.fault=F10:500", "F10", True),
        ("#b.fault=F14:eof@0", "F15", True),
        ("#b.fault=F8", "F8", False),
        ("#b.usage=negative", "", True),
        ("#b.tokens=3", "", False),
    ],
)
def test_an_unknown_cost_is_not_zero(
    hub: Hub, shadowed: Callable[[], str], script: str, fault: str, unknown: bool
) -> None:
    """An estimate of it counts towards the caps, and the comparison says that it is one."""
    tenant, model = hub.tenant(), shadowed()
    assert hub.post(tenant, ask(model, f"{script} #a.tokens=3 some words")).status == 200
    (row,) = compared(hub, tenant)
    assert (row["fault"], row["cost_unknown"]) == (fault, unknown)
    assert (row["cost_nano"] > 0) is (unknown or not fault)
    spent = "SELECT cost_nano, unknown FROM gateway_shadowspend WHERE rule = %s"
    counted = "SELECT sum(cost_nano)::bigint AS cost_nano, count(*) FILTER (WHERE cost_unknown)"
    counted += " AS unknown FROM gateway_shadowanswer WHERE rule = %s"
    assert hub.rows(spent, model) == hub.rows(counted, model)


def test_failed_requests_are_compared_too(hub: Hub, shadowed: Callable[[], str]) -> None:
    tenant, model = hub.tenant(), shadowed()
    assert hub.post(tenant, ask(model, "#a.fault=F10:500 #b.tokens=3")).status == 502
    (row,) = compared(hub, tenant)
    assert (row["main_status"], row["fault"], row["likeness"]) == (502, "", None)
    assert row["tokens"] == 3


NOT_SENT: dict[str, tuple[dict[str, Any], str]] = {
    # What the request is, and what is changed of the shadow's channel.
    "tools": (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "",
    ),
    "choices": ({"n": 2}, ""),
    "policy": ({}, "region = ''"),
    "conditions": ({}, """conditions = '{"tags": ["beta"]}'"""),
    "off": ({}, "enabled = false"),
}  # fmt: skip


@pytest.mark.parametrize("why", NOT_SENT)
def test_requests_that_go_to_no_shadow(hub: Hub, shadowed: Callable[[], str], why: str) -> None:
    fields, changed = NOT_SENT[why]
    tenant, model, other = hub.tenant(), shadowed(), shadowed()
    hub.connection.execute("UPDATE gateway_channel SET region = 'eu' WHERE region = ''")
    if changed:
        # Composed from the constants above.
        hub.connection.execute(
            f"UPDATE gateway_channel SET {changed} WHERE name = "
            "(SELECT shadow->>'channel' FROM gateway_modelrule WHERE model = %s)", [model],
        )  # fmt: skip
    change(hub, model, {})
    policy = {"x-weir-data-policy": '{"regions": ["eu"]}'}
    assert hub.post(tenant, ask(model, "#tokens=3") | fields, headers=policy).status == 200
    # One that goes there comes after it.
    assert hub.post(tenant, ask(other, "#tokens=3")).status == 200
    assert [row["model"] for row in compared(hub, tenant)] == [other]


def test_stopping_process_keeps_the_cost_of_what_it_cuts_off(
    own_hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The provider may bill it, so its cost is unknown, not none."""
    own_hub.start()
    tenant, model = own_hub.tenant(), shadow_model(own_hub, fake, other_fake)
    assert own_hub.post(tenant, ask(model, "#a.tokens=2 #b.hold=0", stream=True)).status == 200
    other_fake.wait_for(lambda totals: bool(totals["holding"] == 1))
    own_hub.stop()
    (row,) = rows_of(own_hub, tenant)
    assert (row["fault"], row["cost_unknown"]) == ("stopped", True)
    assert row["cost_nano"] > 0
    other_fake.release()


def test_the_daily_cap_holds(hub: Hub, shadowed: Callable[[], str]) -> None:
    """One answer is above it; the next ones are not sent."""
    tenant, model, other = hub.tenant(), shadowed(), shadowed()
    query = "SELECT sum(cost_nano)::bigint AS nano FROM gateway_shadowanswer WHERE model = %s"
    spent = hub.rows(query, model)[0]["nano"]
    change(hub, model, {"cap": format_usd(spent + 1)})
    assert hub.post(tenant, ask(model, "#tokens=9")).status == 200
    assert [row["cost_nano"] > 1 for row in compared(hub, tenant)] == [True]
    for _ in range(3):
        assert hub.post(tenant, ask(model, "#tokens=9")).status == 200
    assert hub.post(tenant, ask(other, "#tokens=3")).status == 200
    assert [row["model"] for row in compared(hub, tenant, 2)] == [model, other]


def test_few_shadows_run_in_parallel_and_no_client_waits(
    hub: Hub, other_fake: FakeUpstream, shadowed: Callable[[], str]
) -> None:
    """No shadow ends before it is let go on, and all of the clients have their answers."""
    tenant, model = hub.tenant(), shadowed()
    held = ask(model, "#a.tokens=2 #b.tokens=9 #b.hold=1", stream=True)
    for _ in range(IN_FLIGHT_MAX + 4):
        assert hub.post(tenant, held).status == 200
    other_fake.wait_for(lambda totals: bool(totals["holding"] == IN_FLIGHT_MAX))
    assert rows_of(hub, tenant) == []
    other_fake.release()
    assert len(compared(hub, tenant, IN_FLIGHT_MAX)) == IN_FLIGHT_MAX
