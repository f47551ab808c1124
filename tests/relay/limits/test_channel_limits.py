"""Limits of a channel as clients and operators meet them."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import sql

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import RATES, Answer, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


def served(hub: Hub, *channels: tuple[FakeUpstream, dict[str, Any]]) -> str:
    """A model of these channels, in this order, with their limits."""
    model = f"m-{secrets.token_hex(6)}"
    hub.price(model, RATES)
    for priority, (fake, most) in enumerate(channels):
        hub.channel(model, fake.url, fake.key, priority=priority, **most)
    hub.know(model)
    return model


def channel_of(hub: Hub, answer: Answer) -> str:
    (record,) = hub.records(answer.headers["x-request-id"])
    return str(record["channel_name"])


def skipped(hub: Hub, answer: Answer) -> Any:
    (record,) = hub.records(answer.headers["x-request-id"])
    (attempt,) = hub.rows("SELECT skipped FROM usage_attempt WHERE id = %s", record["id"])
    return attempt["skipped"]


@pytest.mark.parametrize(("most", "reason"), [({"rpm": 1}, "requests"), ({"tpm": 210}, "tokens")])
def test_channel_at_its_limit_yields_to_the_next(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, most: dict[str, int], reason: str
) -> None:
    """For all organisations; the attempt says which channel was skipped, and why."""
    model = served(hub, (fake, most), (other_fake, {}))
    tenants = [hub.tenant(), hub.tenant()]
    body = ask(model, "#tokens=90", max_tokens=100)
    answers = []
    for tenant in (tenants[0], tenants[1], tenants[0]):
        answers.append(hub.post(tenant, body))
        hub.settled(tenant)
    assert [answer.status for answer in answers] == [200] * 3
    assert [channel_of(hub, answer) for answer in answers] == [
        f"{model}-0", f"{model}-1", f"{model}-1",
    ]  # fmt: skip
    assert skipped(hub, answers[0]) is None
    assert [skipped(hub, answer) for answer in answers[1:]] == [
        [{"channel": f"{model}-0", "reason": reason}]
    ] * 2


def test_wait_is_reported_without_another_channel(hub: Hub, fake: FakeUpstream) -> None:
    """429 with Retry-After, whose cause and next step it names; a new limit is heard of at once."""
    tenant, other = hub.tenant(), hub.tenant()
    model = hub.model(fake, rpm=1)
    assert hub.post(tenant, ask(model)).status == 200
    asked = fake.totals()["requests"]
    for _ in range(3):
        answer = hub.post(other, ask(model))
        assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(answer.headers["retry-after"]) <= 68
        assert "the limit that the operator has set" in answer.error["message"]
        assert "retry in" in answer.error["message"]
        (record,) = hub.records(answer.headers["x-request-id"])
        assert (record["kind"], record["channel_name"]) == ("upstream_rate_limited", "")
    assert fake.totals()["requests"] == asked
    hub.connection.execute("UPDATE gateway_channel SET rpm = NULL WHERE name = %s", [f"{model}-0"])
    hub.bump()
    hub.wait(lambda: hub.post(other, ask(model)).status == 200, "the limit stays")


def test_parallel_requests_of_a_channel(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The place is free again as soon as the answer has ended."""
    model = served(hub, (fake, {"parallel": 1}), (other_fake, {}))
    tenant, other = hub.tenant(), hub.tenant()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hub.post, tenant, ask(model, "#tokens=3 #hold=1", stream=True))
        fake.wait_for(lambda totals: totals["holding"] > 0)
        answer = hub.post(other, ask(model, "#tokens=1"))
        assert channel_of(hub, answer) == f"{model}-1"
        assert skipped(hub, answer) == [{"channel": f"{model}-0", "reason": "parallel"}]
        fake.release()
        assert running.result().status == 200
    hub.settled(tenant)
    assert channel_of(hub, hub.post(other, ask(model, "#tokens=1"))) == f"{model}-0"


