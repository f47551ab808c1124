"""Policies of a hub's tenants, written into its database."""

from typing import Any

from lib.ids import new_id
from tests.support.hub import Hub, Tenant


def add_policy(hub: Hub, tenant: Tenant, name: str, scope: str = "key", **limits: Any) -> None:
    """A policy of a tenant, which the hub knows afterwards."""
    subjects = {"team": tenant.team_id, "key": tenant.key_id}
    row = {"model_patterns": [], "networks": [], "retention_hours": None, **limits}
    hub.connection.execute(
        "WITH policy AS (INSERT INTO content_policy (id, organisation_id, name, rules, "
        "model_patterns, networks, retention_hours) "
        "VALUES (%(id)s, %(organisation)s, %(name)s, '[]', %(model_patterns)s, %(networks)s, "
        "%(retention_hours)s) RETURNING id) "
        "INSERT INTO content_policyassignment (id, organisation_id, policy_id, scope, subject) "
        "SELECT %(id)s, %(organisation)s, id, %(scope)s, %(subject)s FROM policy",
        {"id": new_id(), "organisation": tenant.organisation_id, "name": name, "scope": scope,
         "subject": str(subjects.get(scope, "")), **row},
    )  # fmt: skip
    hub.bump()
