"""A public name stands for another one, in several steps. Whether it may be asked is judged by the
name that is asked; the model that serves is named, priced, booked and counted."""

import secrets

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, chunks_of
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")
DEAR = {"in_text": 10_000_000, "out_text": 50_000_000}


def names(count: int) -> list[str]:
    return [f"alias-{secrets.token_hex(5)}" for _ in range(count)]


@pytest.mark.parametrize("stream", [False, True])
def test_alias_target_answers_and_is_charged(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    tenant, (fast, small) = hub.tenant(), names(2)
    model = hub.model(fake, rates=DEAR)
    hub.alias(small, model)
    hub.alias(fast, small)
    body = ask(fast, "#tokens=7 #prompt=100", stream=stream)
    if stream:
        body["stream_options"] = {"include_usage": True}
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    named = chunks_of(answer)[0]["model"] if stream else answer.json()["model"]
    assert named == model
    record = hub.record(answer.headers["x-request-id"])
    assert (record["model"], record["charge_nano"]) == (model, 100 * 10 + 7 * 50)
    hub.settled(tenant)
    assert hub.rows(
        "SELECT model, asked_model, why FROM usage_attempt WHERE organisation_id = %s",
        tenant.organisation_id,
    ) == [{"model": model, "asked_model": fast, "why": "only"}]


@pytest.mark.parametrize("dialect", SPEAKERS)
def test_every_client_may_ask_for_an_alias(hub: Hub, fake: FakeUpstream, dialect: str) -> None:
    """In the form of every dialect, for a model of its own and of another."""
    speaker, tenant = SPEAKERS[dialect], hub.tenant()
    for upstream in {dialect, "openai"}:
        model, (fast,) = hub.model(fake, **UPSTREAMS[upstream]), names(1)
        hub.alias(fast, model)
        path = speaker.path(fast, stream=False)
        answer = hub.post(tenant, speaker.body(fast, Wish("#tokens=2")), path=path)
        assert answer.status == 200, answer.body
        assert hub.record(answer.headers["x-request-id"])["model"] == model


def test_key_limits_apply_to_the_requested_name(hub: Hub, fake: FakeUpstream) -> None:
    tenant, (fast,) = hub.tenant(), names(1)
    model = hub.model(fake)
    hub.alias(fast, model)
    alone = hub.key(tenant, patterns=(fast,))
    assert hub.post(alone, ask(fast, "#tokens=1")).status == 200
    assert hub.post(alone, ask(model, "#tokens=1")).status == 403
    other = hub.key(tenant, patterns=(model,))
    assert hub.post(other, ask(fast, "#tokens=1")).status == 403
    listed = {row["id"] for row in hub.get("/v1/models", alone).json()["data"]}
    assert listed == {fast}
    assert hub.get(f"/v1/models/{fast}", alone).status == 200


def test_alias_takes_precedence_over_a_route_and_may_be_dead(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """Also where somebody has made a circle without asking: nobody serves it."""
    tenant, (lost, one, two) = hub.tenant(), names(3)
    old, new = hub.model(fake), hub.model(other_fake)
    for name, target in ((lost, "nobody-has-it"), (one, two), (two, one)):
        hub.connection.execute(
            "INSERT INTO gateway_modelalias (name, target) VALUES (%s, %s)", [name, target]
        )
    hub.alias(old, new)
    # What knows the last of them knows all.
    hub.alias(names(1)[0], new)
    assert hub.post(tenant, ask(old, "#tokens=1")).json()["model"] == new
    for name in (lost, one, two):
        answer = hub.post(tenant, ask(name, "#tokens=1"))
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")


def test_a_budget_of_a_model_counts_what_its_aliases_cost(hub: Hub, fake: FakeUpstream) -> None:
    tenant, (fast,) = hub.tenant(), names(1)
    model = hub.model(fake)
    hub.alias(fast, model)
    hub.budget(tenant, "0.000000001", scope="model", subject=model)
    hub.bump()
    hub.know(fast)
    hub.wait(
        lambda: hub.post(tenant, ask(fast, "#tokens=1", max_tokens=50)).status == 402,
        "an alias goes round a budget",
    )
