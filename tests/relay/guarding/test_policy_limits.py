"""P40: what policies permit beside the key's own rules: models, networks, and the content log's
time. The strictest of all that apply decides."""

from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import add_rule, entries, kept
from tests.relay.guarding.policies import add_policy
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Answer, Hub, Tenant

EVERYWHERE = ["0.0.0.0/0", "::/0"]


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> str:
    return hub.model(fake)


def ask(hub: Hub, tenant: Tenant, model: str, dialect: str = "openai") -> Answer:
    speaker = SPEAKERS[dialect]
    return hub.post(
        tenant, speaker.body(model, Wish("Hello", False)), path=speaker.path(model, stream=False)
    )


@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_a_model_that_a_policy_does_not_permit_is_refused_by_its_name(
    hub: Hub, fake: FakeUpstream, model: str, dialect: str
) -> None:
    tenant = hub.tenant()
    add_policy(hub, tenant, "Only o3", model_patterns=["o3", "o4-*"])
    answer = ask(hub, tenant, model, dialect)
    assert answer.status == 403
    message = SPEAKERS[dialect].error_of(answer.json())["message"]
    assert message == (
        f"The API key may not use model {model}: the policy Only o3 does not permit it"
    )
    if dialect == "openai":
        assert answer.error["code"] == "permission_denied"
    assert model.encode() not in hub.get("/v1/models", tenant).body


@pytest.mark.parametrize("scope", ["organisation", "team", "key"])
def test_a_policy_applies_where_it_is_assigned(hub: Hub, model: str, scope: str) -> None:
    tenant, other = hub.tenant(), hub.tenant()
    add_policy(hub, tenant, "Narrow", scope, model_patterns=["o3"])
    assert ask(hub, tenant, model).status == 403
    assert ask(hub, other, model).status == 200


CASES: dict[str, tuple[tuple[str, ...], list[dict[str, Any]], str]] = {
    "all permit": ((), [{"model_patterns": ["*"]}, {"networks": EVERYWHERE}], ""),
    "one does not": ((), [{"model_patterns": ["*"]}, {"model_patterns": ["o3"]}], "P1"),
    "the key does not": (("o3",), [{"model_patterns": ["*"]}], "key"),
    "a policy is no wider than the key": (("o3",), [{"model_patterns": ["*"]}, {}], "key"),
    "another network": ((), [{"networks": EVERYWHERE}, {"networks": ["10.0.0.0/8"]}], "P1"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_strictest_decides(hub: Hub, model: str, case: str) -> None:
    patterns, policies, against = CASES[case]
    tenant = hub.tenant(patterns=patterns)
    for n, limits in enumerate(policies):
        add_policy(hub, tenant, f"P{n}", **limits)
    answer = ask(hub, tenant, model)
    assert answer.status == (403 if against else 200), answer.body
    if against:
        assert ("the policy P1 does not" in answer.error["message"]) == (against == "P1")


def test_an_address_outside_a_policy_is_refused_by_its_name(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_policy(hub, tenant, "Office", networks=["10.0.0.0/8", "2001:db8::/32"])
    answer = ask(hub, tenant, model)
    assert (answer.status, answer.error["code"]) == (403, "permission_denied")
    assert answer.error["message"] == (
        "The API key may not use address 127.0.0.1: the policy Office does not permit it"
    )
    assert hub.get("/v1/models", tenant).status == 403


@pytest.mark.parametrize(
    ("hours", "expected"), [([48, 6], 6), ([48], 24), ([None, 3], 3)], ids=["6", "24", "3"]
)
def test_the_shortest_time_of_the_content_log_applies(
    hub: Hub, model: str, hours: list[int | None], expected: int
) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    for n, one in enumerate(hours):
        add_policy(hub, tenant, f"P{n}", retention_hours=one)
    row, _ = kept(hub, tenant, ask(hub, tenant, model))
    assert (row["expires_at"] - row["created_at"]).total_seconds() == expected * 3600


def test_a_policy_keeps_the_content_log_from_keeping(hub: Hub, model: str) -> None:
    tenant, other = hub.tenant(), hub.tenant()
    for one in (tenant, other):
        add_rule(hub, one, callers_may_opt_out=False)
    add_policy(hub, tenant, "Nothing", retention_hours=0)
    answer = ask(hub, tenant, model)
    assert answer.headers["x-weir-content-log"] == "not-kept"
    # A later request that is kept is written after this one.
    kept(hub, other, ask(hub, other, model))
    assert entries(hub, tenant) == []
