import json
from typing import Any

import pytest

from lib.ids import new_id
from tests.support.hub import Hub, Tenant


class GuardedHub:
    """A hub whose tenants have rules of guards."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def tenant(self, *rules: dict[str, Any]) -> Tenant:
        tenant = self.hub.tenant("10.00")
        self.hub.connection.execute(
            "WITH policy AS (INSERT INTO content_policy (id, organisation_id, name, rules) "
            "VALUES (%(id)s, %(organisation)s, 'guards', %(rules)s) RETURNING id) "
            "INSERT INTO content_policyassignment (id, organisation_id, policy_id, scope, subject) "
            "SELECT %(id)s, %(organisation)s, id, 'key', %(key)s FROM policy",
            {"id": new_id(), "organisation": tenant.organisation_id, "rules": json.dumps(rules),
             "key": str(tenant.key_id)},
        )  # fmt: skip
        return tenant


@pytest.fixture(scope="module")
def guarded_hub(hub: Hub) -> GuardedHub:
    return GuardedHub(hub)


def rule(action: str, *places: str) -> dict[str, Any]:
    """A rule about e-mail addresses."""
    return {"guard": "email", "settings": {}, "places": places, "action": action, "code": "own"}
