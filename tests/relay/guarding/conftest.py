import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from lib.ids import new_id
from lib.vault import Vault
from tests.fakes.guard_service import GuardService, guard_service
from tests.support.hub import Hub, Tenant

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class GuardedHub:
    """A hub whose tenants have rules of guards."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def tenant(self, *rules: dict[str, Any]) -> Tenant:
        tenant = self.hub.tenant("10.00")
        self.guard(tenant, *rules)
        return tenant

    def guard(self, tenant: Tenant, *rules: dict[str, Any]) -> None:
        """Assign a policy with these rules to a tenant's key. `bump` lets the hub know."""
        id = new_id()
        self.hub.connection.execute(
            "WITH policy AS (INSERT INTO content_policy (id, organisation_id, name, rules) "
            "VALUES (%(id)s, %(organisation)s, 'guards', %(rules)s) RETURNING id) "
            "INSERT INTO content_policyassignment (id, organisation_id, policy_id, scope, subject) "
            "SELECT %(id)s, %(organisation)s, id, 'key', %(key)s FROM policy",
            {"id": id, "organisation": tenant.organisation_id, "rules": json.dumps(rules),
             "key": str(tenant.key_id)},
        )  # fmt: skip
        vault = Vault(os.environ["WEIR_KEK"])
        for guard in {one["guard"] for one in rules} & {"hook"}:
            self.hub.connection.execute(
                "INSERT INTO content_policysecret (id, organisation_id, policy_id, guard, sealed) "
                "VALUES (%s, %s, %s, %s, %s)",
                [new_id(), tenant.organisation_id, id, guard,
                 vault.seal(SECRET, f"content_policysecret|{id}|{guard}")],
            )  # fmt: skip


@pytest.fixture(scope="module")
def guarded_hub(hub: Hub) -> GuardedHub:
    return GuardedHub(hub)


def rule(action: str, *places: str) -> dict[str, Any]:
    """A rule about e-mail addresses."""
    return {"guard": "email", "settings": {}, "places": places, "action": action, "code": "own"}


def guards_of(*guards: str) -> list[dict[str, Any]]:
    """Rules of pure guards that mask in answers."""
    return [
        {"guard": guard, "settings": {}, "places": ["answer"], "action": "mask", "code": guard}
        for guard in guards
    ]


def hook(url: str, *places: str, **settings: Any) -> dict[str, Any]:
    """A rule that calls a hook."""
    return {
        "guard": "hook", "settings": {"url": url, **settings}, "places": places,
        "action": "decide", "code": "own",
    }  # fmt: skip


def presidio(url: str, action: str, *places: str, **settings: Any) -> dict[str, Any]:
    """A rule that asks Presidio's analyzer."""
    return {
        "guard": "presidio", "settings": {"url": url, **settings}, "places": places,
        "action": action, "code": "own",
    }  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[GuardService]:
    with guard_service() as one:
        yield one
