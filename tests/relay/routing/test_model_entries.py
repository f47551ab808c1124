"""What operators state of a model: who sees it, when it ends and what answers then, its limits."""

import datetime as dt
import secrets
from typing import Any

import pytest

from lib import clock
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
DEAR = {"in_text": 10_000_000, "out_text": 50_000_000}


def days(n: float) -> dt.datetime:
    return clock.now() + dt.timedelta(days=n)


def known(hub: Hub, model: str) -> None:
    """Return when the hub knows what was stated before this."""
    hub.alias(f"knows-{secrets.token_hex(5)}", model)


def listed(hub: Hub, tenant: Tenant) -> dict[str, Any]:
    return {row["id"]: row for row in hub.get("/v1/models", tenant).json()["data"]}


def refused(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.error["code"], answer.error["message"]


def test_model_hidden_by_plan_or_role_is_absent(hub: Hub, fake: FakeUpstream) -> None:
    """In the list, by its name and to a request alike: as a name that nobody has."""
    paying, other, owned = hub.tenant(), hub.tenant(), hub.tenant()
    by_plan, by_role, plain = hub.model(fake), hub.model(fake), hub.model(fake)
    hub.plan(paying, 1_000_000)
    (plan,) = hub.rows(
        "SELECT name FROM billing_plan p JOIN billing_organisationplan o ON o.plan_id = p.id "
        "WHERE o.organisation_id = %s",
        paying.organisation_id,
    )
    hub.person(owned)
    hub.entry(by_plan, plans=[plan["name"]])
    hub.entry(by_role, roles=["developer", "admin"])
    known(hub, plain)
    for tenant, seen in ((paying, {by_plan}), (other, set()), (owned, {by_role})):
        names = listed(hub, tenant)
        assert plain in names
        for model in (by_plan, by_role):
            there = model in seen
            assert (model in names) is there
            assert (hub.get(f"/v1/models/{model}", tenant).status == 200) is there
            answer = hub.post(tenant, ask(model, "#tokens=1"))
            if there:
                assert answer.status == 200, answer.body
                continue
            missing = hub.post(tenant, ask("no-such-model", "#tokens=1"))
            status, code, message = refused(missing)
            assert refused(answer) == (status, code, message.replace("no-such-model", model))


@pytest.mark.parametrize("stream", [False, True])
def test_answers_announce_the_end_of_a_deprecated_model(
    hub: Hub, fake: FakeUpstream, stream: bool
) -> None:
    """By the model's name and by an alias of it (RFC 9745 and 8594)."""
    tenant, model, later = hub.tenant(), hub.model(fake), hub.model(fake)
    since, until = days(-1).replace(microsecond=0), days(30).replace(microsecond=0)
    hub.entry(model, deprecated_at=since, sunset_at=until, replacement="other")
    hub.entry(later, deprecated_at=days(1))
    alias = f"alias-{secrets.token_hex(5)}"
    hub.alias(alias, model)
    body = {
        "deprecation": f"@{int(since.timestamp())}",
        "sunset": until.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    for name in (model, alias):
        answer = hub.post(tenant, ask(name, "#tokens=1", stream=stream))
        assert answer.status == 200
        assert {key: answer.headers.get(key) for key in body} == body
    answer = hub.post(tenant, ask(later, "#tokens=1", stream=stream))
    assert answer.status == 200
    assert not body.keys() & answer.headers.keys()
    assert listed(hub, tenant)[model]["shutdown_date"] == until.date().isoformat()


def test_ended_model_is_rejected_with_its_replacement(hub: Hub, fake: FakeUpstream) -> None:
    tenant, ended, bare, new = hub.tenant(), hub.model(fake), hub.model(fake), hub.model(fake)
    hub.entry(ended, deprecated_at=days(-9), sunset_at=days(-1), replacement=new)
    hub.entry(bare, deprecated_at=days(-9), sunset_at=days(-1))
    known(hub, new)
    answer = hub.post(tenant, ask(ended, "#tokens=1"))
    message = f"Error: Model {ended} has been retired; use {new} instead"
    assert refused(answer) == (404, "model_retired", message)
    assert refused(hub.post(tenant, ask(bare, "#tokens=1"))) == (
        404, "model_retired", f"Error: Model {bare} has been retired",
    )  # fmt: skip
    assert hub.record(answer.headers["x-request-id"])["kind"] == "model_retired"
    assert not {ended, bare} & listed(hub, tenant).keys()
    assert hub.get(f"/v1/models/{ended}", tenant).status == 404
    # As another model's fallback it is passed over.
    hub.rule(new, fallbacks=[ended], causes=["error"])
    assert hub.post(tenant, ask(new, "#tokens=1")).status == 200


def test_replacement_answers_for_a_retired_model_if_set(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The replacement is named and paid for, in several steps too; in a circle nobody answers."""
    tenant, old, middle = hub.tenant(), hub.model(fake), hub.model(fake)
    new = hub.model(other_fake, rates=DEAR)
    one, two, gone = hub.model(fake), hub.model(fake), f"gone-{secrets.token_hex(5)}"
    past: dict[str, Any] = {"deprecated_at": days(-9), "sunset_at": days(-1), "forwards": True}
    hub.entry(old, replacement=middle, **past)
    hub.entry(middle, replacement=new, **past)
    hub.entry(one, replacement=two, **past)
    hub.entry(two, replacement=one, **past)
    # No channel serves it any more.
    hub.entry(gone, replacement=new, **past)
    known(hub, new)
    for name in (old, gone):
        answer = hub.post(tenant, ask(name, "#tokens=7 #prompt=100"))
        assert (answer.status, answer.json()["model"]) == (200, new), answer.body
        assert "sunset" in answer.headers
        record = hub.record(answer.headers["x-request-id"])
        assert (record["model"], record["charge_nano"]) == (new, 100 * 10 + 7 * 50)
        assert name not in listed(hub, tenant)
    assert hub.post(tenant, ask(one, "#tokens=1")).error["code"] == "model_retired"


def test_stated_limits_and_capabilities_apply(hub: Hub, fake: FakeUpstream) -> None:
    """They are listed, a hold is no larger than the output limit, and a capability that is off is
    refused."""
    tenant, model = hub.tenant(), hub.model(fake)
    before = hub.post(tenant, ask(model, "#tokens=1"))
    hub.connection.execute(
        "INSERT INTO gateway_modelentry "
        "(name, can, context_max, output_max, replacement, forwards, plans, roles) "
        """VALUES (%s, '{"tools": false}', 9000, 50, '', false, '{}', '{}')""",
        [model],
    )
    known(hub, model)
    row = listed(hub, tenant)[model]
    assert (row["context_length"], row["max_output_tokens"]) == (9000, 50), row
    after = hub.post(tenant, ask(model, "#tokens=1"))
    assert float(after.headers["x-weir-hold"]) < float(before.headers["x-weir-hold"])
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert hub.post(tenant, ask(model, "#tokens=1") | {"tools": tools}).status == 400
