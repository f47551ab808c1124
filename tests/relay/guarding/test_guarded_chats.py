"""P40: guards on chats in every dialect, in requests, whole answers and streams."""

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, rule
from tests.relay.speakers import SPEAKERS, UPSTREAMS, SpokenAnswer, Wish
from tests.support.hub import Answer, Hub, Tenant

ADDRESS = "alice.liddell@example.com"
by_dialect = pytest.mark.parametrize("dialect", UPSTREAMS)
by_form = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def models(guarded_hub: GuardedHub, fake: FakeUpstream) -> dict[str, str]:
    return {dialect: guarded_hub.hub.model(fake, **UPSTREAMS[dialect]) for dialect in UPSTREAMS}


def send(hub: Hub, tenant: Tenant, dialect: str, model: str, text: str, *, stream: bool) -> Answer:
    speaker = SPEAKERS[dialect]
    body = speaker.body(model, Wish(text, stream))
    return hub.post(tenant, body, path=speaker.path(model, stream=stream))


@by_dialect
@by_form
def test_a_refused_request_goes_nowhere(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("refuse", "request"))
    answer = send(hub, tenant, dialect, models[dialect], f"Write to {ADDRESS}", stream=stream)
    assert answer.status == 400, answer.body
    error = SPEAKERS[dialect].error_of(answer.json())
    assert "the guard email rejects the request (own)" in error["message"]
    assert ADDRESS.encode() not in answer.body
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"], record["charge_nano"]) == (400, "guard_refused", 0)
    if dialect == "openai":
        assert error["code"] == "own"


@by_dialect
@by_form
def test_a_masked_text_stays_here_and_comes_back(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("mask", "request"))
    text = f"#echo #keep #chunk_bytes=1 Write to {ADDRESS} and again {ADDRESS} please"
    answer = send(hub, tenant, dialect, models[dialect], text, stream=stream)
    assert answer.status == 200, answer.body
    spoken: SpokenAnswer = SPEAKERS[dialect].read(answer)
    assert spoken.whole, answer.body
    assert spoken.text.count(ADDRESS) == 2, spoken.text
    assert "<EMAIL" not in spoken.text
    (attempt,) = hub.records(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(attempt["id"]))
    assert "<EMAIL_1>" in str(row)
    assert ADDRESS not in str(row)


@by_dialect
@by_form
def test_an_answer_is_masked(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("mask", "answer"))
    answer = send(
        hub,
        tenant,
        dialect,
        models[dialect],
        f"#echo #chunk_bytes=1 Write to {ADDRESS} soon",
        stream=stream,
    )
    assert answer.status == 200, answer.body
    spoken = SPEAKERS[dialect].read(answer)
    assert spoken.whole, answer.body
    assert "<EMAIL_1> soon" in spoken.text
    assert b"liddell" not in answer.body


@by_dialect
@by_form
def test_a_refused_answer_ends_in_its_dialect_and_is_charged(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("refuse", "answer"))
    text = f"#echo #chunk_bytes=64 {'many words come before it ' * 20} {ADDRESS} soon"
    answer = send(hub, tenant, dialect, models[dialect], text, stream=stream)
    assert b"liddell" not in answer.body
    assert b"soon" not in answer.body
    if stream and answer.status == 200:
        spoken = SPEAKERS[dialect].read(answer)
        assert not spoken.whole
        assert spoken.error is not None, answer.body
    else:
        assert answer.status == 400, answer.body
        SPEAKERS[dialect].error_of(answer.json())
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"]) == (400, "guard_refused")
    assert record["charge_nano"] > 0


def test_a_flag_is_recorded(guarded_hub: GuardedHub, models: dict[str, str]) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("flag", "request"))
    answer = send(hub, tenant, "openai", models["openai"], f"Write to {ADDRESS}", stream=False)
    assert answer.status == 200
    hub.settled(tenant)
    assert hub.record(answer.headers["x-request-id"])["flags"] == ["guard:own"]
