"""W57: a label that an organisation, a team or a key requires of each request."""

import json
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

LABELS = {"project": "search", "tags": ["beta"], "customer": "c-42"}
LEVELS = {
    "organisation": "UPDATE accounts_organisation SET required_labels = %s WHERE id = %s",
    "team": "UPDATE accounts_team SET required_labels = %s WHERE organisation_id = %s",
    "key": "UPDATE accounts_key SET required_labels = %s WHERE organisation_id = %s",
}


def require(hub: Hub, tenant: Tenant, level: str, labels: list[str]) -> None:
    hub.connection.execute(LEVELS[level], [labels, tenant.organisation_id])
    hub.bump()


def post(hub: Hub, tenant: Tenant, model: str, labels: dict[str, Any] | None = None) -> Any:
    headers = {} if labels is None else {"x-weir-labels": json.dumps(labels)}
    return hub.post(tenant, ask(model, "hello #tokens=3"), headers=headers)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("label", LABELS)
def test_missing_required_label_is_named(
    hub: Hub, fake: FakeUpstream, level: str, label: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    require(hub, tenant, level, [label])
    hub.wait(lambda: post(hub, tenant, model).status == 400, "the rule is not heard of")
    asked = fake.totals()["requests"]
    others = {name: value for name, value in LABELS.items() if name != label}
    empty: dict[str, Any] = {label: [] if label == "tags" else None}
    for labels in (None, others, empty):
        answer = post(hub, tenant, model, labels)
        assert (answer.status, answer.error["code"]) == (400, "missing_required_parameter")
        assert answer.error["param"] == "x-weir-labels"
        assert f"{label} in x-weir-labels is required" in answer.error["message"]
    assert fake.totals()["requests"] == asked
    assert post(hub, tenant, model, {label: LABELS[label]}).status == 200


def test_labels_of_the_key_need_not_be_repeated(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "WITH made AS (INSERT INTO accounts_project (id, organisation_id, team_id, name, slug)"
        " SELECT gen_random_uuid(), organisation_id, team_id, 'Bot', 'bot' FROM accounts_key"
        " WHERE id = %s RETURNING id) UPDATE accounts_key SET project_id = made.id,"
        " tags = '{beta}' FROM made WHERE accounts_key.id = %s",
        [tenant.key_id, tenant.key_id],
    )
    require(hub, tenant, "organisation", ["project", "tags"])
    require(hub, tenant, "team", ["customer"])
    hub.wait(lambda: post(hub, tenant, model).status == 400, "the rule is not heard of")
    assert "customer in x-weir-labels" in post(hub, tenant, model).error["message"]
    assert post(hub, tenant, model, {"customer": "c-42"}).status == 200


def test_the_project_of_a_key_counts_towards_its_budget(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "WITH made AS (INSERT INTO accounts_project (id, organisation_id, team_id, name, slug)"
        " SELECT gen_random_uuid(), organisation_id, team_id, 'Bot', 'bot' FROM accounts_key"
        " WHERE id = %s RETURNING id) UPDATE accounts_key SET project_id = made.id"
        " FROM made WHERE accounts_key.id = %s",
        [tenant.key_id, tenant.key_id],
    )
    hub.budget(tenant, "0", scope="project", subject="bot")
    hub.wait(lambda: post(hub, tenant, model).status == 402, "the budget is not heard of")
    assert post(hub, tenant, model, {"project": "other"}).status == 200