def test_fault_is_reported_when_the_next_channel_is_full(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The one attempt that was made is recorded, and the request's end with it."""
    model = served(hub, (fake, {}), (other_fake, {"rpm": 1}))
    tenant = hub.tenant()
    body = ask(model, "#a.fault=F7 #tokens=1")
    assert hub.post(tenant, body).status == 200
    answer = hub.post(tenant, body)
    assert answer.status == 502
    records = hub.records(answer.headers["x-request-id"])
    assert {(record["channel_name"], record["final"]) for record in records} == {
        (f"{model}-0", False), ("", True),
    }  # fmt: skip


def test_an_uncapped_request_is_capped_to_the_channels_tokens(hub: Hub, fake: FakeUpstream) -> None:
    """What names no cap itself fits the limit; what names more than all of it is told so."""
    model = hub.model(fake, tpm=300)
    tenant = hub.tenant()
    answer = hub.post(tenant, ask(model, "#tokens=2"))
    assert answer.status == 200
    assert int(answer.headers["x-weir-output-cap"]) < 300
    answer = hub.post(tenant, ask(model, max_tokens=400))
    assert answer.status == 429
    assert "larger than the limit of tokens per minute" in answer.error["message"]


@pytest.mark.parametrize("cap", ["spend_cap_day_nano", "spend_cap_month_nano"])
def test_channel_at_its_spend_cap_is_skipped(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, cap: str
) -> None:
    """By what is settled: the request that goes over it is answered. Operators are told once."""
    model = served(hub, (fake, {cap: 1}), (other_fake, {}))
    tenant = hub.tenant()
    body = ask(model, "#tokens=1")
    first = hub.post(tenant, body)
    assert channel_of(hub, first) == f"{model}-0"
    answers: list[Answer] = []

    def capped() -> bool:
        answers.append(hub.post(tenant, body))
        return channel_of(hub, answers[-1]) == f"{model}-1"

    hub.wait(capped, "the cap does nothing")
    reason = cap.removeprefix("spend_cap_").removesuffix("_nano")
    assert skipped(hub, answers[-1]) == [{"channel": f"{model}-0", "reason": f"spend_{reason}"}]
    message = (
        "SELECT body FROM outbox_fact WHERE kind = 'channel.troubled' AND body->>'channel' = %s"
    )
    hub.wait(lambda: bool(hub.rows(message, f"{model}-0")), "nobody is told")
    assert {row["body"]["cause"] for row in hub.rows(message, f"{model}-0")} == {f"spend_{reason}"}
    hub.connection.execute(
        sql.SQL("UPDATE gateway_channel SET {} = {} WHERE name = %s").format(
            sql.Identifier(cap), sql.Literal(10**12)
        ),
        [f"{model}-0"],
    )
    hub.bump()
    hub.wait(lambda: channel_of(hub, hub.post(tenant, body)) == f"{model}-0", "the cap stays")


def test_spend_cap_is_the_answer_without_another_channel(hub: Hub, fake: FakeUpstream) -> None:
    model, tenant = hub.model(fake, spend_cap_month_nano=1), hub.tenant()
    assert hub.post(tenant, ask(model, "#tokens=1")).status == 200
    answers: list[Answer] = []

    def refused() -> bool:
        answers.append(hub.post(tenant, ask(model, "#tokens=1")))
        return answers[-1].status != 200

    hub.wait(refused, "the cap does nothing")
    assert (answers[-1].status, answers[-1].error["code"]) == (503, "no_channel_available")
    assert "the operator's cap on its cost is reached" in answers[-1].error["message"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3960


def test_full_channel_is_not_reported_as_unable(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The other channel has no tools: the client hears of the limit, and not that it is wrong."""
    model, tenant = f"m-{secrets.token_hex(6)}", hub.tenant()
    hub.price(model, RATES)
    hub.channel(model, fake.url, fake.key, rpm=1)
    other = hub.channel(model, other_fake.url, other_fake.key, priority=1)
    hub.connection.execute(
        "UPDATE gateway_route SET can = '{\"tools\": false}' WHERE channel_id = %s", [other]
    )
    hub.know(model)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    answers = [hub.post(tenant, ask(model, "#tokens=1", tools=[tool])) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 429, 429]
    assert channel_of(hub, hub.post(tenant, ask(model, "#tokens=1"))) == f"{model}-1"
