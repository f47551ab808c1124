"""*Try it*: guards that make a call are asked by the relay of the page's process."""

from typing import Any

import pytest

from tests.fakes.guard_service import GuardService
from tests.relay.guarding.conftest import GuardedHub, hook, rule
from tests.relay.guarding.test_calls import ADDRESS, judging


def try_text(hub: GuardedHub, text: str, *rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a policy of these rules makes of a text, by place."""
    tenant = hub.tenant(*rules)
    hub.hub.key(tenant, kind="playground")
    manager = hub.hub.key(tenant, kind="management")
    owner = hub.hub.person(manager)
    hub.hub.connection.execute(
        "UPDATE accounts_membership SET role = 'owner' WHERE user_id = %s", [owner]
    )
    listed = hub.hub.get("/api/v1/policies", manager)
    assert listed.status == 200, listed.body
    (policy,) = listed.json()["items"]
    path = f"/api/v1/policies/{policy['id']}/try"
    answer = hub.hub.post(manager, {"text": text}, path=path)
    assert answer.status == 200, hub.hub.log()[-3000:]
    hub.hub.settled(tenant)
    return {one["place"]: one for one in answer.json()}


def test_a_judge_is_asked_about_masked_texts_and_charged(
    guarded_hub: GuardedHub, service: GuardService
) -> None:
    hub = guarded_hub.hub
    judge = hub.model(f"{service.url}/judge/well/v1")
    rules = judging(judge, "request", "answer", deadline_ms=10_000), rule("mask", "request")
    tried = try_text(guarded_hub, f"alpha {ADDRESS}", *rules)
    for place in ("request", "answer"):
        assert (tried[place]["refused_by"], tried[place]["failure"]) == ("weapons", "")
        (id,) = tried[place]["requests"]
        record = hub.record(id)
        assert (record["client_app"], record["charge_nano"] > 0) == ("guard", True)
        assert record["source"] == "playground"
    assert tried["tool_result"]["requests"] == []
    assert any(b"alpha <EMAIL_1>" in raw for _, raw in service.asked)
    harmless = try_text(guarded_hub, f"rain {ADDRESS}", *rules)
    assert harmless["request"]["text"] == "rain <EMAIL_1>"
    assert harmless["answer"]["text"] == f"rain {ADDRESS}"


@pytest.mark.parametrize(
    ("how", "words"), [("prose", "did not answer as expected"), ("none", "as expected")]
)
def test_a_failure_is_named(
    guarded_hub: GuardedHub, service: GuardService, how: str, words: str
) -> None:
    judge = "no-such-model"
    if how != "none":
        judge = guarded_hub.hub.model(f"{service.url}/judge/{how}/v1")
    tried = try_text(guarded_hub, "alpha", judging(judge, "request", deadline_ms=10_000))
    assert words in tried["request"]["failure"]
    assert (tried["request"]["text"], tried["request"]["refused_by"]) == ("", "")
    assert tried["answer"]["text"] == "alpha"


def test_a_hook_is_asked_too(guarded_hub: GuardedHub, service: GuardService) -> None:
    tried = try_text(guarded_hub, "say alpha", hook(f"{service.url}/change", "request"))
    assert tried["request"]["text"] == "say omega"
    flagged = try_text(guarded_hub, "say alpha", hook(f"{service.url}/flag/odd", "request"))
    assert flagged["request"]["flags"] == ["odd"]
