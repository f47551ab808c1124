"""Which channels a request may go to at all: what does not hold is skipped, and named."""

import json
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.test_matrix import open_model
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
    "hgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def skipped(hub: Hub, tenant: Tenant) -> list[str]:
    """Why the first channel was passed over, for each request; "" where it was asked."""
    hub.settled(tenant)
    rows = hub.rows(
        "SELECT skipped FROM usage_attempt WHERE organisation_id = %s ORDER BY admitted_at, n",
        tenant.organisation_id,
    )
    return [row["skipped"][0]["reason"] if row["skipped"] else "" for row in rows]


def two_channels(hub: Hub, fakes: tuple[FakeUpstream, FakeUpstream], **first: Any) -> str:
    """A model whose first channel is as said, the second for everybody."""
    model = hub.model(fakes[0], **first)
    hub.channel(model, fakes[1].url, fakes[1].key, priority=1)
    hub.alias(f"{model}-known", model)
    return model


@pytest.mark.parametrize(
    ("conditions", "over", "headers", "reason"),
    [
        ({"requires": ["image"]}, {}, {}, "content"),
        ({"excludes": ["tools"]}, {"tools": TOOLS}, {}, "content"),
        ({"excludes": ["stream"]}, {"stream": True}, {}, "content"),
        ({"requires": ["stream"]}, {}, {}, "content"),
        ({"prompt_min": 2_000}, {}, {}, "prompt_length"),
        ({"tags": ["beta"]}, {}, {"x-weir-labels": '{"tags": ["alpha"]}'}, "label"),
        ({"plans": ["nobodys"]}, {}, {}, "plan"),
        ({"teams": ["nobodys"]}, {}, {}, "team"),
    ],
)
def test_unmet_condition_skips_the_channel(
    hub: Hub,
    fake: FakeUpstream,
    other_fake: FakeUpstream,
    conditions: dict[str, Any],
    over: dict[str, Any],
    headers: dict[str, str],
    reason: str,
) -> None:
    tenant = hub.tenant()
    model = two_channels(hub, (fake, other_fake), conditions=conditions)
    assert hub.post(tenant, ask(model, "#tokens=1", **over), headers=headers).status == 200
    assert skipped(hub, tenant) == [reason]


def test_met_conditions_skip_no_channel(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant = hub.tenant()
    slug = hub.rows("SELECT slug FROM accounts_organisation WHERE id = %s", tenant.organisation_id)[
        0
    ]["slug"]
    conditions = {"teams": [f"{slug}/core"], "customers": ["c-1"], "requires": ["image", "tools"]}
    model = two_channels(hub, (fake, other_fake), conditions=conditions)
    body = ask(model, tools=TOOLS)
    parts = [
        {"type": "text", "text": "#tokens=1"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    body["messages"][0]["content"] = parts
    headers = {"x-weir-labels": '{"customer": "c-1"}'}
    assert hub.post(tenant, body, headers=headers).status == 200
    assert hub.post(hub.tenant(), body, headers=headers).status == 200
    assert skipped(hub, tenant) == [""]


def test_request_without_a_willing_channel_is_rejected(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, conditions={"requires": ["audio"]})
    answer = hub.post(tenant, ask(model))
    assert (answer.status, answer.error["code"]) == (503, "no_channel_available")
    assert "none of its channels is for such a request" in answer.error["message"]


# ---- data policies


def policy(hub: Hub, tenant: Tenant, of: str, **fields: Any) -> None:
    hub.limit(tenant, of=of, **fields)
    hub.bump()


@pytest.mark.parametrize("of", ["organisation", "key", "request"])
def test_data_goes_only_where_allowed(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, of: str
) -> None:
    tenant, headers = hub.tenant(), {}
    if of == "request":
        values = {"zero_retention": True, "regions": ["eu"]}
        headers["x-weir-data-policy"] = json.dumps(values)
    else:
        policy(hub, tenant, of, zero_retention=True, data_regions=["eu"])
    kept = hub.model(fake, region="eu")
    far = hub.model(fake, zero_retention=True, region="us-east-1")
    near = hub.model(other_fake, zero_retention=True, region="eu-west-1")
    asked = len(fake.books())
    for model in (kept, far):
        answer = hub.post(tenant, ask(model), headers=headers)
        assert (answer.status, answer.error["code"]) == (403, "data_policy")
        assert "zero data retention, region eu" in answer.error["message"]
        assert "retry-after" not in answer.headers
    assert hub.post(tenant, ask(near, "#tokens=1"), headers=headers).status == 200
    # Another model may answer; its channels are judged in the same way.
    body = ask(kept, "#tokens=1", models=[far, near])
    assert hub.post(tenant, body, headers=headers).json()["model"] == near
    assert len(fake.books()) == asked


def test_all_policies_apply_together(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    policy(hub, tenant, "organisation", data_regions=["eu", "us"])
    policy(hub, tenant, "key", zero_retention=True)
    eu = hub.model(fake, zero_retention=True, region="eu-west-1")
    us = hub.model(fake, zero_retention=True, region="us")
    assert hub.post(tenant, ask(eu, "#tokens=1")).status == 200
    assert hub.post(tenant, ask(us, "#tokens=1")).status == 200
    # A request cannot ask for less than its organisation.
    for expected, status in (({"regions": ["us"]}, 403), ({"zero_retention": False}, 200)):
        headers = {"x-weir-data-policy": json.dumps(expected)}
        assert hub.post(tenant, ask(eu, "#tokens=1"), headers=headers).status == status


@pytest.mark.parametrize(
    "header", ["", "eu", "[]", '{"regions": "eu"}', '{"regions": ["E U"]}', '{"zero": true}']
)
def test_unreadable_policy_is_not_treated_as_none(
    hub: Hub, fake: FakeUpstream, header: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model), headers={"x-weir-data-policy": header})
    assert answer.status in (400, 422)
    assert answer.error["param"] == "x-weir-data-policy"


def test_token_counting_respects_the_data_policy(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), open_model(hub, fake, "anthropic")
    body = {"model": model, "messages": [{"role": "user", "content": "one two three four"}]}
    before = len(fake.books())
    headers = {"x-weir-data-policy": '{"zero_retention": true}'}
    answer = hub.post(tenant, body, path="/v1/messages/count_tokens", headers=headers)
    assert answer.status == 200
    assert 4 < answer.json()["input_tokens"] < 30
    assert len(fake.books()) == before
    # The same is asked of the provider where it may.
    assert hub.post(tenant, body, path="/v1/messages/count_tokens").json()["input_tokens"] == 4
    assert len(fake.books()) == before + 1
