import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.hub import Hub, Tenant, running_hub


class GuardedHub:
    """A hub whose tenants have rules of guards."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        hub.connection.execute("CREATE TABLE test_guard_rules (key_id uuid, rules jsonb)")

    def tenant(self, *rules: dict[str, Any]) -> Tenant:
        tenant = self.hub.tenant("10.00")
        self.hub.connection.execute(
            "INSERT INTO test_guard_rules VALUES (%s, %s)", [tenant.key_id, json.dumps(rules)]
        )
        return tenant


@pytest.fixture(scope="module")
def guarded_hub() -> Iterator[GuardedHub]:
    with running_hub(application="tests.relay.guarding.guarded") as hub:
        yield GuardedHub(hub)


def rule(action: str, *places: str) -> dict[str, Any]:
    """A rule about e-mail addresses."""
    return {"guard": "email", "settings": {}, "places": places, "action": action, "code": "own"}
