"""P2: the budget of a policy refuses like any other, and of several the tightest one does."""

import json
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
# A request is one token, and costs 1 USD.
RATES = {"in_text": 0, "out_text": 1_000_000_000_000_000}


@pytest.fixture
def manager(hub: Hub) -> Tenant:
    """An owner's management key. The organisation has its own key and credit in `tenant`."""
    manager = hub.tenant("1000", kind="management")
    owner = hub.person(manager)
    hub.connection.execute(
        "UPDATE accounts_membership SET role = 'owner' WHERE user_id = %s", [owner]
    )
    return manager


@pytest.fixture
def tenant(hub: Hub, manager: Tenant) -> Tenant:
    return hub.key(manager)


def create(hub: Hub, manager: Tenant, name: str, *amounts: tuple[str, str], **to: str) -> str:
    """A policy with these budgets (amount, period), assigned `to` a scope and subject."""
    body: dict[str, Any] = {
        "name": name,
        "assigned": [{"scope": scope, "subject": subject} for scope, subject in to.items()],
        "budgets": [{"amount": amount, "period": period} for amount, period in amounts],
    }
    answer = hub.post(manager, body, path="/api/v1/policies")
    assert answer.status == 201, answer.body
    return str(answer.json()["id"])


def change(hub: Hub, manager: Tenant, policy: str, **fields: Any) -> None:
    path = f"/api/v1/policies/{policy}"
    answer = hub.request("PATCH", path, manager, json.dumps(fields).encode())
    assert answer.status == 200, answer.body


def send(hub: Hub, tenant: Tenant, model: str) -> Answer:
    return hub.post(tenant, ask(model, "#tokens=1", max_tokens=1))


def spent(hub: Hub, tenant: Tenant) -> list[tuple[str, str, int, int]]:
    hub.settled(tenant)
    rows = hub.rows(
        "SELECT b.policy_name, b.scope, w.spent_nano, w.held_nano FROM billing_budget b"
        " JOIN billing_budgetwindow w ON w.budget_id = b.id WHERE b.organisation_id = %s"
        " ORDER BY b.id", tenant.organisation_id,
    )  # fmt: skip
    return [tuple(row.values()) for row in rows]


def test_a_policys_budget_refuses_with_402(
    hub: Hub, fake: FakeUpstream, manager: Tenant, tenant: Tenant
) -> None:
    model = hub.model(fake, rates=RATES)
    create(hub, manager, "Thrift", ("2", "month"), ("9", "day"), team="core")
    assert [send(hub, tenant, model).status for _ in range(2)] == [200, 200]
    refused = send(hub, tenant, model)
    assert (refused.status, refused.error["code"]) == (402, "insufficient_quota")
    assert "team budget core is used up" in refused.error["message"]
    assert "of 2.00 USD per month, set by the policy Thrift; " in refused.error["message"]
    assert sorted(spent(hub, tenant)) == [("Thrift", "team", 2 * 10**9, 0)] * 2


def test_of_two_policies_the_tighter_one_refuses_until_it_is_removed(
    hub: Hub, fake: FakeUpstream, manager: Tenant, tenant: Tenant
) -> None:
    model = hub.model(fake, rates=RATES)
    wide = create(hub, manager, "Wide", ("3", "total"), organisation="")
    tight = create(hub, manager, "Tight", ("1", "total"), organisation="")
    assert [send(hub, tenant, model).status for _ in range(2)] == [200, 402]
    change(hub, manager, tight, assigned=[])
    assert [send(hub, tenant, model).status for _ in range(3)] == [200, 200, 402]
    # A higher amount fits the present window at once, and a policy that returns has what was spent.
    change(hub, manager, wide, budgets=[{"amount": "4", "period": "total"}])
    change(hub, manager, tight, assigned=[{"scope": "organisation"}])
    assert send(hub, tenant, model).status == 402
    assert hub.request("DELETE", f"/api/v1/policies/{tight}", manager).status == 204
    assert [send(hub, tenant, model).status for _ in range(2)] == [200, 402]
    assert spent(hub, tenant) == [("Wide", "organisation", 4 * 10**9, 0)]
