"""Each attempt's row says why its channel was asked, by which provider key, and why others of the
model were not."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture(scope="module")
def picky() -> Iterator[FakeUpstream]:
    """A provider that takes another key than the one that it is sent."""
    with FakeUpstream(name="p", keys=("sk-never-sent",)) as fake:
        yield fake


def rows(hub: Hub, tenant: Tenant) -> list[tuple[str, str, Any]]:
    """(channel and why, the end of the key, who was skipped) of each attempt, in order."""
    hub.settled(tenant)
    attempts = hub.rows(
        "SELECT right(channel_name, 1) AS channel, why, channel_key, skipped FROM usage_attempt "
        "WHERE organisation_id = %s ORDER BY admitted_at, n",
        tenant.organisation_id,
    )
    return [
        (
            f"{row['channel']} {row['why']}",
            row["channel_key"],
            [(item["channel"][-1], item["reason"]) for item in row["skipped"] or ()],
        )
        for row in attempts
    ]


def test_the_only_channel_and_its_key(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    assert hub.post(tenant, ask(model, "#tokens=1")).status == 200
    assert rows(hub, tenant) == [("0 only", fake.key[-4:], [])]


def test_the_key_is_named_where_several_end_alike(hub: Hub) -> None:
    """The provider takes the second: the row of each attempt names the one that it was sent."""
    keys = ("sk-the-one-same", "sk-the-other-same")
    with FakeUpstream(name="s", keys=keys[1:]) as choosy:
        tenant, model = hub.tenant(), f"m-{choosy.port}-alike"
        hub.channel(model, choosy.url, keys)
        hub.price(model, {"in_text": 1, "out_text": 1})
        hub.know(model)
        for _ in keys:
            assert hub.post(tenant, ask(model, "#tokens=1")).status == 200
    hub.settled(tenant)
    attempts = hub.rows(
        "SELECT attempt.channel_key, key.position, record.kind FROM usage_attempt attempt "
        "JOIN usage_usagerecord record USING (organisation_id, id) "
        "JOIN gateway_channelkey key ON key.id = attempt.channel_key_id "
        "WHERE organisation_id = %s",
        tenant.organisation_id,
    )
    assert {(row["position"], row["kind"]) for row in attempts} == {(0, "upstream_auth"), (1, None)}
    assert [row["channel_key"] for row in attempts] == ["same"] * 3


def test_next_channel_after_a_failure(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake)
    assert hub.post(tenant, ask(model, "#a.fault=F10 #tokens=1")).status == 200
    assert rows(hub, tenant) == [
        ("0 priority", fake.key[-4:], []),
        ("1 failover", other_fake.key[-4:], []),
    ]


def test_same_channel_again_without_another(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    assert hub.post(tenant, ask(model, "#1.fault=F10 #tokens=1")).status == 200
    assert [row[0] for row in rows(hub, tenant)] == ["0 only", "0 retry"]


def test_a_channel_whose_key_is_refused_is_skipped(
    hub: Hub, fake: FakeUpstream, picky: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), f"m-{picky.port}"
    hub.channel(model, picky.url, "sk-refused")
    hub.channel(model, fake.url, fake.key, priority=1)
    hub.price(model, {"in_text": 1, "out_text": 1})
    hub.know(model)
    # The first 401 is tried once more.
    for _ in range(3):
        assert hub.post(tenant, ask(model, "#tokens=1")).status == 200
    assert rows(hub, tenant) == [
        *[("0 priority", "used", []), ("1 failover", fake.key[-4:], [])] * 2,
        ("1 priority", fake.key[-4:], [("0", "key_refused")]),
    ]


def test_a_channel_that_cannot_serve_the_request_is_skipped(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake)
    hub.connection.execute(
        """UPDATE gateway_route SET can = '{"tools": false}'
           WHERE model = %s AND channel_id = (
               SELECT id FROM gateway_channel WHERE name = %s)""",
        [model, f"{model}-0"],
    )
    hub.bump()
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

    def second_is_asked() -> bool:
        assert hub.post(tenant, ask(model, "#tokens=1", tools=tools)).status == 200
        return rows(hub, tenant)[-1] == (
            "1 priority",
            other_fake.key[-4:],
            [("0", "unsupported")],
        )

    hub.wait(second_is_asked, "the hub does not hear of the switch")


def test_no_healthy_channel_is_left(hub: Hub, picky: FakeUpstream) -> None:
    """P26: it is asked nevertheless, after a second."""
    tenant, model = hub.tenant(), f"m-{picky.port}-last"
    hub.channel(model, picky.url, "sk-refused")
    hub.price(model, {"in_text": 1, "out_text": 1})
    hub.know(model)
    assert hub.post(tenant, ask(model, "#tokens=1")).status == 502

    def asked_again() -> bool:
        return hub.post(tenant, ask(model, "#tokens=1")).status == 502

    hub.wait(asked_again, "it is never asked again")
    assert [row[0] for row in rows(hub, tenant)] == ["0 only", "0 retry", "0 last_resort"]
